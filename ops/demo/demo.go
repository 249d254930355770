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

// Dataset is the demo's dataset as JSON lines: always the same bytes. None of its
// rows was seen in the making of the base, which learnt from the world's other fold,
// and in a plainer form: see pretrain.Default.
func Dataset(quick bool) ([]byte, error) {
	c := pretrain.Default().Exam
	c.Seed, c.Rows = 20260, 2000
	if quick {
		c.Rows = 600
	}
	rows, err := synth.Make(c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = synth.Write(&b, rows)
	return b.Bytes(), err
}

// longest is more than the longest answer of the world has, in tokens.
const longest = 64

// Config is a run's configuration for the demo's dataset and base. It departs from
// the usual one in sizes, and in what follows from them: some dozens of trees can
// bring some dozens of pairs, so the bars for "no update" lie lower.
func Config(quick bool) config.Config {
	c := config.Default()
	c.Line.EvaluateRows = 400
	c.Split.TestShare, c.Split.ValidationShare = 0.25, 0.1
	c.Warmup.BatchSize, c.Warmup.CheckpointSteps = 8, 0
	c.Select.Ratio, c.Select.MaxTrees = 0.3, 200
	c.Select.MaxTokens, c.Expand.MaxAnswerTokens, c.Update.GuardTokens, c.Evaluate.MaxTokens = longest, longest, longest, longest
	c.Expand.TokenBudget = 2048
	c.Update.BatchSize, c.Update.MinPairs, c.Update.MinSteps = 8, 20, 4
	if quick {
		c.Line.EvaluateRows = 120
		c.Select.MaxTrees, c.Select.JudgeExamples = 48, 16
		c.Update.MinPairs, c.Update.MinSteps = 8, 2
		c.Update.GuardPrompts = 48
	}
	return c
}
