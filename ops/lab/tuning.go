package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Tried is one line of the tuning log: one arm with one seed, whatever came of it. A
// setting that was chosen as the best of many is worth less than one that was tried
// alone, and only a list of everything that was tried can say how many there were.
type Tried struct {
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

// LogTuning appends to the log what the result holds and the log does not: every arm and
// seed of a run that has ended. It may be called again at any time.
func (r *Result) LogTuning(log, spec string, p *Plan, now time.Time) (added int, err error) {
	there, err := tried(log)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	for i, a := range p.Arms {
		for s, at := range a.Runs {
			run := r.Runs[at]
			if run.Status == "not started" || run.Status == "running" {
				continue
			}
			t := Tried{
				Time: now.UTC().Format(time.RFC3339), Lab: p.Name, Question: p.Question, Spec: spec, Arm: a.Name, Note: a.Note, Settings: a.Differs,
				Seed: p.Seeds[s], Run: run.Run, Config: run.Digest, Status: run.Status, Part: p.Part, Measure: r.Arms[i].Measure,
				Seconds: run.Cost.WallSeconds, CPU: run.Cost.CPUSeconds,
			}
			if pol := run.policy(t.Measure); pol != nil {
				t.Policy, t.Accuracy, t.N, t.Adapter = pol.Name, pol.Accuracy, pol.N, pol.Digest
			}
			if slices.ContainsFunc(there, t.same) {
				continue
			}
			line, err := json.Marshal(t)
			if err == nil {
				_, err = f.Write(append(line, '\n')) // one write: half a line is left only by a crash of the machine
			}
			if err != nil {
				f.Close()
				return added, err
			}
			added++
		}
	}
	return added, errors.Join(f.Sync(), f.Close())
}

// same tells whether two lines speak of the same try.
func (t Tried) same(o Tried) bool {
	return t.Lab == o.Lab && t.Arm == o.Arm && t.Run == o.Run && t.Config == o.Config && t.Measure == o.Measure && t.Status == o.Status && t.Adapter == o.Adapter
}

func tried(log string) (out []Tried, err error) {
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
		var t Tried
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return nil, fmt.Errorf("%s:%d: no line of a tuning log: %w; mend or move the file", log, n, err)
		}
		out = append(out, t)
	}
	return out, lines.Err()
}
