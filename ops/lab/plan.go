package lab

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	Sources  []Source      // what the runs are made from, each once
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
	Source int // index into Plan.Sources
	Config config.Config
	Text   string // Config as the run stores it
	Digest string // digest of Text
}

// fixedSettings decide which rows a policy is evaluated on and how. They must be the same for
// arms that are compared.
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
		if src := s.source(a); s.Demo == "" && (src.Base == "" || len(src.Datasets) == 0) {
			return fmt.Errorf("%s: arm %s: no data: write demo: true, or base: and datasets: for your own model "+
				"and data", a.at, a.Name)
		}
		names[a.Name] = true
		for _, x := range a.Settings {
			if x.Path == "seed" || x.Path == "line.evaluate" {
				return fmt.Errorf("%s: %s cannot differ between arms: write seeds: and tuning: at the top",
					x.At, x.Path)
			}
		}
	}
	return s.checkCompared(names)
}

// source is what an arm is made from.
func (s *Spec) source(a Arm) Source {
	src := s.Source
	if a.Base != "" {
		src.Base = a.Base
	}
	if len(a.Datasets) > 0 {
		src.Datasets = a.Datasets
	}
	return src
}

// checkCompared checks the settings of all arms, and the comparisons.
func (s *Spec) checkCompared(names map[string]bool) error {
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
		a, b := s.fixed(p.A), s.fixed(p.B)
		for _, path := range slices.Sorted(maps.Keys(merged(a, b))) {
			if !reflect.DeepEqual(a[path].Value, b[path].Value) {
				return fmt.Errorf("%s: %s and %s differ in %s (%s), so that they are not evaluated alike: give both "+
					"the same, or move it to set: at the top", p.at, p.A, p.B, path, cmp.Or(a[path].At, b[path].At))
			}
		}
	}
	return nil
}

// fixed are an arm's own settings that decide how it is evaluated.
func (s *Spec) fixed(arm string) map[string]config.Setting {
	own := map[string]config.Setting{}
	i := slices.IndexFunc(s.Arms, func(a Arm) bool { return a.Name == arm })
	for _, x := range s.Arms[i].Settings {
		for _, h := range fixedSettings {
			if x.Path == h || strings.HasSuffix(h, ".") && strings.HasPrefix(x.Path, h) {
				own[x.Path] = x
			}
		}
	}
	return own
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
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
	index, names := map[string]int{}, map[string]string{} // source and configuration → run; run → arm
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
			key := fmt.Sprint(r.Source, r.Digest)
			at, there := index[key]
			if !there {
				if other := names[r.Name]; other != "" {
					return nil, fmt.Errorf("%s: the runs of arms %s and %s would both be named %s: rename one",
						a.at, other, a.Name, r.Name)
				}
				at, names[r.Name] = len(p.Runs), a.Name
				index[key], p.Runs = at, append(p.Runs, r)
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
	return Run{
		Name: name, Arm: a.Name, Seed: seed, Source: p.sourceOf(a.Arm), Config: cfg, Text: text, Digest: digest,
	}, nil
}

// sourceOf is the index of what an arm is made from.
func (p *Plan) sourceOf(a Arm) int {
	src := p.source(a)
	for i, other := range p.Sources {
		if src.Base == other.Base && slices.Equal(src.Datasets, other.Datasets) {
			return i
		}
	}
	p.Sources = append(p.Sources, src)
	return len(p.Sources) - 1
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
