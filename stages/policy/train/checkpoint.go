package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

// A checkpoint is two files: trainer.json says where the training stands, trainer.safetensors has the weights
// and AdamW's moments.
const (
	cursorName = "trainer.json"
	stateName  = "trainer.safetensors"
	version    = 1 // of trainer.json
)

// cursorFile is trainer.json. The orders of the units are drawn from the seed and the cursor, so no other
// random state must be stored.
type cursorFile struct {
	Version     int    `json:"version"`
	Fingerprint string `json:"fingerprint"` // of the configuration and the data
	Cursor      cursor `json:"cursor"`
	SolverStep  int    `json:"solver_step"` // AdamW's steps since its moments were zero, for their bias correction
	Best        bool   `json:"best"`        // trainer.safetensors has the best weights, too
}

// Save writes everything that later steps depend on: weights, moments, cursor, and the best weights so far.
// create opens a file to write. The files belong together: the caller must not mix those of two calls.
func (t *Trainer) Save(create func(name string) (io.WriteCloser, error)) (err error) {
	defer kernel.Catch(&err)
	c := cursorFile{version, t.fingerprint, t.cursor, t.solver.State.Step, t.best != nil}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("train: save: %w", err)
	}
	err = write(create, cursorName, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	var ts []safetensors.Tensor
	err = t.eachTensor(t.best != nil, func(name string, shape []int, data kernel.Floats) error {
		ts = append(ts, safetensors.Tensor{Name: name, Shape: shape, Data: data.Host})
		if data.Block != nil {
			ts[len(ts)-1].Make = func() []float32 { return t.read(data) }
		}
		return nil
	})
	if err != nil {
		return err
	}
	return write(create, stateName, func(w io.Writer) error { return safetensors.Write(w, ts, safetensors.F32, nil) })
}

// Restore sets the trainer to the state at a call of Save. The trainer must have been made with the same
// model, configuration and phases. After an error it is unchanged.
func (t *Trainer) Restore(fsys fs.FS) (err error) {
	defer kernel.Catch(&err)
	if err := t.restore(fsys); err != nil {
		return fmt.Errorf("train: restore: %w", err)
	}
	return nil
}

func (t *Trainer) restore(fsys fs.FS) error {
	text, err := fs.ReadFile(fsys, cursorName)
	if err != nil {
		return err
	}
	var c cursorFile
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", cursorName, err)
	}
	if err := t.accept(c); err != nil {
		return fmt.Errorf("%s: %w", cursorName, err)
	}
	f, err := safetensors.Read(fsys, stateName)
	if err != nil {
		return err
	}
	best := t.best
	t.best = nil
	if c.Best {
		t.best = t.w.snapshot(nil) // room for the best weights; eachTensor fills it
	}
	var values [][]float32 // read all before changing any
	err = t.eachTensor(c.Best, func(name string, shape []int, _ kernel.Floats) error {
		v, err := f.Float32(name, shape...)
		values = append(values, v)
		return err
	})
	if err != nil {
		t.best = best
		return err
	}
	_ = t.eachTensor(c.Best, func(_ string, _ []int, data kernel.Floats) error {
		if data.Block != nil {
			t.solver.Device.Write(data, values[0])
		}
		copy(data.Host, values[0])
		values = values[1:]
		return nil
	})
	t.cursor, t.solver.State.Step, t.order.drawn = c.Cursor, c.SolverStep, false
	return nil
}

// accept refuses a trainer.json that does not belong to this trainer.
func (t *Trainer) accept(c cursorFile) error {
	switch {
	case c.Version != version:
		return fmt.Errorf("version %d, this program reads %d", c.Version, version)
	case c.Fingerprint != t.fingerprint:
		return errors.New("the checkpoint is of another configuration or other data: " +
			"start from the first step, or undo the change")
	case c.Cursor.Phase < 0 || c.Cursor.Phase > len(t.phases) || c.Cursor.Step < 0 || c.SolverStep < 0:
		return fmt.Errorf("cursor %+v is outside the run", c.Cursor)
	}
	if c.Cursor.Phase < len(t.phases) {
		if p := &t.phases[c.Cursor.Phase]; p.units() == 0 || c.Cursor.Step >= p.total() {
			return fmt.Errorf("cursor %+v is outside the run", c.Cursor)
		}
	}
	return nil
}

// eachTensor visits all tensors of a checkpoint in a fixed order: of every parameter the weight, AdamW's first
// and second moment, and, if best is set, the best weight. data is the trainer's own memory; the best weights are
// always in that of the host.
func (t *Trainer) eachTensor(best bool, visit func(name string, shape []int, data kernel.Floats) error) error {
	for i, p := range t.w.params {
		err := errors.Join(
			visit("weight."+p.name, p.shape, p.data),
			visit("first."+p.name, p.shape, t.solver.State.M[i]),
			visit("second."+p.name, p.shape, t.solver.State.V[i]))
		if best {
			err = errors.Join(err, visit("best."+p.name, p.shape, kernel.Host(t.best[i])))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read copies numbers from the device.
func (t *Trainer) read(x kernel.Floats) []float32 {
	to := make([]float32, x.Len())
	t.solver.Device.Read(to, x)
	return to
}

// fingerprint is a digest of everything that determines the training, except the base weights: the caller
// compares their digest.
func fingerprint(cfg Config, m model.Config, phases []Phase) string {
	cfg.ActivationBytes, cfg.Force = 0, false // these two do not change the result
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(struct { // cannot fail: a hash takes everything, and all numbers are finite
		Config Config
		Model  model.Config
		Phases []Phase
	}{cfg, m, phases})
	return hex.EncodeToString(h.Sum(nil))
}

// write creates a file, fills it and closes it.
func write(create func(string) (io.WriteCloser, error), name string, fill func(io.Writer) error) error {
	w, err := create(name)
	if err != nil {
		return fmt.Errorf("train: save: %s: %w", name, err)
	}
	if err := errors.Join(fill(w), w.Close()); err != nil {
		return fmt.Errorf("train: save: %s: %w", name, err)
	}
	return nil
}
