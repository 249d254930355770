package pretrain

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"itool/stages/policy/train"
)

// Log is the course of the training so far. It is saved with every checkpoint.
type Log struct {
	Step    int        `json:"step"`
	Tokens  int        `json:"tokens"`  // processed, with those that are not learnt
	Seconds float64    `json:"seconds"` // in steps, over all sessions
	Curve   []Point    `json:"curve"`   // the loss; each point is the mean of curveEvery steps
	Recall  []Recalled `json:"recall"`  // at every checkpoint
}

// Point is one point of the loss curve.
type Point struct {
	Step int     `json:"step"` // the last step of the mean
	Loss float64 `json:"loss"` // nats per learnt token
	Over int     `json:"over"` // number of steps in the mean
}

// Recalled is the recall at a step: the share of unseen values that the model recalled from
// a list.
type Recalled struct {
	Step   int     `json:"step"`
	Tokens int     `json:"tokens"`
	Share  float64 `json:"share"`
}

// curveEvery is the number of steps per point of the loss curve.
const curveEvery = 50

func (l *Log) add(s train.Stats, seconds float64) {
	l.Step++
	l.Tokens += s.Tokens
	l.Seconds += seconds
	n := len(l.Curve)
	if n == 0 || l.Curve[n-1].Over == curveEvery {
		l.Curve = append(l.Curve, Point{})
		n++
	}
	p := &l.Curve[n-1]
	p.Loss = (p.Loss*float64(p.Over) + s.Loss) / float64(p.Over+1)
	p.Over++
	p.Step = l.Step
}

func (l Log) last() float64 {
	if len(l.Curve) == 0 {
		return math.NaN()
	}
	return l.Curve[len(l.Curve)-1].Loss
}

func (l Log) recalled() float64 {
	if len(l.Recall) == 0 {
		return math.NaN()
	}
	return l.Recall[len(l.Recall)-1].Share
}

// state is the folder of checkpoints. A checkpoint is a folder step-<n>, which gets this
// name when it is complete. A crash leaves at most an incomplete folder with another name,
// and the previous checkpoint.
type state struct{ dir, digest string }

const (
	planFile = "plan"     // digest of the configuration
	logFile  = "log.json" // the log at a checkpoint
)

func openState(dir, digest string) (*state, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, planFile)
	plan, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{dir, digest}, writeWhole(name, []byte(digest))
	}
	if err != nil {
		return nil, err
	}
	if string(plan) != digest {
		return nil, fmt.Errorf("%s belongs to a run with another configuration or kernel level:"+
			" finish that run, or delete the folder", dir)
	}
	return &state{dir, digest}, nil
}

// restore sets t to the last checkpoint. Without a checkpoint it does nothing.
func (s *state) restore(t *train.Trainer) (Log, error) {
	name := s.latest()
	if name == "" {
		return Log{}, nil
	}
	at := os.DirFS(filepath.Join(s.dir, name))
	var l Log
	b, err := fs.ReadFile(at, logFile)
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err == nil {
		err = t.Restore(at)
	}
	if err != nil {
		return Log{}, fmt.Errorf("checkpoint %s: %w; delete it to continue from an earlier one or from the start",
			filepath.Join(s.dir, name), err)
	}
	return l, nil
}

// latest is the name of the last complete checkpoint, or "". Names sort by step.
func (s *state) latest() string {
	found, _ := filepath.Glob(filepath.Join(s.dir, "step-*[0-9]"))
	if len(found) == 0 {
		return ""
	}
	return filepath.Base(found[len(found)-1])
}

func (s *state) save(t *train.Trainer, l Log) error {
	before := s.latest()
	name := fmt.Sprintf("step-%09d", l.Step)
	tmp := filepath.Join(s.dir, name+".tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	b, err := json.Marshal(l)
	if err == nil {
		err = writeWhole(filepath.Join(tmp, logFile), b)
	}
	if err == nil {
		err = t.Save(createIn(tmp))
	}
	if err == nil {
		err = syncDir(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(s.dir, name))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if before != "" && before != name {
		// Rename it before deleting: a half-deleted folder must not look like a checkpoint.
		old := filepath.Join(s.dir, strings.TrimPrefix(before, "step-")+".old")
		if err := os.Rename(filepath.Join(s.dir, before), old); err != nil {
			return err
		}
		return os.RemoveAll(old)
	}
	return nil
}

// createIn returns a function that creates files in dir. Closing a file syncs it to disk.
func createIn(dir string) func(name string) (io.WriteCloser, error) {
	return func(name string) (io.WriteCloser, error) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		return &file{bufio.NewWriterSize(f, 1<<20), f}, nil
	}
}

type file struct {
	*bufio.Writer
	f *os.File
}

func (f *file) Close() error {
	return errors.Join(f.Flush(), f.f.Sync(), f.f.Close())
}

// writeWhole writes a file and syncs it. After a crash the file is complete or unchanged.
func writeWhole(name string, data []byte) error {
	create := createIn(filepath.Dir(name))
	f, err := create(filepath.Base(name) + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
