package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/config"
	"itool/ops/demo"
	"itool/ops/lab"
)

const (
	named  = "name: x\nquestion: Why?\n"
	start  = named + "demo: quick\nseeds: [1, 2]\nset: {split.test_share: 0.2}\n"
	arm    = "arms:\n  - {name: a, set: {" // the caller closes both braces
	oneArm = "arms: [{name: a}]\n"
)

// TestWrongSpecifications: an error names the line and says what to do.
func TestWrongSpecifications(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"an unknown key":           {"name: x\narmz: []\n", "spec.yaml:2|armz|did you mean arms?"},
		"an unknown key of an arm": {start + "arms:\n  - {nam: a}\n", "spec.yaml:7|nam|did you mean name?"},
		"an unknown setting": {
			start + "arms:\n  - name: a\n    set: {expand.widht: 2}\n",
			"spec.yaml:8|expand.widht|did you mean width?"},
		"a setting out of range": {
			start + "arms:\n  - name: a\n    set:\n      line.rounds: -1\n",
			"spec.yaml:9|line.rounds|-1"},
		"a wrong type": {start + "tuning: perhaps\n" + oneArm, "spec.yaml:6"},
		"no question":  {"name: x\ndemo: true\nseeds: [1]\n" + oneArm, "question"},
		"no seeds":     {named + "demo: true\n" + oneArm, "seeds"},
		"a seed twice": {named + "demo: true\nseeds: [1, 1]\n" + oneArm, "1 occurs twice"},
		"no arms":      {start, "arms"},
		"no data":      {named + "seeds: [1]\n" + oneArm, "demo: true|base:"},
		"both data":    {start + "base: b\n" + oneArm, "demo"},
		"a name that the broker refuses": {
			"name: x y\nquestion: Why?\ndemo: true\nseeds: [1]\n" + oneArm,
			"name"},
		"two arms with one name": {start + "arms: [{name: a}, {name: a}]\n", "two arms are named a"},
		"an arm with its own rows": {
			start + arm + "split.share_seed: 2}}\n  - {name: b}\ncompare: [a - b]\n",
			"spec.yaml:9|spec.yaml:7|a and b|split.share_seed|evaluated alike"},
		"an arm with its own test files": {
			start + arm + "split.test_files: [a.jsonl]}}\n  - {name: b}\ncompare: [b - a]\n",
			"spec.yaml:9|spec.yaml:7|split.test_files|evaluated alike"},
		"arms of one name for a run": {
			start + "arms:\n  - {name: a b}\n  - {name: a-b, datasets: [d]}\n", "spec.yaml:8|a b and a-b|rename one"},
		"a variable that is not set": {
			named + "base: $ITOOL_NOWHERE/x\ndatasets: [d]\nseeds: [1]\n" + oneArm, "ITOOL_NOWHERE|export"},
		"a grid with too many cells": {
			start + "grid:\n" + axes(8, 20),
			"spec.yaml:9|8000 cells|several specifications"},
		"an arm with its own evaluation": {
			start + arm + "evaluate.max_tokens: 2}}\n  - {name: b}\ncompare: [a - b]\n", "evaluate.max_tokens"},
		"an arm with its own seed": {start + arm + "seed: 2}}\n", "seed"},
		"line.evaluate in set": {
			"set: {line.evaluate: both}\n" + named + "demo: quick\nseeds: [1]\n" + oneArm,
			"spec.yaml:1|tuning"},
		"a comparison with an unknown arm": {
			start + "arms: [{name: a}]\ncompare:\n  - a - b\n",
			"spec.yaml:8|no arm named \"b\""},
		"a comparison without a minus": {
			start + "arms: [{name: a}]\ncompare: [a]\n",
			"spec.yaml:7|arm - other arm"},
		"an unknown measure": {start + "arms: [{name: a, measure: best}]\n", "best|round 1"},
		"a round after the last": {
			start + "arms: [{name: a, measure: round 9}]\n",
			"arm a measures round 9, but line.rounds is 3"},
		"nothing held out": {named + "base: b\ndatasets: [d]\nseeds: [1]\n" + oneArm, "split.test_share"},
		"rivals tuned on the test part": {
			start + "tune: {update.rate: [1e-4]}\n" + oneArm, "spec.yaml:6|tuning: true"},
		"a key twice":           {start + "name: y\n" + oneArm, "name"},
		"broken YAML":           {"name: [x\n", "spec.yaml"},
		"a grid without values": {start + "grid: {update.rate: []}\n", "spec.yaml:6|update.rate"},
		"a grid over an unknown setting": {
			start + "grid: {update.rat: [1]}\n",
			"spec.yaml:6|update.rat|did you mean rate?"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := lab.Read(write(t, c.yaml))
			if err == nil {
				_, err = s.Plan(config.Default())
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range strings.Split(c.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not contain %q", err, part)
				}
			}
		})
	}
}

// TestPlan: every cell of a grid becomes an arm, arms with the same settings use the same
// runs, and a tuning lab evaluates the validation part only.
func TestPlan(t *testing.T) {
	p := plan(t, start+`
tuning: true
arms:
  - name: full
  - {name: after one round, measure: round 1}
  - {name: none, set: {line.rounds: 0}, note: without rounds}
grid:
  update.rate: [3e-5, 1.0e-4]
  expand: {width: [2, 4, 6]}
compare: [full - none, [full, after one round], {pair: none - full, note: back}]
`)
	if len(p.Arms) != 9 || len(p.Runs) != 16 || p.Part != "validation" {
		t.Errorf("%d arms, %d runs on %s; want 9, 16 on validation", len(p.Arms), len(p.Runs), p.Part)
	}
	seen := map[string]bool{}
	for i, r := range p.Runs {
		if c := r.Config; c.Line.Evaluate != "validation" || c.Seed != r.Seed || c.Split.ShareSeed != 1 {
			t.Errorf("run %s: evaluate %s, seed %d, share seed %d; want validation, %d, 1",
				r.Name, c.Line.Evaluate, c.Seed, c.Split.ShareSeed, r.Seed)
		}
		if seen[r.Name] {
			t.Errorf("two runs are named %s", r.Name)
		}
		if seen[r.Name] = true; i < 8 != (r.Seed == 1) {
			t.Errorf("run %d has seed %d: want the runs of seed 1 first", i, r.Seed)
		}
	}
	if a, b := p.Arms[0], p.Arms[1]; a.Runs[0] != b.Runs[0] || a.Runs[1] != b.Runs[1] {
		t.Error("two measures of the same settings are different runs")
	}
	if got, want := p.Arms[8].Name, "update.rate=0.0001 expand.width=6"; got != want {
		t.Errorf("the last cell is named %q, want %q", got, want)
	}
	if got := strings.Join(p.Arms[3].Differs, " "); got != "expand.width=2 update.rate=3e-05" {
		t.Errorf("the first cell differs by %q", got)
	}
	if len(p.Compare) != 3 || p.Compare[1].B != "after one round" || p.Compare[2].Note != "back" {
		t.Errorf("comparisons %+v", p.Compare)
	}
}

// TestTune: every arm is tried with every cell, but for one that measures what was before the rounds.
func TestTune(t *testing.T) {
	text := start + "tuning: true\ntune: {update.rate: [1.0e-4, 3.0e-4]}\n" +
		"arms:\n  - {name: full}\n  - {name: sft, set: {update.loss: sft}}\n  - {name: none, measure: warm-up}\n"
	p := plan(t, text)
	var names []string
	for _, a := range p.Arms {
		names = append(names, a.Name)
	}
	want := "full update.rate=0.0001, full update.rate=0.0003, sft update.rate=0.0001, sft update.rate=0.0003, none"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("arms %s, want %s", got, want)
	}
	if got := strings.Join(p.Arms[3].Differs, " "); got != "update.loss=sft update.rate=0.0003" {
		t.Errorf("the last cell differs by %s", got)
	}
}

// axes are the lines of a grid of n settings, each with the given number of values.
func axes(n, values int) string {
	settings := []string{
		"update.rate", "update.beta", "expand.width", "expand.c",
		"warmup.epochs", "warmup.rate", "update.gamma", "select.ratio",
	}
	var b strings.Builder
	for _, s := range settings[:n] {
		list := make([]string, values)
		for i := range list {
			list[i] = fmt.Sprint(i + 1)
		}
		fmt.Fprintf(&b, "  %s: [%s]\n", s, strings.Join(list, ", "))
	}
	return b.String()
}

// TestPaper: the repository's own specification can be read and planned.
func TestPaper(t *testing.T) {
	s, err := lab.Read("../../integration/lab/paper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(demo.Config(false))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Runs) < len(p.Seeds) || p.Tuning {
		t.Errorf("%d runs for %d seeds, tuning %t", len(p.Runs), len(p.Seeds), p.Tuning)
	}
}

// TestBase: the path of a base is relative to the specification; the name of a run is not.
func TestBase(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "model"), 0o755); err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]string{
		"model":           filepath.Join(dir, "model"),
		"model@2":         filepath.Join(dir, "model@2"), // a run's folder
		"try1":            "try1",
		"try1@0":          "try1@0",
		"Qwen/Qwen3-0.6B": "Qwen/Qwen3-0.6B",
	} {
		file := filepath.Join(dir, "spec.yaml")
		text := named + "base: " + base + "\ndatasets: [d]\nset: {split.test_share: 0.5}\nseeds: [1]\n" + oneArm
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := lab.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if s.Base != want || s.Datasets[0] != filepath.Join(dir, "d") {
			t.Errorf("%s: got %s and %s, want %s", base, s.Base, s.Datasets[0], want)
		}
	}
}
