package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/ops/config"
	"itool/stages/expand/search"
	"itool/stages/filter"
)

// TestPresetPaper: one setting has all that the authors' script has, over expand, filter and update.
func TestPresetPaper(t *testing.T) {
	c, err := config.Load(config.Default(), "", []string{"preset=paper"})
	if err != nil {
		t.Fatal(err)
	}
	e, p := c.Expand, search.Paper()
	got := search.Params{
		Width: e.Width, Iterations: e.Iterations, MaxDepth: e.Depth, Simulation: e.Simulation, C: e.C, Gamma: e.Gamma,
		Patience: e.Patience, Coverage: e.Coverage, Temperature: e.Temperature, MinDistinct: e.MinDistinct,
		DrawsPerChild: p.DrawsPerChild,
	}
	if got != p || e.Preset != "" || e.Leaves != 1 || e.Outcome != "strict" {
		t.Errorf("expand %+v, want the search %+v", e, p)
	}
	want := filter.Config{Similarity: 0.95, MinQDifference: 0.1, MinChosenQ: 0.3, Mode: "paper", Unfinished: true}
	if c.Filter != want {
		t.Errorf("filter %+v, want %+v", c.Filter, want)
	}
	if c.Update.SFTWeight != 0 || c.Update.Loss != "simpo" {
		t.Errorf("update %+v", c.Update)
	}
}

// TestPresetSamples: without MCTS, four samples where the paper says four, and every pair of different
// probabilities counts.
func TestPresetSamples(t *testing.T) {
	c, err := config.Load(config.Default(), "", []string{"preset=samples"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Expand.Preset != "samples" || c.Expand.Width != 4 || c.Filter.Mode != "paper" || c.Filter.MinChosenQ != 0 ||
		c.Filter.MinQDifference != 0 || c.Filter.Similarity != 0.95 || c.Update.SFTWeight != 0 {
		t.Errorf("expand %+v, filter %+v, update.sft_weight %g", c.Expand, c.Filter, c.Update.SFTWeight)
	}
}

// TestPresetAndSettings: what a user sets beside a preset counts, wherever either stands.
func TestPresetAndSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "itool.yaml")
	if err := os.WriteFile(file, []byte("expand: {width: 5}\npreset: paper\nline: {rounds: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		sets []string
	}{
		"in one file": {file, []string{"filter.mode=proven"}},
		"flags, before": {
			"", []string{"expand.width=5", "filter.mode=proven", "line.rounds=1", "preset=paper"},
		},
		"flags, behind": {
			"", []string{"preset=paper", "line.rounds=1", "filter.mode=proven", "expand.width=5"},
		},
		"a flag over the file":  {file, []string{"preset=paper", "filter.mode=proven"}},
		"another preset before": {file, []string{"preset=samples", "preset=paper", "filter.mode=proven"}},
	} {
		got, err := config.Load(config.Default(), c.file, c.sets)
		if err != nil {
			t.Fatal(err)
		}
		if got.Preset != "paper" || got.Expand.Width != 5 || got.Expand.Depth != 3 || got.Filter.Mode != "proven" ||
			!got.Filter.Unfinished || got.Line.Rounds != 1 || got.Expand.Preset != "" {
			t.Errorf("%s: preset %q, expand %+v, filter %+v, line %+v",
				name, got.Preset, got.Expand, got.Filter, got.Line)
		}
	}
}

// TestPresetOfALab: the settings of an arm come over those of all arms, presets included.
func TestPresetOfALab(t *testing.T) {
	set := func(path string, v any) config.Setting { return config.Setting{At: "lab.yaml:3", Path: path, Value: v} }
	common, err := config.Overlay(config.Default(), []config.Setting{set("expand.width", 6), set("preset", "paper")})
	if err != nil {
		t.Fatal(err)
	}
	arm, err := config.Overlay(common, []config.Setting{set("expand.depth", 0)})
	if err != nil || arm.Expand.Width != 6 || arm.Expand.Depth != 0 || arm.Expand.Simulation != 2 {
		t.Errorf("arm %+v, %v", arm.Expand, err)
	}
	arm, err = config.Overlay(common, []config.Setting{set("preset", "samples")})
	if err != nil || arm.Expand.Width != 4 || arm.Expand.Preset != "samples" || arm.Filter.Unfinished {
		t.Errorf("arm %+v, %v", arm.Expand, err)
	}
	_, err = config.Overlay(common, []config.Setting{set("preset", "")})
	if err == nil || !strings.Contains(err.Error(), "lab.yaml:3: preset: paper, which comes before") {
		t.Errorf("taking a preset back: %v", err)
	}
}

// sets splits flags; a blank may stand in a value.
func sets(flags string) []string {
	all := strings.Split(flags, " expand.")
	for i := range all[1:] {
		all[i+1] = "expand." + all[i+1]
	}
	return all
}

func TestPresetErrors(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"preset=papre", `preset: "papre" is neither`},
		{"preset=3", "preset: want a name"},
		{"preset={a: 1}", "preset"},
		{"preset=paper expand.preset=samples", "use preset: samples"},
		{"preset=paper expand.widht=3", "did you mean width"},
	} {
		if _, err := config.Load(config.Default(), "", sets(c.set)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q", c.set, err, c.want)
		}
	}
	// The search's own preset goes on working.
	c, err := config.Load(config.Default(), "", []string{"expand.preset=paper"})
	if err != nil || c.Filter.Mode != "proven" {
		t.Errorf("expand.preset alone: %+v, %v", c.Filter, err)
	}
}

// TestDepartures: the table of the guide is that of the program. The preset paper leaves what is not in
// expand, filter and update.
func TestDepartures(t *testing.T) {
	of := func(c config.Config) []config.Departure {
		text, _, err := c.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		return config.Departures(json.RawMessage(text))
	}
	var table strings.Builder
	for _, d := range of(config.Default()) {
		fmt.Fprintf(&table, "| `%s` | `%s` | `%s` | %s |\n", d.Setting, d.Here, d.Paper, d.Why)
	}
	if n := strings.Count(table.String(), "\n"); n != 14 {
		t.Errorf("%d departures of the defaults, want all 14:\n%s", n, &table)
	}
	page, err := os.ReadFile("../guide/compare.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("ops/guide/compare.md does not hold these rows:\n%s", &table)
	}
	paper, err := config.Load(config.Default(), "", []string{"preset=paper", "expand.width=8"})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, d := range of(paper) {
		left = append(left, d.Setting+" "+d.Here)
	}
	want := []string{
		`select.self_eval "auto"`, "C of Eq. 7 the expectation, mean of 4 orders of the options", "expand.width 8",
		"expand.token_budget 8192",
	}
	if !slices.Equal(left, want) {
		t.Errorf("under the preset, with expand.width 8: %q", left)
	}
	if old := config.Departures(json.RawMessage(`{"expand": {"depth": 0}}`)); len(old) != 2 {
		t.Errorf("of an older run: %+v", old)
	}
}
