// Package config is the whole configuration of a run: the sections of all stages with their defaults,
// overlaid by one YAML file and --set flags, validated, and frozen.
//
// An unknown key is an error that names its line: a misspelt setting that is silently ignored can cost
// a night. The resolved configuration is stored with the run, and its digest travels in every message.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"itool/ops/line"
	"itool/stages/evaluate"
	"itool/stages/expand"
	"itool/stages/filter"
	"itool/stages/policy/remote"
	"itool/stages/score"
	"itool/stages/selection"
	"itool/stages/split"
	"itool/stages/update"
	"itool/stages/warmup"
)

// Config has one section for the line and one for each stage that has settings, under the name of
// the stage. To add a section, add its field and its default, and write ops/itool/settings.yaml again:
// go test ./ops/itool -run Settings -update
type Config struct {
	Seed uint64 `json:"seed"` // every random choice of the run derives from it

	// Preset is "" or a name for settings of expand, filter and update. What is set beside it counts, also in
	// this file, so delete the lines that it shall decide.
	//   - "paper": the authors' script: shallow trees, pairs from unfinished answers, too, accepted by Q
	//   - "samples": the paper's baseline without MCTS: of four answers the likeliest against the least likely
	Preset string `json:"preset"`

	// Judge is the name and version by which a program of yours calls itself that says whether answers are
	// right, such as "units 3": for search, selection, training's measurements and guard, and evaluation. "" is
	// the check by the reference. Workers know where it is: --judge.
	Judge string `json:"judge"`

	Engine   remote.Config    `json:"engine"`
	Line     line.Config      `json:"line"`
	Split    split.Config     `json:"split"`
	Warmup   warmup.Config    `json:"warmup"`
	Score    score.Config     `json:"score"`
	Select   selection.Config `json:"select"`
	Expand   expand.Config    `json:"expand"`
	Filter   filter.Config    `json:"filter"`
	Update   update.Config    `json:"update"`
	Evaluate evaluate.Config  `json:"evaluate"`
}

// Default has the values of the paper and of the design.
func Default() Config {
	return Config{
		Seed: 1, Engine: remote.Default(), Line: line.Default(), Split: split.Default(), Warmup: warmup.Default(),
		Score: score.Default(), Select: selection.Default(), Expand: expand.Default(),
		Filter: filter.Default(), Update: update.Default(), Evaluate: evaluate.Default(),
	}
}

// Validate checks every section. Its error begins with section and field.
func (c Config) Validate() error {
	all := reflect.ValueOf(c)
	for i := range all.NumField() {
		section, ok := all.Field(i).Interface().(interface{ Validate() error })
		if !ok {
			continue // the seed, the preset, the judge
		}
		if err := section.Validate(); err != nil {
			name := all.Type().Field(i).Tag.Get("json")
			if msg := err.Error(); !strings.HasPrefix(msg, name+".") {
				return fmt.Errorf("%s.%s", name, strings.TrimPrefix(msg, name+": "))
			}
			return err
		}
	}
	if err := c.checkPreset(); err != nil {
		return err
	}
	if c.Select.SelfEvalReference != c.Expand.SelfEvalReference {
		return fmt.Errorf("select.self_eval_reference: %t, but expand.self_eval_reference is %t: "+
			"they must have the same value, or the calibration is of another form than the one in use",
			c.Select.SelfEvalReference, c.Expand.SelfEvalReference)
	}
	if err := c.checkJudge(); err != nil {
		return err
	}
	return c.checkOrder()
}

// longestJudge bounds the name of a judge, in bytes.
const longestJudge = 128

// checkJudge refuses what a judge of the user's own cannot decide: fragments of answers.
func (c Config) checkJudge() error {
	switch {
	case len(c.Judge) > longestJudge || strings.ContainsFunc(c.Judge, unicode.IsControl):
		return fmt.Errorf("judge: %q is no name: at most %d bytes, no control characters", c.Judge, longestJudge)
	case c.Judge != "" && c.Filter.Mode == filter.ModeFragment:
		return fmt.Errorf("filter.mode: fragment lets the reference decide, and this run has the judge %q: "+
			"set filter.mode to proven", c.Judge)
	}
	return nil
}

// checkOrder checks that score measures what select orders by. It is not switched on in silence, because
// the answers of the whole buffer take much longer than its perplexities.
func (c Config) checkOrder() error {
	switch {
	case c.Select.Order == selection.OrderMixed && c.Score.Draws < 2:
		return fmt.Errorf("select.order: mixed needs score.draws of 2 or more, it is %d: set score.draws to 4 "+
			"(so many answers to every example of the buffer, in every round)", c.Score.Draws)
	case c.Select.Order == selection.OrderErrors && !c.Score.Greedy:
		return fmt.Errorf("select.order: errors needs score.greedy: set it to true " +
			"(an answer to every example of the buffer, in every round)")
	}
	return nil
}

// Freeze returns the resolved configuration as the run stores it, and its digest.
func (c Config) Freeze() (text, digest string, err error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", "", fmt.Errorf("config: %w", err)
	}
	sum := sha256.Sum256(b)
	return string(b), hex.EncodeToString(sum[:]), nil
}
