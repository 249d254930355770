package loop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// trainer has two phases of n and 2 steps.
func trainer(t *testing.T, n int) *train.Trainer {
	t.Helper()
	e := []train.Example{{ID: "e", Prompt: []int32{1, 2}, Answer: []int32{3}}}
	cfg := train.Default()
	cfg.Rank, cfg.Tokens = 1, 16
	tr, err := train.New(policytest.Open(t, 1).Model(), cfg, []train.Phase{
		{Name: "first", Examples: e, Epochs: n, Rate: 1e-3, BatchSize: 1},
		{Name: "second", Examples: e, Epochs: 2, Rate: 1e-3, BatchSize: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// run runs a training of n + 2 steps, and returns its checkpoints by step.
func run(t *testing.T, n int, set func(*loop.Loop)) (*loop.Loop, map[int]fstest.MapFS, error) {
	t.Helper()
	left := map[int]fstest.MapFS{}
	l := &loop.Loop{Trainer: trainer(t, n), Policy: "p", Total: n + 2}
	l.Checkpoint = func(_ context.Context, step int, write func(loop.Create) error) error {
		left[step] = fstest.MapFS{}
		return write(func(name string) (io.WriteCloser, error) { return &file{name: name, in: left[step]}, nil })
	}
	l.Progress = func(int, int, string, string) {}
	if set != nil {
		set(l)
	}
	return l, left, l.Run(t.Context())
}

type file struct {
	bytes.Buffer
	name string
	in   fstest.MapFS
}

func (f *file) Close() error {
	f.in[f.name] = &fstest.MapFile{Data: f.Bytes()}
	return nil
}

func TestCheckpoints(t *testing.T) {
	for _, c := range []struct {
		name          string
		every, before int
		want          []int
	}{
		{"phase ends only", 0, 0, []int{5, 7}},
		{"every three steps, and phase ends", 3, 0, []int{3, 5, 6, 7}},
		{"after an earlier training", 4, 100, []int{104, 105, 107}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, left, err := run(t, 5, func(l *loop.Loop) { l.Every, l.Before = c.every, c.before })
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range c.want {
				if left[step] == nil {
					t.Errorf("no checkpoint after step %d", step)
				}
			}
			if len(left) != len(c.want) {
				t.Errorf("%d checkpoints, want %v", len(left), c.want)
			}
		})
	}
}

// TestCurve: a short training keeps every point, a long one about a thousand. A point with a validation
// loss is always kept, and so is the last one of a phase.
func TestCurve(t *testing.T) {
	loss := 0.5
	l, _, err := run(t, 2500, func(l *loop.Loop) {
		l.After = func(_ context.Context, p *loop.Point) error {
			if p.Step == 1000 {
				p.Validation = &loss
			}
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int]loop.Point{}
	for _, p := range l.Curve {
		kept[p.Step] = p
	}
	if len(kept) < 800 || len(kept) > 1100 {
		t.Errorf("%d of 2502 points are kept, want about a thousand", len(kept))
	}
	if p := kept[1000]; p.Validation == nil || *p.Validation != loss {
		t.Error("the validated step is not kept")
	}
	first, second := kept[2500], kept[2502]
	if first.Phase != "first" || second.Phase != "second" || second.InPhase != 2 || second.OfPhase != 2 {
		t.Errorf("ends of the phases: %+v, %+v", first, second)
	}
	if short, _, _ := run(t, 3, nil); len(short.Curve) != 5 || short.Done != 5 {
		t.Errorf("%d points of %d steps, want 5 of 5", len(short.Curve), short.Done)
	}
}

// TestResume: a resumed training ends with the same curve, and the notes are read back. A checkpoint
// that does not fit changes nothing.
func TestResume(t *testing.T) {
	type notes struct{ Best float64 }
	whole, left, err := run(t, 5, func(l *loop.Loop) { l.Every, l.Notes = 3, &notes{0.25} })
	if err != nil {
		t.Fatal(err)
	}
	var n notes
	if err := loop.ReadNotes(left[3], "p", &n); err != nil || n.Best != 0.25 {
		t.Errorf("notes %+v, %v", n, err)
	}
	n = notes{}
	again, _, err := run(t, 5, func(l *loop.Loop) {
		l.Notes = &n
		if err := l.Resume(left[3]); err != nil {
			t.Fatal(err)
		}
		if l.Done != 3 || n.Best != 0.25 {
			t.Errorf("resumed with %d steps done and notes %+v", l.Done, n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(whole.Curve)
	b, _ := json.Marshal(again.Curve)
	if !bytes.Equal(a, b) {
		t.Errorf("the curves differ:\n%s\n%s", a, b)
	}
	for name, f := range map[string]fstest.MapFS{
		"another policy": {"loop.json": {Data: []byte(`{"policy":"q","notes":{}}`)}},
		"too many steps": {"loop.json": {Data: []byte(`{"policy":"p","done":99,"notes":{}}`)}},
		"no trainer":     {"loop.json": left[3]["loop.json"]},
		"no notes":       {"loop.json": {Data: []byte(`{"policy":"p"}`)}},
		"nothing":        {},
	} {
		l := &loop.Loop{Trainer: trainer(t, 5), Policy: "p", Total: 7, Notes: &notes{}}
		if err := l.Resume(f); err == nil || l.Done != 0 {
			t.Errorf("%s: err = %v, %d steps done", name, err, l.Done)
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("the disk is full")
	fail := func(context.Context, int, func(loop.Create) error) error { return broken }
	if _, _, err := run(t, 5, func(l *loop.Loop) { l.Checkpoint = fail }); !errors.Is(err, broken) {
		t.Errorf("checkpoint: %v", err)
	}
	after := func(context.Context, *loop.Point) error { return broken }
	l, left, err := run(t, 5, func(l *loop.Loop) { l.After, l.Every = after, 1 })
	if !errors.Is(err, broken) || len(left) != 0 {
		t.Errorf("after: %v, %d checkpoints, %d steps", err, len(left), l.Done)
	}
	refuse := func(_ context.Context, _ int, write func(loop.Create) error) error {
		return write(func(name string) (io.WriteCloser, error) { return nil, broken })
	}
	_, _, err = run(t, 5, func(l *loop.Loop) { l.Checkpoint = refuse })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "loop") {
		t.Errorf("create: %v", err)
	}
}

func TestRate(t *testing.T) {
	sized := func(parameters int) *model.Model {
		return &model.Model{Config: model.Config{VocabSize: parameters, HiddenSize: 1}}
	}
	for _, c := range []struct {
		parameters int
		want       float64
	}{
		{1e4, 1e-3}, {1e7, 1e-3},
		{4e7, 1e-3 * math.Pow(0.1, math.Log(4)/math.Log(800))},
	} {
		if got := loop.Rate(sized(c.parameters), 1e-3, 1e-4); math.Abs(got/c.want-1) > 1e-9 {
			t.Errorf("%d parameters: %g, want %g", c.parameters, got, c.want)
		}
	}
	big := &model.Model{Layers: make([]model.Layer, 32)} // the shapes of an 8 B model, without weights
	for i := range big.Layers {
		for _, l := range big.Layers[i].Linears() {
			l.N, l.K = 1<<13, 1<<13
		}
	}
	if got := loop.Rate(big, 1e-4, 5e-6); math.Abs(got/5e-6-1) > 1e-9 {
		t.Errorf("8 B and more: %g, want 5e-6", got)
	}
}
