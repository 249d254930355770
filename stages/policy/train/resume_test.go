package train_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/train"
)

// memory is a folder in memory for checkpoints.
type memory struct{ fstest.MapFS }

type buffer struct {
	bytes.Buffer
	done func([]byte)
}

func (b *buffer) Close() error { b.done(b.Bytes()); return nil }

func (m memory) create(name string) (io.WriteCloser, error) {
	return &buffer{done: func(data []byte) { m.MapFS[name] = &fstest.MapFile{Data: data} }}, nil
}

func save(t *testing.T, tr *train.Trainer) memory {
	t.Helper()
	dir := memory{fstest.MapFS{}}
	if err := tr.Save(dir.create); err != nil {
		t.Fatal(err)
	}
	return dir
}

func equal(a, b memory) bool {
	for name, f := range a.MapFS {
		if b.MapFS[name] == nil || !bytes.Equal(f.Data, b.MapFS[name].Data) {
			return false
		}
	}
	return len(a.MapFS) == len(b.MapFS)
}

// TestResume: a training that is interrupted after any step and restored into a new trainer ends with the same
// bytes.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("trains some forty times, and nothing in it runs at once; the full test run does it")
	}
	for _, s := range subjects(t) {
		p := s.phase(examples(4), pairs(4), 2)
		p.Shuffle = true
		t.Run(s.name, func(t *testing.T) { s.resumes(t, p) })
	}
	two := subject{"two phases", tiny(1), config()}
	t.Run(two.name, func(t *testing.T) {
		two.resumes(t,
			train.Phase{Name: "a", Examples: examples(5), Epochs: 2, Rate: 1e-2, BatchSize: 2, Shuffle: true},
			train.Phase{Name: "b", Examples: examples(3), Epochs: 1, Rate: 1e-2, BatchSize: 2, Shuffle: true})
	})
}

func (s subject) resumes(t *testing.T, phases ...train.Phase) {
	t.Helper()
	s.cfg.ActivationBytes = 1 // no room
	whole := start(t, s.m, s.cfg, phases...)
	var saved []memory
	for i := 0; ; i++ {
		saved = append(saved, save(t, whole))
		if _, err := whole.Step(context.Background()); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			whole.MarkBest()
		}
	}
	want := save(t, whole)
	for i, from := range saved {
		cfg := s.cfg
		cfg.ActivationBytes = 1 << 20 // another amount of memory changes nothing
		again := start(t, s.m, cfg, phases...)
		if err := again.Restore(from); err != nil {
			t.Fatal(err)
		}
		if !equal(save(t, again), from) {
			t.Fatalf("step %d: a restored trainer saves other bytes", i)
		}
		for j := i; ; j++ {
			if _, err := again.Step(context.Background()); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if j == 1 {
				again.MarkBest()
			}
		}
		if !equal(save(t, again), want) {
			t.Errorf("resumed at step %d: the weights at the end differ", i)
		}
	}
}

// TestThreads: the number of threads of a device changes no bit of the result.
func TestThreads(t *testing.T) {
	for _, full := range []bool{false, true} {
		run := func(threads int) memory {
			dev, err := cpu.New(cpu.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			c := config()
			c.Full, c.Tokens = full, 200
			tr := start(t, tinyOn(dev, 1), c, train.Phase{
				Name: "a", Examples: examples(40), Epochs: 2, Rate: 1e-2, BatchSize: 20, Shuffle: true,
			})
			finish(t, tr)
			return save(t, tr)
		}
		if one := run(1); !equal(one, run(2)) || !equal(one, run(5)) {
			t.Errorf("full %v: with another number of threads the bytes differ", full)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	phase := train.Phase{Name: "a", Examples: examples(5), Epochs: 2, Rate: 1e-2, BatchSize: 2}
	good := save(t, start(t, tiny(1), config(), phase))
	other := config()
	other.Seed = 2
	err := start(t, tiny(1), other, phase).Restore(good)
	if err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("another seed: %v", err)
	}
	for name, spoil := range map[string]func(memory){
		"no cursor":    func(m memory) { delete(m.MapFS, "trainer.json") },
		"no state":     func(m memory) { delete(m.MapFS, "trainer.safetensors") },
		"cut short":    func(m memory) { f := m.MapFS["trainer.safetensors"]; f.Data = f.Data[:900] },
		"far cursor":   func(m memory) { replace(m, `"Step": 0`, `"Step": 6`) },
		"far phase":    func(m memory) { replace(m, `"Phase": 0`, `"Phase": 2`) },
		"best missing": func(m memory) { replace(m, `"best": false`, `"best": true`) },
		"version":      func(m memory) { replace(m, `"version": 1`, `"version": 9`) },
	} {
		tr := start(t, tiny(1), config(), phase)
		bad := save(t, tr)
		spoil(bad)
		if err := tr.Restore(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !equal(save(t, tr), good) {
			t.Errorf("%s: the refused checkpoint changed the trainer", name)
		}
	}
}

func replace(m memory, old, new string) {
	f := m.MapFS["trainer.json"]
	f.Data = bytes.Replace(f.Data, []byte(old), []byte(new), 1)
}

// TestInterrupted: a cancelled step changes nothing.
func TestInterrupted(t *testing.T) {
	phase := train.Phase{Name: "a", Examples: examples(6), Epochs: 2, Rate: 1e-2, BatchSize: 6}
	c := config()
	c.Tokens, c.WarmupRatio = 11, 0
	a, b := start(t, tiny(1), c, phase), start(t, tiny(1), c, phase)
	ctx := &countdown{Context: context.Background(), n: 3}
	if _, err := a.Step(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	finish(t, a)
	finish(t, b)
	if !equal(save(t, a), save(t, b)) {
		t.Error("the interrupted training ended with other bytes")
	}
}

// countdown is a context that is cancelled after n calls of Err.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}
