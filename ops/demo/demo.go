// Package demo has everything for a first run without a download: a small base model that
// was made by ops/pretrain and is embedded, a dataset that ops/synth generates, and a
// configuration that runs the whole pipeline in a minute (quick) or a few minutes.
//
// The base is weak on purpose: its answers have the right form but are often wrong, so that
// training can improve it. base/MAKING.md says how it was made and what it can do. Since
// then the prompt of the self-evaluation has changed, and with it a tenth of the texts of
// the last lesson, so that this makes a similar base and not the same one:
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
	"itool/stages/score"
)

//go:embed base
var base embed.FS

// Base returns the folder of the base model, in Hugging Face format.
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
	ValidationFile = "validation.jsonl" // for the setting split.validation_files
	TestFile       = "test.jsonl"       // held out, for the setting split.test_files
)

// File is a file of the dataset, JSON lines.
type File struct {
	Name string
	Data []byte
}

// Dataset returns the files of the demo's dataset, the training file first. The bytes are
// always the same.
//
// The data that the base was trained on, the training file and the held-out files are three
// folds of synth: no tool and no value of one fold is in another, except the values that a
// tool lists, true and false, and numbers below 100. Validation and test are from the same
// fold. The base was trained on simpler answers too: see pretrain.Default.
//
// Arguments are in any order, as in data from many authors. So the policy can still improve
// after fine-tuning: a policy that imitates all orders at once repeats and forgets
// arguments. The search finds these errors; no reference shows them.
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

// longest is more than the number of tokens of any answer in the dataset.
const longest = 160

// Config returns the configuration of a run with the demo's dataset and base. It differs
// from the default in sizes, and in what follows from the sizes. The settings of a round
// were chosen on the validation set (integration/lab/LOG.md): the policy cannot solve
// the hardest tenth of so few examples, so a round takes the harder part of its buffer.
func Config(quick bool) config.Config {
	c := config.Default()
	c.Line.EvaluateRows = 400
	c.Split.TestFiles, c.Split.ValidationFiles = []string{TestFile}, []string{ValidationFile}
	c.Split.ValidationShare = 0
	c.Split.ReplayShare = 0.35
	c.Warmup.Epochs, c.Warmup.BatchSize, c.Warmup.CheckpointSteps, c.Warmup.Plateau = 3, 8, 0, 1
	c.Score.Arguments = score.Listed // as all runs of integration/lab, which start from here
	c.Select.Ratio, c.Select.MaxTrees = 0.6, 0
	c.Select.MaxTokens, c.Expand.MaxAnswerTokens = longest, longest
	c.Update.GuardTokens, c.Evaluate.MaxTokens = longest, longest
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
