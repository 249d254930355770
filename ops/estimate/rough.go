package estimate

import (
	"context"
	"fmt"
	"math"
	"time"

	"itool/ops/config"
	"itool/stages/policy"
	"itool/stages/update"
	"itool/stages/warmup"
)

// Speed is what a very short measurement of a model finds, in tokens per second.
type Speed struct{ Prompt, Draw float64 }

// What the measurement computes, and draws in a batch.
const (
	probePrompt = 96
	probeRows   = 8
	probeDraws  = 6
)

// Measure computes a short prompt and draws a few tokens from it, in about a second with 135 million
// parameters. The tokens mean nothing. now is a clock.
func Measure(ctx context.Context, p *policy.Policy, now func() time.Time) (Speed, error) {
	prompt := make([]int32, min(probePrompt, p.ContextLength()/2))
	for i := range prompt {
		prompt[i] = int32((i*7919 + 3) % p.VocabSize())
	}
	if _, err := p.NewSession(prompt[:2]); err != nil { // the first touch of the weights is slow
		return Speed{}, err
	}
	start := now()
	s, err := p.NewSession(prompt)
	if err != nil {
		return Speed{}, err
	}
	prefilled := now()
	reqs := make([]policy.Request, probeRows)
	for i := range reqs {
		// So hot that the rows differ: equal ones would be computed once.
		reqs[i] = policy.Request{From: s.Root(), Seed: uint64(i), Temperature: 100, MaxTokens: probeDraws}
	}
	draws, err := s.Draw(ctx, reqs)
	if err != nil {
		return Speed{}, err
	}
	drawn := 0
	for _, d := range draws {
		drawn += len(d.Tokens)
	}
	rate := func(n int, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-6) }
	return Speed{Prompt: rate(len(prompt), prefilled.Sub(start)), Draw: rate(drawn, now().Sub(prefilled))}, nil
}

// Work is what a run has to do, counted before it begins. Shares of a dataset are rounded; dropped rows are not
// known yet.
type Work struct {
	Rows      int // of the dataset, held-out files included
	Train     int // rows to train on
	Rounds    int
	Trees     int // of a round
	Held      int // rows that every policy is evaluated on
	RowTokens int // of an average row: prompt and answer
}

// Held are rows of files that are held out as a whole.
type Held struct{ Test, Validation int }

// Count says what a run has to do: rows of it in all, held of them in files that are test or validation as a whole.
func Count(rows int, held Held, rowTokens int, cfg config.Config) Work {
	some := func(share float64, n int) int { return int(math.Round(share * float64(n))) }
	limit := func(n, most int) int {
		if most > 0 {
			return min(n, most)
		}
		return n
	}
	rest := rows - held.Test - held.Validation
	drawn := some(cfg.Split.TestShare, rest)
	test := held.Test + drawn
	validation := held.Validation + some(cfg.Split.ValidationShare, rest-drawn)
	train := some(cfg.Split.DataShare, rows-test-validation)
	asked := 0
	switch cfg.Line.Evaluate {
	case "test":
		asked = limit(test, cfg.Line.EvaluateRows)
	case "validation":
		asked = limit(validation, cfg.Line.EvaluateRows)
	case "both":
		asked = limit(test, cfg.Line.EvaluateRows) + limit(validation, cfg.Line.EvaluateRows)
	case "auto":
		if asked = limit(test, cfg.Line.EvaluateRows); test == 0 {
			asked = limit(validation, cfg.Line.EvaluateRows)
		}
	}
	replay := min(train, some(cfg.Split.ReplayShare, rest-drawn))
	trees := limit(int(math.Ceil(cfg.Select.Ratio*float64(replay))), cfg.Select.MaxTrees)
	return Work{Rows: rows, Train: train, Rounds: cfg.Line.Rounds, Trees: trees, Held: asked, RowTokens: rowTokens}
}

// Typical figures, of runs with SmolLM2-135M on BFCL-Live.
const (
	treeTokens   = 1100 // drawn for a tree
	answerTokens = 40
	treePairs    = 5 // of a tree, before duplicates go
	trainingCost = 4 // a trained token ÷ a token of a prompt: forward, recomputed, backward
)

// Seconds is a rough idea of the time of the work: within a factor of two or three. A pilot (Scale)
// measures it.
func (w Work) Seconds(s Speed, cfg config.Config) float64 {
	row := float64(w.RowTokens) / s.Prompt
	answer := row + answerTokens/s.Draw
	training := float64(cfg.Warmup.Epochs*w.Train) * row * trainingCost
	if cfg.Warmup.Best == warmup.BestAccuracy { // once an epoch of each of the three phases
		training += float64(3*cfg.Warmup.Epochs*cfg.Warmup.AccuracyRows) * answer
	}
	held := float64(2+w.Rounds) * float64(w.Held) * answer
	score := float64(w.Train) / 2 * row
	if answers := cfg.Score.Answers(); answers > 0 {
		score += float64(w.Train) / 2 * (row + float64(answers)*answerTokens/s.Draw)
	}
	selection := float64(cfg.Select.HeadroomExamples) * (answer + float64(cfg.Select.HeadroomDraws)*answerTokens/s.Draw)
	search := float64(w.Trees) * (row + treeTokens/s.Draw)
	passes := w.Trees * treePairs * cfg.Update.Epochs // of pairs through the trainer
	if cfg.Update.Steps > 0 {
		passes = cfg.Update.Steps * cfg.Update.BatchSize
	}
	updating := float64(passes)*row*trainingCost + float64(cfg.Update.GuardPrompts)*answer
	if cfg.Update.Best == update.BestAccuracy {
		updating += float64((1+cfg.Update.Epochs)*cfg.Update.AccuracyRows) * answer
	}
	return training + held + float64(w.Rounds)*(score+selection+search+updating)
}

// String says what the run has to do, in a sentence.
func (w Work) String() string {
	text := fmt.Sprintf("%d rows, about %d of them to train on", w.Rows, w.Train)
	if w.Rounds > 0 {
		text += fmt.Sprintf("; %s of about %s", many(w.Rounds, "round"), many(w.Trees, "tree"))
	}
	if w.Held > 0 {
		text += fmt.Sprintf("; %d held-out rows for each of %d policies", w.Held, 2+w.Rounds)
	}
	return text
}

// many is a number with its noun.
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
