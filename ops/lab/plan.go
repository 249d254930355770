package lab

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"itool/ops/config"
	"itool/ops/line"
	"itool/schemas"
)

// Plan is a specification with all runs that it needs. Arms with the same resulting settings
// use the same runs.
type Plan struct {
	Spec
	Start    config.Config // the configuration that all settings change
	Part     string        // the part that is evaluated: test, or validation while tuning
	Settings []string      // settings of all arms that differ from Start, "section.key=value"
	Arms     []PlannedArm
	Runs     []Run // in the order in which they are done: arm by arm within a seed
}

// PlannedArm is an arm with its runs.
type PlannedArm struct {
	Arm
	Differs []string // settings that differ from those of all arms, "section.key=value"
	Runs    []int    // index into Plan.Runs, one per seed
}

// Run is one run of the line.
type Run struct {
	Name   string // of its stream in the broker
	Arm    string // the first arm that needs it
	Seed   uint64
	Config config.Config
	Text   string // Config as the run stores it
	Digest string // digest of Text
}

// fixedSettings decide which rows a policy is evaluated on and how. They must be the same for
// all arms, otherwise their accuracies could not be compared.
var fixedSettings = []string{
	"seed", "split.share_seed", "split.test_share", "split.validation_share", "split.test_files",
	"split.validation_files", "split.max_tokens",
	"line.shard_rows", "line.evaluate", "line.evaluate_rows", "evaluate.",
}

// check reports the first thing that is missing or contradictory.
func (s *Spec) check() error {
	if err := schemas.ValidName(s.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	switch {
	case s.Question == "":
		return errors.New("question: say in one sentence what is compared; the report begins with it")
	case s.Demo == "" && (s.Base == "" || len(s.Datasets) == 0):
		return errors.New("no data: write demo: true, or base: and datasets: for your own model and data")
	case s.Demo != "" && (s.Base != "" || len(s.Datasets) > 0):
		return errors.New("demo has its own base and dataset: remove it, or remove base and datasets")
	case len(s.Seeds) == 0:
		return errors.New("seeds: at least one is needed, such as [1, 2, 3]")
	case len(s.Arms) == 0:
		return errors.New("no arms: write arms:, grid:, or both")
	}
	for i, n := range s.Seeds {
		if slices.Contains(s.Seeds[:i], n) {
			return fmt.Errorf("seeds: %d occurs twice", n)
		}
	}
	return s.checkNames()
}

const noMeasure = "measure: %q is none of last, base, warm-up, round 1, round 2 …"

// checkNames checks the names of arms, the measures, the settings and the comparisons.
func (s *Spec) checkNames() error {
	if _, _, ok := round(s.Measure); !ok {
		return fmt.Errorf(noMeasure, s.Measure)
	}
	names := map[string]bool{}
	for _, a := range s.Arms {
		_, _, ok := round(a.Measure)
		switch {
		case a.Name == "":
			return fmt.Errorf("%s: an arm needs a name", a.at)
		case names[a.Name]:
			return fmt.Errorf("%s: two arms are named %s", a.at, a.Name)
		case !ok:
			return fmt.Errorf("%s: "+noMeasure, a.at, a.Measure)
		}
		names[a.Name] = true
		for _, x := range a.Settings {
			for _, h := range fixedSettings {
				if x.Path == h || strings.HasSuffix(h, ".") && strings.HasPrefix(x.Path, h) {
					return fmt.Errorf("%s: %s must not differ between arms, because all arms must be evaluated alike; "+
						"move it to set: at the top", x.At, x.Path)
				}
			}
		}
	}
	for _, x := range s.Common {
		if x.Path == "seed" {
			return fmt.Errorf("%s: seed: write seeds: at the top", x.At)
		}
		if x.Path == "line.evaluate" {
			return fmt.Errorf("%s: line.evaluate follows from tuning: validation while tuning, test otherwise", x.At)
		}
	}
	for _, p := range s.Compare {
		for _, n := range []string{p.A, p.B} {
			if !names[n] {
				return fmt.Errorf("%s: no arm named %q", p.at, n)
			}
		}
	}
	return nil
}

// Plan applies the settings of every arm to start and makes a run for every seed.
func (s *Spec) Plan(start config.Config) (*Plan, error) {
	p := &Plan{Spec: *s, Start: start, Part: schemas.PartTest}
	if s.Tuning {
		p.Part = schemas.PartValidation
	}
	common, err := config.Overlay(start, s.Common)
	if err != nil {
		return nil, err
	}
	p.Settings = differing(start, common)
	index := map[string]int{} // digest of a configuration → its run
	for _, a := range s.Arms {
		p.Arms = append(p.Arms, PlannedArm{Arm: a})
	}
	for _, seed := range s.Seeds {
		for i := range p.Arms {
			a := &p.Arms[i]
			r, err := p.planRun(a, common, seed)
			if err != nil {
				return nil, err
			}
			at, there := index[r.Digest]
			if !there {
				at = len(p.Runs)
				index[r.Digest], p.Runs = at, append(p.Runs, r)
			}
			a.Runs = append(a.Runs, at)
		}
	}
	return p, nil
}

// planRun makes the run of one arm with one seed.
func (p *Plan) planRun(a *PlannedArm, common config.Config, seed uint64) (Run, error) {
	cfg, err := config.Overlay(common, a.Settings)
	if err != nil {
		return Run{}, err
	}
	share, files := cfg.Split.TestShare, cfg.Split.TestFiles
	if p.Part == schemas.PartValidation {
		share, files = cfg.Split.ValidationShare, cfg.Split.ValidationFiles
	}
	if share == 0 && len(files) == 0 {
		return Run{}, fmt.Errorf("split.%s_share is 0, so no rows are held out: "+
			"set split.%s_share: 0.2 for every arm", p.Part, p.Part)
	}
	if n, isLast, _ := round(a.measure(p)); !isLast && n > cfg.Line.Rounds {
		return Run{}, fmt.Errorf("%s: arm %s measures round %d, but line.rounds is %d",
			a.at, a.Name, n, cfg.Line.Rounds)
	}
	a.Differs = differing(common, cfg)
	cfg.Seed, cfg.Line.Evaluate = seed, p.Part
	if cfg.Line.BatchRows == 0 { // a plan is made before the base model is opened
		cfg.Line.BatchRows = line.MostBatchRows
	}
	text, digest, err := cfg.Freeze()
	if err != nil {
		return Run{}, err
	}
	name := fmt.Sprintf("%s-s%d-%s", slug(a.Name), seed, digest[:8])
	return Run{Name: name, Arm: a.Name, Seed: seed, Config: cfg, Text: text, Digest: digest}, nil
}

// measure is the arm's own measure, or that of the specification.
func (a Arm) measure(p *Plan) string {
	if a.Measure != "" {
		return a.Measure
	}
	return p.Spec.Measure
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// slug turns a name into one token. Two names may become the same token; the digest in the
// run's name tells them apart.
func slug(name string) string {
	s := strings.Trim(notInName.ReplaceAllString(name, "-"), "-")
	return cmp.Or(s[:min(len(s), 60)], "arm") // a run's name must not look like a flag
}

// differing lists the settings of b that differ from a, in the order of the configuration.
func differing(a, b config.Config) (out []string) {
	var walk func(path string, x, y reflect.Value)
	walk = func(path string, x, y reflect.Value) {
		for i := range x.NumField() {
			name, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("json"), ",")
			name = strings.TrimPrefix(path+"."+name, ".")
			switch u, v := x.Field(i), y.Field(i); {
			case u.Kind() == reflect.Struct:
				walk(name, u, v)
			case !reflect.DeepEqual(u.Interface(), v.Interface()):
				out = append(out, fmt.Sprintf("%s=%v", name, v.Interface()))
			}
		}
	}
	walk("", reflect.ValueOf(a), reflect.ValueOf(b))
	return out
}
