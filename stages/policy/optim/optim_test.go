package optim_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/op"
	"itool/stages/policy/optim"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// param is a ValueGrad whose gradient the test sets.
type param struct{ w, g *op.Array }

func (p param) Value() G.Value         { return p.w }
func (p param) Grad() (G.Value, error) { return p.g, nil }

func newParam(shape tensor.Shape, w, g []float32) param {
	value := func(x []float32) *op.Array { return op.NewArray(ref.New(), kernel.Host(x), shape...) }
	return param{value(w), value(g)}
}

func adamW() *optim.AdamW {
	return &optim.AdamW{Device: ref.New(), Rate: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
}

// TestGolden compares four steps of one weight with numbers that were computed in float64.
func TestGolden(t *testing.T) {
	plain := []float64{0.9990000001, 0.9993661036038849, 0.9990228625394775, 0.99874169879286}
	decayed := []float64{0.9989900001, 0.9993461137038839, 0.9989928791783396, 0.9987017255029303}
	tests := []struct {
		name  string
		shape tensor.Shape
		decay float64
		want  []float64
	}{
		{"no decay", tensor.Shape{1, 1}, 0, plain},
		{"decay", tensor.Shape{1, 1}, 0.01, decayed},
		{"norms do not decay", tensor.Shape{1}, 0.01, plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := adamW()
			s.Decay = tt.decay
			w, g := []float32{1}, []float32{0}
			p := []G.ValueGrad{newParam(tt.shape, w, g)}
			for i, grad := range []float32{0.1, -0.2, 0.3, 1e-6} {
				g[0] = grad
				if err := s.Step(p); err != nil {
					t.Fatal(err)
				}
				if math.Abs(float64(w[0])-tt.want[i]) > 3e-7 {
					t.Errorf("step %d: got %.9f, want %.9f", i, w[0], tt.want[i])
				}
				if g[0] != 0 {
					t.Error("the gradient was not cleared")
				}
			}
		})
	}
}

func TestClipIsGlobal(t *testing.T) {
	run := func(clip float64, g1, g2 float32) (float32, float64) {
		s := adamW()
		s.Clip, s.Eps = clip, 1 // a large ε makes the step depend on the gradient's size
		w := []float32{1}
		other := newParam(tensor.Shape{1}, []float32{1}, []float32{g2})
		p := []G.ValueGrad{newParam(tensor.Shape{1}, w, []float32{g1}), other}
		if err := s.Step(p); err != nil {
			t.Fatal(err)
		}
		return w[0], s.Norm
	}
	clipped, norm := run(1, 3, 4)
	plain, _ := run(0, 0.6, 0.8)
	if norm != 5 || math.Abs(float64(clipped-plain)) > 1e-7 {
		t.Errorf("norm %v, weight %v; want 5 and %v", norm, clipped, plain)
	}
}

func TestNotFinite(t *testing.T) {
	s := adamW()
	w, g := []float32{1, 2}, []float32{1, float32(math.NaN())}
	p := []G.ValueGrad{newParam(tensor.Shape{2}, w, g)}
	if err := s.Step(p); !errors.Is(err, optim.ErrNotFinite) {
		t.Fatalf("got %v", err)
	}
	if !slices.Equal(w, []float32{1, 2}) || s.State.Step != 0 || s.State.M[0].Host[0] != 0 || g[0] != 0 {
		t.Errorf("a bad gradient changed something: w %v, state %+v, g %v", w, s.State, g)
	}
}

// TestStateIsEnough: a solver with a copy of the state takes the same next step.
func TestStateIsEnough(t *testing.T) {
	a := adamW()
	wa, ga := []float32{1}, []float32{0.5}
	pa := []G.ValueGrad{newParam(tensor.Shape{1}, wa, ga)}
	if err := a.Step(pa); err != nil {
		t.Fatal(err)
	}
	b := adamW()
	m, v := kernel.Host(slices.Clone(a.State.M[0].Host)), kernel.Host(slices.Clone(a.State.V[0].Host))
	b.State = optim.State{Step: a.State.Step, M: []kernel.Floats{m}, V: []kernel.Floats{v}}
	wb, gb := slices.Clone(wa), []float32{-0.25}
	ga[0] = -0.25
	if err := errors.Join(a.Step(pa), b.Step([]G.ValueGrad{newParam(tensor.Shape{1}, wb, gb)})); err != nil {
		t.Fatal(err)
	}
	if wa[0] != wb[0] {
		t.Errorf("got %v, want %v", wb[0], wa[0])
	}
	if err := b.Step(nil); err == nil {
		t.Error("a state with another number of parameters was accepted")
	}
	b.Reset()
	if b.State.Step != 0 || b.State.M[0].Host[0] != 0 || b.State.V[0].Host[0] != 0 {
		t.Errorf("reset left %+v", b.State)
	}
}

func TestFactor(t *testing.T) {
	tests := []struct {
		step, total int
		want        float64
	}{
		{0, 100, 0}, {1, 100, 0.1}, {5, 100, 0.5}, {9, 100, 0.9}, {10, 100, 1},
		{11, 100, 0.9996954135095479}, {55, 100, 0.5}, {99, 100, 0.00030458649045211894}, {100, 100, 0},
		{0, 37, 0}, {1, 37, 0.25}, {3, 37, 0.75}, {4, 37, 1},
		{5, 37, 0.9977359612865423}, {20, 37, 0.5237909579118712}, {36, 37, 0.0022640387134577056},
		{0, 19, 1}, {0, 1, 1}, {1, 1, 0}, // short phases have no warm-up
	}
	for _, tt := range tests {
		if got := optim.Factor(tt.step, tt.total, 0.1); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("Factor(%d, %d) = %v, want %v", tt.step, tt.total, got, tt.want)
		}
	}
}
