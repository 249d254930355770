package estimate_test

import (
	"math"
	"testing"

	"itool/ops/config"
	"itool/ops/estimate"
	"itool/ops/report"
)

// TestScale: each stage's time grows with its number of items.
func TestScale(t *testing.T) {
	full := config.Default()
	full.Select.MaxTrees, full.Line.EvaluateRows = 30, 100
	r := &report.Report{
		Rows:   report.Rows{Parts: map[string]int{"train": 100, "validation": 50, "test": 400}, Replay: 50},
		Rounds: []report.Round{{Trees: 5, Pairs: 20}},
		Seconds: []report.StageTime{
			{Stage: "split", Items: 1, Seconds: 1}, {Stage: "warmup", Items: 1, Seconds: 10},
			{Stage: "score", Items: 2, Seconds: 4}, {Stage: "expand", Items: 5, Seconds: 10},
			{Stage: "update", Items: 1, Seconds: 2}, {Stage: "evaluate", Items: 3, Seconds: 6},
		},
	}
	e := estimate.Scale(r, full, 0.1, 2) // a tenth of the rows, one of three rounds, two slots
	want := map[string]float64{
		"split": 1, "warmup": 100, "score": 4. / 2 * 10 * 3, // ten times the rows, three rounds
		"expand": 10. / 2 * 30 / 5 * 3, "update": 2. * 30 / 5 * 3, // 30 trees of a round, not 50: max_trees
		"evaluate": 6. / 2 * 100 / 16 * 5 / 3, // 100 rows instead of 16, five policies instead of three
	}
	if e.Pairs != 20*6 || !e.Trains {
		t.Errorf("%v pairs of a round, enough: %v; want 120, true", e.Pairs, e.Trains)
	}
	sum := 0.0
	for _, s := range e.Stages {
		if math.Abs(s.Seconds-want[s.Stage]) > 1e-9 {
			t.Errorf("%s: %v, want %v", s.Stage, s.Seconds, want[s.Stage])
		}
		sum += want[s.Stage]
	}
	if len(e.Stages) != len(want) || math.Abs(e.Seconds-sum) > 1e-9 {
		t.Errorf("%d stages, %v seconds, want %d and %v", len(e.Stages), e.Seconds, len(want), sum)
	}
}

// TestScaleFewPairs: when a round finds too few pairs, the estimate says that it trains
// nothing.
func TestScaleFewPairs(t *testing.T) {
	full := config.Default()
	full.Select.MaxTrees = 30
	// 42 and 48 pairs are too few, 66 make 8 steps.
	for pairs, trains := range map[int]bool{7: false, 8: false, 10: false, 11: true} {
		e := estimate.Scale(&report.Report{
			Rows: report.Rows{Replay: 50}, Rounds: []report.Round{{Trees: 5, Pairs: pairs}},
			Seconds: []report.StageTime{{Stage: "update", Items: 1, Seconds: 2}},
		}, full, 0.1, 2)
		if e.Trains != trains || (e.Seconds > 0) != trains {
			t.Errorf("%d pairs of 5 trees, %v of 30: trains %v in %v s, want %v",
				pairs, e.Pairs, e.Trains, e.Seconds, trains)
		}
	}
}
