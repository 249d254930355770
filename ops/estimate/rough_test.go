package estimate_test

import (
	"testing"
	"time"

	"itool/ops/config"
	"itool/ops/estimate"
	"itool/stages/policy/policytest"
)

func TestCount(t *testing.T) {
	cfg := config.Default()
	cfg.Split.TestShare, cfg.Split.ValidationShare, cfg.Split.ReplayShare = 0.2, 0.1, 0.5
	cfg.Line.Rounds, cfg.Line.EvaluateRows, cfg.Select.Ratio = 3, 50, 0.1
	got := estimate.Count(1000, estimate.Held{}, 450, cfg)
	want := estimate.Work{Rows: 1000, Train: 720, Rounds: 3, Trees: 40, Held: 50, RowTokens: 450}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	const text = "1000 rows, about 720 of them to train on; 3 rounds of about 40 trees; " +
		"50 held-out rows for each of 5 policies"
	if got.String() != text {
		t.Errorf("got %q, want %q", got, text)
	}
	files := estimate.Count(1300, estimate.Held{Test: 200, Validation: 100}, 450, cfg)
	if files.Train != got.Train || files.Trees != got.Trees || files.Rows != 1300 {
		t.Errorf("with 300 more rows in held-out files: %+v, want the training of %+v", files, got)
	}
	slow := got.Seconds(estimate.Speed{Prompt: 100, Draw: 50}, cfg)
	fast := got.Seconds(estimate.Speed{Prompt: 200, Draw: 100}, cfg)
	if ratio := slow / fast; ratio < 1.99 || ratio > 2.01 {
		t.Errorf("half the speed takes %g times as long", ratio)
	}
	chosen := cfg
	chosen.Warmup.Best, chosen.Update.Best = "accuracy", "accuracy"
	if s := got.Seconds(estimate.Speed{Prompt: 200, Draw: 100}, chosen); s <= fast {
		t.Errorf("answering validation examples costs nothing: %g s, without %g s", s, fast)
	}
	asked := cfg
	asked.Score.Draws, asked.Score.Greedy = 4, true
	if s := got.Seconds(estimate.Speed{Prompt: 200, Draw: 100}, asked); s <= fast {
		t.Errorf("answering the buffer costs nothing: %g s, without %g s", s, fast)
	}
}

// With a clock that ticks once a reading, the speeds are the numbers of tokens.
func TestMeasure(t *testing.T) {
	at := time.Unix(0, 0)
	clock := func() time.Time { at = at.Add(time.Second); return at }
	got, err := estimate.Measure(t.Context(), policytest.Open(t, 1), clock)
	if err != nil || got.Prompt != 96 || got.Draw < 1 || got.Draw > 48 {
		t.Errorf("%+v, %v", got, err)
	}
}
