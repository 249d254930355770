package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"itool/stages/expand"
	"itool/stages/filter"
)

// Presets are settings of several stages under one name. What a user sets beside a preset counts; what
// the run would have had without it does not.
const (
	// PresetPaper is the authors' script: shallow trees, pairs from unfinished answers, too, accepted by Q.
	PresetPaper = "paper"
	// PresetSamples is the paper's baseline without MCTS: of four whole answers the likeliest is preferred to
	// the least likely.
	PresetSamples = "samples"
)

// with returns the configuration with the settings of a preset.
func (c Config) with(preset string) (Config, error) {
	was := c.Preset
	c.Preset = preset
	e, f := &c.Expand, &c.Filter
	switch preset {
	case "":
		if was != "" {
			return c, fmt.Errorf("preset: %s, which comes before, cannot be taken back: set it only where it is wanted",
				was)
		}
		return c, nil
	case PresetPaper:
		e.Preset, e.Width, e.Depth, e.Simulation, e.Iterations, e.Temperature = "", 3, 3, 2, 5, 1.5
		e.MinDistinct, e.Coverage, e.Patience = 0, 0, 0
		f.MinQDifference, f.MinChosenQ, f.Unfinished = 0.1, 0.3, true
	case PresetSamples:
		e.Preset, e.Width, e.Temperature = expand.PresetSamples, 4, 1
		f.MinQDifference, f.MinChosenQ, f.Unfinished = 0, 0, false // Q is a probability
	default:
		return c, fmt.Errorf("preset: %q is neither empty nor %s nor %s", preset, PresetPaper, PresetSamples)
	}
	e.C, e.Gamma, e.Leaves, e.Outcome = 1, 1, 1, expand.OutcomeStrict
	f.Mode, f.Similarity = filter.ModePaper, 0.95
	c.Update.Loss, c.Update.SFTWeight = "simpo", 0
	return c, nil
}

// checkPreset refuses the baseline without MCTS under the settings for a search: a probability is hardly
// ever 0.3.
func (c Config) checkPreset() error {
	if c.Preset == PresetPaper && c.Expand.Preset == expand.PresetSamples && c.Filter.MinChosenQ > 0 {
		return fmt.Errorf("expand.preset: %s ranks by probability, and preset: %s asks for Q ≥ %g: "+
			"use preset: %[1]s, which is the paper's baseline without MCTS", expand.PresetSamples, PresetPaper,
			c.Filter.MinChosenQ)
	}
	return nil
}

// A Departure is a setting that the paper has otherwise, or something that no setting changes.
type Departure struct {
	Setting string `json:"setting"` // "section.key", or what it is
	Here    string `json:"here"`    // its value, JSON
	Paper   string `json:"paper"`   // the paper's or its authors' script's, JSON
	Why     string `json:"why"`     // why the default is not the paper's
}

// departures are all settings whose defaults the paper has otherwise.
var departures = []Departure{
	{"select.self_eval", "", `"on"`, "a self-evaluation that cannot tell right from wrong adds noise to the reward: " +
		"C counts if its AUC and mass are good enough"},
	{"C of Eq. 7", "the expectation, mean of 4 orders of the options", "the mean of 4 samples",
		"no noise of sampling and no preference for a letter, at the same cost"},
	{"expand.depth", "", "3", "errors in parameters lie deeper: at three fragments a call has one or two arguments"},
	{"expand.width", "", "3", "one more child per node, since many are alike"},
	{"expand.simulation", "", "2", "a roll-out that is cut has no outcome, so that C alone would decide"},
	{"expand.iterations", "", "5", "by the length of the reference: long answers have more nodes to compare"},
	{"expand.temperature", "", "1.5", "fragments are drawn as the policy writes them"},
	{"expand.min_distinct", "", "0", "… and at 1.3 where they are too alike"},
	{"expand.coverage", "", "0", "draws that would be duplicates are saved"},
	{"expand.patience", "", "0", "a search that has found its order stops"},
	{"expand.token_budget", "", "0", "bounds the time and memory of a tree, for a policy that never ends a line"},
	{"filter.mode", "", `"paper"`, "a high Q does not say that the other side is wrong; an answer that passes does"},
	{"filter.unfinished", "", "true", "without an answer below both sides nothing proves a pair"},
	{"update.sft_weight", "", "0", "in small models both sides lose probability; this holds the chosen one up"},
}

// Departures are the settings of a run's configuration, JSON, that the paper has otherwise, in the order
// of the sections. Settings that an older run did not have are left out.
func Departures(config json.RawMessage) []Departure {
	var sections map[string]json.RawMessage
	_ = json.Unmarshal(config, &sections) // a run's configuration was read before
	var out []Departure
	for _, d := range departures {
		section, key, isSetting := strings.Cut(d.Setting, ".")
		if !isSetting || d.Here != "" {
			out = append(out, d)
			continue
		}
		var values map[string]json.RawMessage
		_ = json.Unmarshal(sections[section], &values)
		if v, known := values[key]; known && string(v) != d.Paper {
			d.Here = string(v)
			out = append(out, d)
		}
	}
	return out
}
