package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"itool/ops/config"
	"itool/ops/line"
)

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		sets []string
		err  string                 // all parts, separated by |, must be in the error; "" = none
		want func(c *config.Config) // changes the defaults into what must come out; nil: the defaults
	}{
		"nothing is the default": {},
		"a file overlays": {yaml: "seed: 9\nexpand:\n  width: 3\n",
			want: func(c *config.Config) { c.Seed, c.Expand.Width = 9, 3 }},
		"a flag overlays the file": {yaml: "line:\n  rounds: 2\n", sets: []string{"line.rounds=1"},
			want: func(c *config.Config) { c.Line.Rounds = 1 }},
		"a whole seed": {yaml: "seed: 18446744073709551615\n",
			want: func(c *config.Config) { c.Seed = 18446744073709551615 }},
		"comments only": {yaml: "# nothing\n"},
		"two sections that disagree": {sets: []string{"expand.self_eval_reference=false"},
			err: "select.self_eval_reference|must have the same value"},
		"two sections that agree": {
			sets: []string{"expand.self_eval_reference=false", "select.self_eval_reference=false"},
			want: func(c *config.Config) { c.Expand.SelfEvalReference, c.Select.SelfEvalReference = false, false }},
		"an order that needs draws": {sets: []string{"select.order=mixed", "score.draws=1"},
			err: "select.order: mixed needs score.draws of 2 or more, it is 1"},
		"an order that needs answers": {sets: []string{"select.order=errors"},
			err: "select.order: errors needs score.greedy"},
		"orders with what they need": {sets: []string{"select.order=mixed", "score.draws=2"},
			want: func(c *config.Config) { c.Select.Order, c.Score.Draws = "mixed", 2 }},
		"an unknown key names its line": {yaml: "line:\n  rounds: 2\nexpand:\n  widht: 3\n",
			err: "itool.yaml:4|expand.widht|did you mean width"},
		"an unknown section":           {yaml: "expnad:\n  width: 3\n", err: "itool.yaml:1|expnad|did you mean expand"},
		"a wrong type names its line":  {yaml: "expand:\n  width: wide\n", err: "itool.yaml:2|expand.width|text is"},
		"a fraction of a whole number": {yaml: "line:\n  rounds: 1.5\n", err: "itool.yaml:2|line.rounds"},
		"out of range names its line":  {yaml: "seed: 2\nline:\n  rounds: -1\n", err: "itool.yaml:3|line.rounds|-1"},
		"a section that is no mapping": {yaml: "expand: 3\n", err: "itool.yaml:1|expand"},
		"broken YAML names its line":   {yaml: "expand:\n  width: [3\n", err: "itool.yaml"},
		"an unknown flag":              {sets: []string{"line.round=2"}, err: "--set line.round=2|did you mean rounds"},
		"a flag without a value":       {sets: []string{"line.rounds"}, err: "--set line.rounds|section.key=value"},
		"a flag that names a section":  {sets: []string{"line=3"}, err: "line is a section"},
		"a number in scientific form, then another": {yaml: "update:\n  rate: 1e-3\n",
			sets: []string{"update.rate=2e-4", "update.rate=3e-4"},
			want: func(c *config.Config) { c.Update.Rate = 3e-4 }},
		"a number in scientific form": {yaml: "warmup:\n  rate: 1e-3\n", sets: []string{"update.rate=3e-4"},
			want: func(c *config.Config) { c.Update.Rate, c.Warmup.Rate = 3e-4, 1e-3 }},
		"a flag out of range": {sets: []string{"line.rounds=-2"}, err: "--set line.rounds=-2|-2"},
		"a flag of an unknown section": {sets: []string{"lime.rounds=2"},
			err: "unknown section lime|did you mean line"},
		"a flag is read as YAML": {sets: []string{"expand.temperature=0.7", "update.loss=dpo"},
			want: func(c *config.Config) { c.Expand.Temperature, c.Update.Loss = 0.7, "dpo" }},
		"a judge is named by a text": {sets: []string{"judge=units 3"},
			want: func(c *config.Config) { c.Judge = "units 3" }},
		"a judge cannot decide fragments": {sets: []string{"judge=units 3", "filter.mode=fragment"},
			err: "filter.mode: fragment|set filter.mode to proven"},
		"a judge's name has one line":    {sets: []string{`judge="a\nb"`}, err: "judge: |control characters"},
		"null is no value for a section": {yaml: "expand:\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			if c.yaml != "" {
				file = filepath.Join(t.TempDir(), "itool.yaml")
				if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := config.Default()
			if c.want != nil {
				c.want(&want)
			}
			got, err := config.Load(config.Default(), file, c.sets)
			switch {
			case c.err == "" && err != nil:
				t.Fatal(err)
			case c.err != "" && err == nil:
				t.Fatalf("no error; got %+v", got)
			case c.err != "":
				for _, part := range strings.Split(c.err, "|") {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("error %q does not hold %q", err, part)
					}
				}
			case !reflect.DeepEqual(got, want):
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestFreezeIsStable(t *testing.T) {
	a, da, err := config.Default().Freeze()
	if err != nil {
		t.Fatal(err)
	}
	b, db, err := config.Default().Freeze()
	if err != nil || a != b || da != db {
		t.Errorf("two freezes differ: %v", err)
	}
	other := config.Default()
	other.Line.Rounds = 7
	if _, d, _ := other.Freeze(); d == da {
		t.Error("another configuration has the same digest")
	}
}

// TestBaselines checks that the settings of each baseline in the guide exist and change something.
func TestBaselines(t *testing.T) {
	page, err := os.ReadFile("../guide/compare.md")
	if err != nil {
		t.Fatal(err)
	}
	arms := 0
	settings := regexp.MustCompile("`((?:preset|[a-z_]+\\.[a-z_]+)=[^`]+)`")
	for _, quoted := range settings.FindAllStringSubmatch(string(page), -1) {
		arms++
		c, err := config.Load(config.Default(), "", strings.Fields(quoted[1]))
		if err != nil {
			t.Errorf("%s: %v", quoted[1], err)
		} else if reflect.DeepEqual(c, config.Default()) {
			t.Errorf("%s changes nothing", quoted[1])
		}
	}
	if arms < 12 {
		t.Errorf("%d arms found in the guide, want at least 12", arms)
	}
}

// Every section has the name of a stage, or else the stage would never see its settings (line is of the keeper, engine
// of the workers), and is
// checked.
func TestSections(t *testing.T) {
	names := []string{"line", "engine"}
	for _, row := range line.Rows(nil) {
		names = append(names, row.Spec().Name)
	}
	sections := reflect.TypeFor[config.Config]()
	for i := range sections.NumField() {
		name := sections.Field(i).Tag.Get("json")
		if name == "seed" || name == "preset" || name == "judge" {
			continue
		}
		if !slices.Contains(names, name) {
			t.Errorf("section %s has the name of no stage; there are %q", name, names)
		}
		if !sections.Field(i).Type.Implements(reflect.TypeFor[interface{ Validate() error }]()) {
			t.Errorf("section %s has no Validate", name)
		}
	}
}

// TestLaterSettings: a setting that JSON leaves out while it is zero can be set, and does not change the digest
// of a configuration that does not set it.
func TestLaterSettings(t *testing.T) {
	text, digest, err := config.Default().Freeze()
	if err != nil || strings.Contains(text, `"until"`) {
		t.Fatalf("%v: the frozen defaults hold warmup.until: %s", err, text)
	}
	same, err := config.Overlay(config.Default(), []config.Setting{{At: "x", Path: "update.steps", Value: 0}})
	if _, d, err2 := same.Freeze(); err != nil || err2 != nil || d != digest {
		t.Errorf("update.steps=0 gives another digest (%v, %v)", err, err2)
	}
	c, err := config.Overlay(config.Default(), []config.Setting{
		{At: "x", Path: "update.steps", Value: 7}, {At: "y", Path: "warmup.until", Value: "easy"},
		{At: "z", Path: "expand.answers", Value: "3e1"},
	})
	if err != nil || c.Update.Steps != 7 || c.Warmup.Until != "easy" || c.Expand.Answers != 30 {
		t.Errorf("%v: %d, %q, %d", err, c.Update.Steps, c.Warmup.Until, c.Expand.Answers)
	}
}
