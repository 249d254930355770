// Package curves writes every step of a run's trainings, and its accuracy by round, for other programs: one CSV file,
// and event files for TensorBoard.
//
//	n, err := curves.Write(dir, r) // r is the report of the run
//
// Everything comes from the records of the run. A training that was interrupted and resumed has each step once, since
// its record has; and the same run gives the same bytes but for the time at which it was made.
package curves

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"itool/ops/report"
)

// File is the name of the CSV file.
const File = "steps.csv"

// Write writes File and a folder for each policy into the folder dir, which must exist. It returns the number of steps.
func Write(dir string, r *report.Report) (steps int, err error) {
	f, err := os.Create(filepath.Join(dir, File))
	if err != nil {
		return 0, err
	}
	if steps, err = CSV(f, r); err != nil {
		f.Close()
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	made, err := time.Parse(time.RFC3339, r.Created)
	if err != nil {
		return 0, fmt.Errorf("run %s: created: %w", r.Run, err)
	}
	for _, p := range r.Policies {
		if len(p.Curve) == 0 {
			continue
		}
		if err := events(dir, p.Name, made, func(w *writer) { w.training(p) }); err != nil {
			return 0, err
		}
	}
	return steps, events(dir, "accuracy", made, func(w *writer) { w.accuracy(r.Policies) })
}

// events writes the events of one curve as TensorBoard finds them: a file in a folder with the curve's name.
func events(dir, name string, made time.Time, fill func(*writer)) error {
	folder := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%d.itool", made.Unix())))
	if err != nil {
		return err
	}
	w := newWriter(f, made)
	fill(w)
	if err := f.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// series are the values of a step under their names; those that a training has not are left out.
func series(p report.Point) map[string]*float64 {
	s := map[string]*float64{"loss": &p.Loss, "validation_loss": p.Validation, "validation_right": p.Right}
	if p.Chosen != 0 || p.Rejected != 0 {
		margin := p.Chosen - p.Rejected
		s["chosen"], s["rejected"], s["margin"], s["pairs_right"] = &p.Chosen, &p.Rejected, &margin, &p.Accuracy
	}
	return s
}

// columns are the names of series, in the order of the CSV file.
var columns = []string{
	"loss", "validation_loss", "validation_right", "chosen", "rejected", "margin", "pairs_right",
}

// CSV writes a line for each optimiser step: losses and log-probabilities in nats per token, shares as 0..1. A value
// that a step has not is empty.
func CSV(out io.Writer, r *report.Report) (steps int, err error) {
	w := csv.NewWriter(out)
	if err := w.Write(append([]string{"policy", "round", "step", "phase"}, columns...)); err != nil {
		return 0, err
	}
	for _, p := range r.Policies {
		for _, point := range p.Curve {
			row := []string{p.Name, strconv.Itoa(p.Round), strconv.Itoa(point.Step), point.Phase}
			values := series(point)
			for _, c := range columns {
				text := ""
				if v := values[c]; v != nil {
					text = strconv.FormatFloat(*v, 'g', -1, 64)
				}
				row = append(row, text)
			}
			if err := w.Write(row); err != nil {
				return steps, err
			}
			steps++
		}
	}
	w.Flush()
	return steps, w.Error()
}
