package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"itool/ops/courier"
)

// Trial is one line of the tuning log: one arm with one seed, also if the run failed. The best
// of many settings looks better than it is. The log tells how many were tried.
type Trial struct {
	Time     string   `json:"time"` // RFC 3339
	Lab      string   `json:"lab"`
	Question string   `json:"question"`
	Spec     string   `json:"spec"` // file
	Arm      string   `json:"arm"`
	Note     string   `json:"note,omitempty"`
	Settings []string `json:"settings"` // those that differ from the defaults
	Seed     uint64   `json:"seed"`
	Run      string   `json:"run"`
	Config   string   `json:"config_digest"`
	Status   string   `json:"status"`
	Part     string   `json:"part"`
	Measure  string   `json:"measure"`
	Policy   string   `json:"policy"`
	Accuracy float64  `json:"accuracy"` // exact match of calls
	N        int      `json:"n"`        // rows; 0: nothing was measured
	Seconds  float64  `json:"seconds"`  // wall time
	CPU      *float64 `json:"cpu_seconds"`
	Adapter  string   `json:"adapter"` // digest of the policy
}

// LogTuning appends one line to the log for every arm of a run that has ended. Lines that the
// log has already are not repeated, so it may be called again at any time.
func LogTuning(
	ctx context.Context, c *courier.Courier, dir, log, spec string, p *Plan, run int, now time.Time,
) error {
	logged, err := readTrials(log)
	if err != nil {
		return err
	}
	r, err := readRun(ctx, c, dir, &p.Runs[run])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for _, a := range p.Arms {
		if !slices.Contains(a.Runs, run) {
			continue
		}
		t := p.trial(a, r)
		t.Time, t.Spec = now.UTC().Format(time.RFC3339), spec
		if slices.ContainsFunc(logged, t.same) {
			continue
		}
		line, err := json.Marshal(t)
		if err == nil {
			_, err = f.Write(append(line, '\n')) // in one write, so that a killed process leaves no half line
		}
		if err != nil {
			f.Close()
			return err
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// trial is the log line of one arm with one run.
func (p *Plan) trial(a PlannedArm, r RunResult) Trial {
	t := Trial{
		Lab: p.Name, Question: p.Question, Arm: a.Name, Note: a.Note, Settings: slices.Concat(p.Settings, a.Differs),
		Seed: r.Seed, Run: r.Run, Config: r.Digest, Status: r.Status, Part: p.Part, Measure: a.measure(p),
		Seconds: r.Cost.WallSeconds, CPU: r.Cost.CPUSeconds,
	}
	if pol := r.policy(t.Measure); pol != nil {
		t.Policy, t.Accuracy, t.N, t.Adapter = pol.Name, pol.Accuracy, pol.N, pol.Digest
	}
	return t
}

// same reports whether two lines are about the same trial.
func (t Trial) same(o Trial) bool {
	return t.Lab == o.Lab && t.Arm == o.Arm && t.Run == o.Run && t.Config == o.Config &&
		t.Measure == o.Measure && t.Status == o.Status && t.Adapter == o.Adapter
}

func readTrials(log string) (out []Trial, err error) {
	f, err := os.Open(log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var t Trial
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return nil, fmt.Errorf("%s:%d: not a line of a tuning log: %w; correct or move the file", log, n, err)
		}
		out = append(out, t)
	}
	return out, lines.Err()
}
