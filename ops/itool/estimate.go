package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"itool/ops/config"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/split/format"
)

// estimateCmd is `itool estimate`: what a run will take, from a pilot of it.
type estimateCmd struct {
	source
	Rows  int     `default:"128" help:"Training rows of the pilot."`
	Slots int     `help:"Items in work at once; default: the number of cores."`
	Price float64 `placeholder:"PER-HOUR" help:"Price of an hour of this machine: the cost is shown."`
	JSON  bool    `name:"json" help:"Print one JSON object instead of tables."`
}

// estimate is what a run will take.
type estimate struct {
	Seconds float64         `json:"seconds"` // wall time on this machine
	Bytes   int64           `json:"bytes"`   // peak resident memory of the pilot, the least that the run needs; 0: the system does not tell
	Cost    float64         `json:"cost,omitempty"`
	Pairs   float64         `json:"pairs"`  // of a round, about
	Trains  bool            `json:"trains"` // they are enough for an update
	Pilot   pilot           `json:"pilot"`
	Stages  []estimateStage `json:"stages"`
}

// pilot is what was measured.
type pilot struct {
	Share   float64 `json:"share"` // of the rows to train on
	Rows    int     `json:"rows"`  // trained on
	Seconds float64 `json:"seconds"`
}

// estimateStage is one stage of the line; Scale is how many times the pilot's work it has.
type estimateStage struct {
	Stage   string  `json:"stage"`
	Pilot   float64 `json:"pilot_seconds"`
	Scale   float64 `json:"scale"`
	Seconds float64 `json:"seconds"`
}

// Run does a small run of the same kind, of one round, in a folder that is removed.
func (c *estimateCmd) Run(ctx context.Context, a *app) error {
	full, err := config.Load(config.Default(), c.Config, c.Set)
	if err != nil {
		return err
	}
	if c.Rows < 8 {
		return coded(exitUsage, "--rows: %d is too few to learn anything from: 8 at least", c.Rows)
	}
	files, cleanup, err := joined(c.Datasets)
	if err != nil {
		return err
	}
	defer cleanup()
	total, err := countRows(files)
	if err != nil {
		return err
	}
	if total == 0 {
		return fmt.Errorf("%s: no rows", strings.Join(c.Datasets, ", "))
	}
	dir, err := os.MkdirTemp("", "itool-estimate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	learnt := float64(total) * (1 - full.Split.TestShare) * (1 - full.Split.ValidationShare) * full.Split.DataShare
	share := min(1, float64(c.Rows)/max(1, learnt))
	r, took, err := c.pilot(ctx, a, filepath.Join(dir, "pilot"), files, smaller(full, share))
	if err != nil {
		return fmt.Errorf("the pilot: %w", err)
	}
	e := scaled(r, full, share, orCores(c.Slots))
	e.Pilot = pilot{Share: share, Rows: r.Rows.Parts[schemas.PartTrain], Seconds: took.Seconds()}
	e.Bytes, e.Cost = peakMemory(), c.Price*e.Seconds/3600
	if c.JSON {
		return json.NewEncoder(a.out).Encode(e)
	}
	return e.text(a.out, c.Price > 0)
}

// countRows counts the rows of all files.
func countRows(files []string) (total int, err error) {
	for _, name := range files {
		n, err := countFile(name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

func countFile(name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return 0, err
	}
	kind, err := format.Detect(filepath.Base(name), head[:n])
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return format.Count(f, kind)
}

// smaller is the same run with a share of the rows and of everything that is counted
// in rows, and one round.
func smaller(c config.Config, share float64) config.Config {
	some := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(4, int(math.Ceil(float64(n)*share)))
	}
	c.Line.Rounds = min(1, c.Line.Rounds)
	c.Split.DataShare *= share
	c.Line.EvaluateRows = 16
	c.Warmup.ValidationRows = some(c.Warmup.ValidationRows)
	c.Select.MaxTrees = some(c.Select.MaxTrees)
	c.Select.HeadroomExamples, c.Select.JudgeExamples = some(c.Select.HeadroomExamples), some(c.Select.JudgeExamples)
	c.Update.GuardPrompts = some(c.Update.GuardPrompts)
	c.Update.MinPairs, c.Update.MinSteps = 1, 1
	return c
}

func (c *estimateCmd) pilot(ctx context.Context, a *app, dir string, files []string, cfg config.Config) (*report.Report, time.Duration, error) {
	e, err := newEngine(a)
	if err != nil {
		return nil, 0, err
	}
	s, err := openFolder(ctx, a, dir, anyPort)
	if err != nil {
		return nil, 0, err
	}
	defer s.close()
	j := job{name: "pilot", dir: dir, base: c.base(a), files: files, cfg: cfg, slots: orCores(c.Slots)}
	start := time.Now()
	if err := publish(ctx, s.Courier, e, j.request()); err != nil {
		return nil, 0, err
	}
	end, err := j.work(ctx, a, s, e)
	if ctx.Err() != nil {
		return nil, 0, coded(exitInterrupted, "interrupted")
	}
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	r, err := report.Gather(ctx, s.Courier, j.name)
	if err != nil {
		return nil, 0, err
	}
	if end.Stalled != "" {
		return nil, 0, fmt.Errorf("it stalled: %s", end.Stalled)
	}
	return r, took, verdict(j.name, r.Status, r.Detail)
}

// scaled is what the pilot says of the whole run. Stages that work on items side by
// side share the machine among slots.
func scaled(r *report.Report, full config.Config, share float64, slots int) estimate {
	rounds := float64(full.Line.Rounds)
	most := func(n, limit int) float64 { // 0: no limit
		if limit > 0 {
			n = min(n, limit)
		}
		return float64(max(n, 1))
	}
	small := smaller(full, share)
	validation, test := r.Rows.Parts[schemas.PartValidation], r.Rows.Parts[schemas.PartTest]
	held := test
	if full.Line.Evaluate == "validation" || full.Line.Evaluate == "auto" && test == 0 {
		held = validation
	} else if full.Line.Evaluate == "both" {
		held += validation
	}
	trees := 1.0
	if len(r.Rounds) > 0 && r.Rounds[0].Trees > 0 {
		trees = most(int(math.Ceil(full.Select.Ratio*float64(r.Rows.Replay)/share)), full.Select.MaxTrees) / float64(r.Rounds[0].Trees)
	}
	answers := func(c config.Config) float64 { // of one selection
		return most(validation, c.Select.HeadroomExamples)*float64(1+c.Select.HeadroomDraws) + 2*most(validation, c.Select.JudgeExamples)
	}
	scale := map[string]float64{
		"split": 1, "warmup": 1 / share, "score": rounds / share, "select": rounds * answers(full) / answers(small), "expand": rounds * trees, "filter": rounds * trees,
		"update": rounds * trees, "evaluate": (2 + rounds) / (2 + min(1, rounds)) * most(held, full.Line.EvaluateRows) / most(held, small.Line.EvaluateRows),
	}
	table := line.Rows(nil)
	e := estimate{Trains: true}
	if len(r.Rounds) > 0 {
		e.Pairs = float64(r.Rounds[0].Pairs) * trees
		u := full.Update
		steps := u.Epochs * int(math.Ceil(e.Pairs/float64(u.BatchSize)))
		e.Trains = e.Pairs >= float64(u.MinPairs) && steps >= u.MinSteps
	}
	if !e.Trains {
		scale["update"] = 0
	}
	for _, t := range r.Seconds {
		beside := 1.0
		if !table.Gathers(t.Stage) {
			beside = float64(max(1, min(slots, t.Items)))
		}
		s := estimateStage{Stage: t.Stage, Pilot: t.Seconds / beside, Scale: scale[t.Stage]}
		s.Seconds = s.Pilot * s.Scale
		e.Stages, e.Seconds = append(e.Stages, s), e.Seconds+s.Seconds
	}
	return e
}

// peakMemory is the largest resident size of this process so far, in bytes.
func peakMemory() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "VmHWM:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

func (e *estimate) text(w io.Writer, priced bool) error {
	fmt.Fprintf(w, "pilot: %d rows trained on (%.3g %% of them), one round, %s\n\n", e.Pilot.Rows, 100*e.Pilot.Share, report.Duration(e.Pilot.Seconds))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\tpilot\t×\tthe run\t")
	for _, s := range e.Stages {
		fmt.Fprintf(t, "%s\t%s\t%.3g\t%s\t\n", s.Stage, report.Duration(s.Pilot), s.Scale, report.Duration(s.Seconds))
	}
	fmt.Fprintf(t, "all\t\t\t%s\t\n", report.Duration(e.Seconds))
	if err := t.Flush(); err != nil {
		return err
	}
	if !e.Trains {
		fmt.Fprintf(w, "\na round would find about %.0f pairs, too few for an update (update.min_pairs, update.min_steps): the rounds would train nothing.\n"+
			"More rows, select.ratio or expand.width find more; or there is little left to gain\n", e.Pairs)
	}
	if e.Bytes > 0 {
		fmt.Fprintf(w, "\npeak memory: at least %.2f GB resident, measured: the pilot's micro-batches and trees are those of the run, its records are fewer\n", float64(e.Bytes)/1e9)
	}
	if priced {
		fmt.Fprintf(w, "cost: %.2f\n", e.Cost)
	}
	return nil
}
