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

// Trial is one line of the tuning log: one arm with one seed, whatever came of it. A
// setting that was chosen as the best of many is worth less than one that was tried
// alone, and only a list of everything that was tried can say how many there were.
type Trial struct {
	Time     string   `json:"time"` // RFC 3339
	Lab      string   `json:"lab"`
	Question string   `json:"question"`
	Spec     string   `json:"spec"` // file
	Arm      string   `json:"arm"`
	Note     string   `json:"note,omitempty"`
	Settings []string `json:"settings"` // other than the start's
	Seed     uint64   `json:"seed"`
	Run      string   `json:"run"`
	Config   string   `json:"config_digest"`
	Status   string   `json:"status"`
	Part     string   `json:"part"`
	Measure  string   `json:"measure"`
	Policy   string   `json:"policy"`
	Accuracy float64  `json:"accuracy"` // exact match of calls
	N        int      `json:"n"`        // rows; 0: nothing was measured
	Seconds  float64  `json:"seconds"`  // wall
	CPU      *float64 `json:"cpu_seconds"`
	Adapter  string   `json:"adapter"` // digest of the policy
}

// LogTuning appends to the log what it does not hold of one run that has ended: a line
// for every arm that the run belongs to. It may be called again at any time.
func LogTuning(ctx context.Context, c *courier.Courier, dir, log, spec string, p *Plan, run int, now time.Time) error {
	there, err := readTrials(log)
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
		if slices.ContainsFunc(there, t.same) {
			continue
		}
		line, err := json.Marshal(t)
		if err == nil {
			_, err = f.Write(append(line, '\n')) // one write: half a line is left only by a crash of the machine
		}
		if err != nil {
			f.Close()
			return err
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// trial is the line of one arm.
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

// same tells whether two lines speak of the same try.
func (t Trial) same(o Trial) bool {
	return t.Lab == o.Lab && t.Arm == o.Arm && t.Run == o.Run && t.Config == o.Config && t.Measure == o.Measure && t.Status == o.Status && t.Adapter == o.Adapter
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
			return nil, fmt.Errorf("%s:%d: no line of a tuning log: %w; mend or move the file", log, n, err)
		}
		out = append(out, t)
	}
	return out, lines.Err()
}
