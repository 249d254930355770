package warmup_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/stagetest"
	"itool/stages/warmup"
)

// astray are examples whose validation answers have tokens of another text than their
// reference: the base's own answer. So the loss grows while the answers get right.
func (c fixture) astray() []schemas.Example {
	rows := c.examples(6, 0, 0, 9)
	for i := range rows {
		if rows[i].Part != schemas.PartValidation {
			continue
		}
		draws, err := c.policy.Generate(c.t.Context(), [][]int32{rows[i].PromptIDs}, policy.Request{MaxTokens: 20})
		if err != nil {
			c.t.Fatal(err)
		}
		rows[i].AnswerIDs = draws[0].Tokens
	}
	return rows
}

type validated struct {
	Step              int
	Validation, Right *float64
}

// TestBestAccuracy: the kept weights are those with the most right answers and, among
// equals, the lowest loss, where the loss alone keeps the base.
func TestBestAccuracy(t *testing.T) {
	c := newFixture(t)
	rows := c.astray()
	cfg := probed()
	cfg.Plateau = 0
	row, _ := c.run(c.item(cfg, rows...))
	if m := metrics(t, row); m["best_step"] != 0 || m["exact_examples"] != 0 {
		t.Fatalf("by loss: metrics %v, want the base to remain the best and no answers", m)
	}
	cfg.Best, cfg.AccuracyRows = warmup.BestAccuracy, 7
	row, out := c.run(c.item(cfg, rows...))
	m := metrics(t, row)
	best, loss := 0.0, math.Inf(1)
	step, measured := 0, 0
	for _, p := range stagetest.JSON[[]validated](t, row.Curve) {
		if p.Right == nil {
			continue
		}
		if measured++; *p.Right > best || *p.Right == best && *p.Validation < loss {
			best, loss, step = *p.Right, *p.Validation, p.Step
		}
	}
	if m["exact_examples"] != 7 || m["exact_before"] != 0 || m["exact_best"] != best || best == 0 ||
		m["best_step"] != float64(step) || m["validation_best"] != loss || measured != cfg.Epochs {
		t.Errorf("metrics %v; want %g right of 7 at step %d, loss %g; measured %d times", m, best, step, loss, measured)
	}
	if !strings.Contains(row.Detail, "right answers to 7 validation examples 0 → ") {
		t.Errorf("detail %q", row.Detail)
	}
	var all []schemas.Example
	for _, ex := range rows {
		if ex.Part == schemas.PartValidation {
			all = append(all, ex)
		}
	}
	verdicts, err := judge.Match(t.Context(), nil, open(t, out.Saved[0].Files), judge.Spread(all, 7))
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(judge.Passed(verdicts)) / 7; got != best {
		t.Errorf("the saved policy has %g right, the best had %g", got, best)
	}
}

// TestBestAccuracyKilled: a kill at any step, also right after a measurement, changes no
// byte.
func TestBestAccuracyKilled(t *testing.T) {
	c := newFixture(t)
	cfg := probed()
	cfg.Plateau, cfg.Epochs, cfg.Best, cfg.ValidateSteps, cfg.CheckpointSteps = 0, 12, warmup.BestAccuracy, 3, 4
	item := c.item(cfg, c.astray()...)
	stagetest.Run(t, c.stage, stagetest.Case{Item: item})
	row, want := c.run(item)
	for _, after := range []int{2, 3, 4, 6, 9, int(row.Steps)} {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			again := item
			again.Resume = stagetest.Killed(t, c.stage, item, after).Newest()
			_, got := c.run(again)
			if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) || got.Saved[0].Digest != want.Saved[0].Digest {
				t.Errorf("killed after %d of %d steps, the result differs", after, row.Steps)
			}
		})
	}
}

// TestBestAccuracyEdges: if nothing can be asked the loss decides, and the row says so.
func TestBestAccuracyEdges(t *testing.T) {
	c := newFixture(t)
	for _, x := range []struct {
		name   string
		rows   []schemas.Example
		change func(*schemas.Example)
		detail string
	}{
		{"no validation", c.examples(4, 0, 0, 0), func(*schemas.Example) {}, "there is no validation"},
		{"none can be judged", c.examples(4, 0, 0, 2), func(e *schemas.Example) { e.Tools = "7" },
			"no validation example can be answered and judged, so warmup.best: accuracy had no effect"},
		{"prose is asked, too", c.examples(4, 0, 0, 2), func(e *schemas.Example) { e.Calls, e.Reference = 0, "No." },
			"to 2 validation examples"},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := config()
			cfg.Epochs, cfg.Best = 1, warmup.BestAccuracy
			for i := range x.rows {
				x.change(&x.rows[i])
			}
			if row, _ := c.run(c.item(cfg, x.rows...)); !strings.Contains(row.Detail, x.detail) {
				t.Errorf("detail %q, want %q", row.Detail, x.detail)
			}
		})
	}
}
