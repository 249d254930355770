package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"itool/ops/config"
	"itool/ops/report"
)

// TestScaled: each stage's time grows with what it works on.
func TestScaled(t *testing.T) {
	full := config.Default()
	full.Select.MaxTrees, full.Line.EvaluateRows = 30, 100
	r := &report.Report{
		Rows:   report.Rows{Parts: map[string]int{"train": 100, "validation": 50, "test": 400}, Replay: 50},
		Rounds: []report.Round{{Trees: 5, Pairs: 20}},
		Seconds: []report.StageTime{{Stage: "split", Items: 1, Seconds: 1}, {Stage: "warmup", Items: 1, Seconds: 10}, {Stage: "score", Items: 2, Seconds: 4},
			{Stage: "expand", Items: 5, Seconds: 10}, {Stage: "update", Items: 1, Seconds: 2}, {Stage: "evaluate", Items: 3, Seconds: 6}},
	}
	e := scaled(r, full, 0.1, 2) // a tenth of the rows, one of three rounds, two slots
	want := map[string]float64{
		"split": 1, "warmup": 100, "score": 4. / 2 * 10 * 3, // ten times the rows, three rounds
		"expand": 10. / 2 * 30 / 5 * 3, "update": 2. * 30 / 5 * 3, // 30 trees of a round, not 50: max_trees
		"evaluate": 6. / 2 * 100 / 16 * 5 / 3, // 100 rows instead of 16, five policies instead of three
	}
	if e.Pairs != 20*6 || !e.Trains {
		t.Errorf("%v pairs of a round, enough: %v", e.Pairs, e.Trains)
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

// TestScaledFewPairs: rounds that would train nothing are foreseen.
func TestScaledFewPairs(t *testing.T) {
	full := config.Default()
	full.Select.MaxTrees = 30
	for pairs, trains := range map[int]bool{7: false, 8: false, 10: false, 11: true} { // 48 and 42 pairs are too few, 60 make 8 steps
		e := scaled(&report.Report{Rows: report.Rows{Replay: 50}, Rounds: []report.Round{{Trees: 5, Pairs: pairs}}, Seconds: []report.StageTime{{Stage: "update", Items: 1, Seconds: 2}}}, full, 0.1, 2)
		if e.Trains != trains || (e.Seconds > 0) != trains {
			t.Errorf("%d pairs of 5 trees, %v of 30: %v, %v s", pairs, e.Pairs, e.Trains, e.Seconds)
		}
	}
}

// TestEstimate: a pilot that leaves nothing behind.
func TestEstimate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in a process of its own")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 200), writeBase(t, dir, nil)
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	args := append([]string{"estimate", file, "--base", base, "--rows", "32", "--price", "2", "--json"}, small...)
	code, out, errs := itool(t, dir, args...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var e estimate
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err, out)
	}
	stages := map[string]float64{}
	for _, s := range e.Stages {
		stages[s.Stage] = s.Seconds
	}
	if e.Seconds <= 0 || e.Bytes < 1<<20 || math.Abs(e.Cost-2*e.Seconds/3600) > 1e-9 || stages["warmup"] <= 0 || stages["expand"] <= 0 || stages["evaluate"] <= 0 {
		t.Errorf("got %+v", e)
	}
	if e.Pilot.Rows < 16 || e.Pilot.Rows > 64 {
		t.Errorf("the pilot trained on %d rows, 32 were asked for", e.Pilot.Rows)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if matched, _ := filepath.Match("itool-estimate-*", f.Name()); matched {
			t.Errorf("%s is left", f.Name())
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"estimate", file, "--rows", "2"}, exitUsage},
		{[]string{"estimate", writeRows(t, t.TempDir(), 0, "no json"), "--base", base}, exitError},
	} {
		if code, out, errs := itool(t, dir, c.args...); code != c.code {
			t.Errorf("%v: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
}
