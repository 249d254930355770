package update_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/stagetest"
	"itool/stages/update"
)

// unlearning is a training on well-formed wrong answers: every step makes the policy
// worse, and the last weights are the worst.
func unlearning(rate float64) update.Config {
	cfg := config()
	cfg.Loss, cfg.Rate, cfg.Epochs = "chosen_only", rate, 4
	return cfg
}

// TestGuardAsksExactMatch: answers that read, do not repeat themselves and call where a
// call is wanted, but call wrongly, are refused.
func TestGuardAsksExactMatch(t *testing.T) {
	w := newWorld(t)
	row, _ := w.run(w.item(unlearning(1e-2), w.pairs(wrong, right), w.examples()))
	m := metrics(t, row)
	if row.Status != schemas.StatusGuard || !strings.Contains(row.Detail, "keeps its policy: exact match fell by") {
		t.Errorf("%s: %s\nwant the guard to stop it for exact match", row.Status, row.Detail)
	}
	if m["guard_exact_match_before"] != 1 || !(m["guard_exact_match_after"] < 0.5) ||
		m["guard_exact_match_cases"] != calls+noCalls || m["guard_parse_rate_after"] != 1 {
		t.Errorf("metrics %v: want fewer right answers that all read", m)
	}
}

// TestBestAccuracy: of the measured weights those with the most right answers are saved,
// and of equals the later ones.
func TestBestAccuracy(t *testing.T) {
	w := newWorld(t)
	cfg := unlearning(1e-3)
	cfg.GuardPrompts, cfg.Best, cfg.ValidateSteps, cfg.AccuracyRows = 0, update.BestAccuracy, 2, 20
	row, out := w.run(w.item(cfg, w.pairs(wrong, right), w.examples()))
	m := metrics(t, row)
	best, step, last, n := -1.0, 0, 0.0, 0
	for _, p := range stagetest.JSON[[]struct {
		Step  int
		Right *float64
	}](t, row.Curve) {
		if p.Right == nil {
			continue
		}
		n, last = n+1, *p.Right
		if last >= best {
			best, step = last, p.Step
		}
	}
	if n != 8 || step == 16 || last >= best {
		t.Fatalf("%d measurements, the best %g at step %d, the last %g: want a better one before the last",
			n, best, step, last)
	}
	if m["exact_examples"] != 20 || m["exact_before"] != 1 || m["exact_best"] != best || m["exact_after"] != last ||
		m["best_step"] != float64(step) || row.Steps != 16 {
		t.Errorf("metrics %v, %d steps; want %g at step %d, %g at the end", m, row.Steps, best, step, last)
	}
	if want := fmt.Sprintf("the weights after step %d of 16", step); !strings.Contains(row.Detail, want) {
		t.Errorf("detail %q, want %q", row.Detail, want)
	}
	saved, err := policy.Open(out.Saved[0].Files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var exs []schemas.Example
	for _, ex := range w.examples() {
		if ex.Part == schemas.PartValidation {
			exs = append(exs, ex)
		}
	}
	verdicts, err := judge.Match(t.Context(), nil, saved, judge.Spread(exs, 20))
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(judge.Passed(verdicts)) / 20; got != best {
		t.Errorf("the saved policy has %g right, the best weights had %g", got, best)
	}
	cfg.Best = update.BestLast
	if plain, _ := w.run(w.item(cfg, w.pairs(wrong, right), w.examples())); plain.Checkpoint == row.Checkpoint {
		t.Error("the last weights are the best ones")
	}
}

// TestBestAccuracyKilled: a kill at any step, also right after a measurement and in the
// second attempt, changes no byte.
func TestBestAccuracyKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a dozen times, and nothing in it runs at once; the full test run does it")
	}
	w := newWorld(t)
	cfg := unlearning(1e-2)
	cfg.Best, cfg.ValidateSteps, cfg.AccuracyRows = update.BestAccuracy, 2, 24
	item := w.item(cfg, w.pairs(wrong, right), w.examples())
	stagetest.Run(t, w.stage, stagetest.Case{Item: item})
	row, want := w.run(item)
	if m := metrics(t, row); m["attempts"] != 2 || m["best_step"] != 2 {
		t.Fatalf("metrics %v: want a second attempt of which the second step is the best", m)
	}
	for _, after := range []int{2, 3, 4, 8, 17, 18, 19, 21, 22, 35} { // 1, 18 and 35 are the guard's
		t.Run(fmt.Sprintf("after report %d", after), func(t *testing.T) {
			_, got := w.killed(item, after)
			if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) || got.Saved[0].Digest != want.Saved[0].Digest {
				t.Errorf("killed after %q, the result differs", want.Steps[after-1])
			}
		})
	}
}

// TestBestAccuracyWithoutExamples: the last weights are taken, and the row says so.
func TestBestAccuracyWithoutExamples(t *testing.T) {
	w := newWorld(t)
	exs := w.examples()
	for i := range exs {
		exs[i].Part = schemas.PartTrain
	}
	cfg := config()
	cfg.Best = update.BestAccuracy
	row, _ := w.run(w.item(cfg, w.pairs(wrong, right), exs))
	if want := "so update.best: accuracy had no effect"; !strings.Contains(row.Detail, want) {
		t.Errorf("detail %q, want %q", row.Detail, want)
	}
}
