// Package demo holds what a first run needs, so that it needs no download: a small
// base model, made by ops/pretrain and embedded, a dataset that ops/synth makes on
// the fly, and a configuration that shows the whole line within a minute (quick) or
// a few.
//
// The base is weak on purpose: it answers in the right form and is often wrong, so
// that there is something to learn. base/MAKING.md says how it was made and what it
// can do. To make it anew:
//
//	go run ./ops/itool pretrain --out ops/demo/base
package demo

import (
	"bytes"
	"embed"
	"io/fs"

	"itool/ops/config"
	"itool/ops/pretrain"
	"itool/ops/synth"
)

//go:embed base
var base embed.FS

// Base is the base model's folder, in Hugging Face format.
func Base() fs.FS {
	sub, err := fs.Sub(base, "base")
	if err != nil {
		panic("demo: " + err.Error()) // the name is a constant
	}
	return sub
}

// The files of the dataset.
const (
	TrainFile      = "train.jsonl"
	ValidationFile = "validation.jsonl" // see split.validation_files
	TestFile       = "test.jsonl"       // held out: see split.test_files
)

// File is a file of the dataset, JSON lines.
type File struct {
	Name string
	Data []byte
}

// Dataset is the demo's dataset, what is trained on first: always the same bytes.
//
// What the base learnt from, the training file and what is held out are of three
// folds of the world: no tool and no value of one is in another, but for what a tool
// lists itself, true and false, and numbers below 100. Validation and test are of the
// same fold. The base's answers were plainer, too: see pretrain.Default.
//
// Arguments stand in any order, as in data of many hands. That leaves something to
// learn after fine-tuning: a policy that imitates all orders at once repeats and
// forgets arguments, which a search finds and no reference shows.
func Dataset(quick bool) ([]File, error) {
	files := []struct {
		name              string
		seed              uint64
		fold, rows, quick int
	}{{TrainFile, 20260, 1, 2000, 320}, {ValidationFile, 20261, 2, 600, 80}, {TestFile, 20272, 2, 1200, 150}}
	var out []File
	for _, f := range files {
		c := synth.Default()
		c.Seed, c.Rows, c.Fold, c.Folds, c.AnyOrder = f.seed, f.rows, f.fold, pretrain.Folds, true
		if quick {
			c.Rows = f.quick
		}
		rows, err := synth.Make(c)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := synth.Write(&b, rows); err != nil {
			return nil, err
		}
		out = append(out, File{f.name, b.Bytes()})
	}
	return out, nil
}

// longest is more than the longest answer of the world has, in tokens.
const longest = 160

// Config is a run's configuration for the demo's dataset and base. It departs from
// the usual one in sizes, and in what follows from them. What a round trains on and
// how was chosen on validation (integration/lab/README.md): the hardest tenth of so
// few examples is hopeless, so a round takes the harder part of its buffer.
func Config(quick bool) config.Config {
	c := config.Default()
	c.Line.EvaluateRows = 400
	c.Split.TestFiles, c.Split.ValidationFiles, c.Split.ValidationShare = []string{TestFile}, []string{ValidationFile}, 0
	c.Split.ReplayShare = 0.35
	c.Warmup.Epochs, c.Warmup.BatchSize, c.Warmup.CheckpointSteps, c.Warmup.Plateau = 3, 8, 0, 1
	c.Select.Ratio, c.Select.MaxTrees = 0.6, 0
	c.Select.MaxTokens, c.Expand.MaxAnswerTokens, c.Update.GuardTokens, c.Evaluate.MaxTokens = longest, longest, longest, longest
	c.Expand.TokenBudget = 2048
	c.Update.Rate, c.Update.SFTWeight, c.Update.Epochs, c.Update.BatchSize, c.Update.MinSteps = 5e-4, 1, 1, 16, 5
	if quick {
		c.Line.EvaluateRows = 100
		c.Warmup.Epochs, c.Warmup.Plateau = 2, 0
		c.Select.MaxTrees, c.Select.JudgeExamples, c.Select.HeadroomExamples = 72, 8, 16
		c.Update.BatchSize, c.Update.MinPairs, c.Update.MinSteps = 8, 8, 2
		c.Update.GuardPrompts = 48
	}
	return c
}
