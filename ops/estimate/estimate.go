// Package estimate says what a run will take on this machine in time and memory. A pilot,
// a small run of the same kind with one round, is measured; its times are scaled to the
// sizes of the whole run:
//
//	share := estimate.Share(128, rows, full)
//	… do a run with estimate.Shrink(full, share), gather its report r …
//	e := estimate.Scale(r, full, share, slots)
//	err = e.Text(os.Stdout, false)
//
// The package does no run itself. Scaling assumes that a stage's time grows in proportion
// to its items.
package estimate

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"itool/ops/config"
	"itool/ops/report"
)

// Estimate is what a run will take.
type Estimate struct {
	Seconds float64 `json:"seconds"` // wall time on this machine
	Bytes   int64   `json:"bytes"`   // peak resident memory of the pilot, the least that the run needs; 0: unknown
	Cost    float64 `json:"cost,omitempty"`
	Pairs   float64 `json:"pairs"`  // of a round, about
	Trains  bool    `json:"trains"` // the pairs are enough for an update
	Pilot   Pilot   `json:"pilot"`
	Stages  []Stage `json:"stages"`
}

// Pilot is what was measured.
type Pilot struct {
	Share   float64 `json:"share"` // of the rows to train on
	Rows    int     `json:"rows"`  // trained on
	Seconds float64 `json:"seconds"`
}

// Stage is one stage of the line.
type Stage struct {
	Stage   string  `json:"stage"`
	Pilot   float64 `json:"pilot_seconds"`
	Scale   float64 `json:"scale"` // the work of the run ÷ the work of the pilot
	Seconds float64 `json:"seconds"`
}

// Share is the share of the training rows that makes a pilot of about pilotRows, 0..1.
// total counts all rows of the dataset.
func Share(pilotRows, total int, full config.Config) float64 {
	split := full.Split
	training := float64(total) * (1 - split.TestShare) * (1 - split.ValidationShare) * split.DataShare
	return min(1, float64(pilotRows)/max(1, training))
}

// pilotCases is how many held-out rows a pilot evaluates each policy on.
const pilotCases = 16

// Shrink is the configuration of the pilot: a share of the rows and of everything that is
// counted in rows, and one round at most.
func Shrink(full config.Config, share float64) config.Config {
	some := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(4, int(math.Ceil(float64(n)*share)))
	}
	c := full
	c.Line.Rounds = min(1, c.Line.Rounds)
	c.Split.DataShare *= share
	c.Line.EvaluateRows = pilotCases
	c.Warmup.ValidationRows = some(c.Warmup.ValidationRows)
	c.Warmup.AccuracyRows = some(c.Warmup.AccuracyRows)
	c.Update.AccuracyRows = some(c.Update.AccuracyRows)
	c.Select.MaxTrees = some(c.Select.MaxTrees)
	c.Select.HeadroomExamples = some(c.Select.HeadroomExamples)
	c.Select.JudgeExamples = some(c.Select.JudgeExamples)
	c.Update.GuardPrompts = some(c.Update.GuardPrompts)
	c.Update.MinPairs, c.Update.MinSteps = 1, 1 // so that the pilot has an update to measure
	return c
}

// PeakMemory is the largest resident size of this process so far, in bytes; 0 where the
// system does not say.
func PeakMemory() int64 {
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

// Text prints the estimate as tables; priced tells whether Cost was asked for.
func (e *Estimate) Text(w io.Writer, priced bool) error {
	fmt.Fprintf(w, "pilot: %d rows trained on (%.3g %% of them), one round, %s\n\n",
		e.Pilot.Rows, 100*e.Pilot.Share, report.Duration(e.Pilot.Seconds))
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
		fmt.Fprintf(w, "\na round would find about %.0f pairs, too few for an update (update.min_pairs, "+
			"update.min_steps): the rounds would train nothing.\n"+
			"More rows, select.ratio or expand.width find more; or there is little left to gain\n", e.Pairs)
	}
	if e.Bytes > 0 {
		fmt.Fprintf(w, "\npeak memory: at least %.2f GB resident, measured: the pilot's micro-batches and trees are "+
			"those of the run, its records are fewer\n", float64(e.Bytes)/1e9)
	}
	if priced {
		fmt.Fprintf(w, "cost: %.2f\n", e.Cost)
	}
	return nil
}
