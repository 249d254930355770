package loss_test

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/loss"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func close(got, want, tol float64) bool { return math.Abs(got-want) <= tol*math.Max(1, math.Abs(want)) }

// TestGolden compares with testdata/golden.json, which holds the formulas of TRL and LLaMA-Factory,
// computed independently.
func TestGolden(t *testing.T) {
	kinds := map[string]loss.Config{
		"simpo_b2.5_g0.5":            {Kind: loss.SimPO, Beta: 2.5, Gamma: 0.5},
		"simpo_b2.5_g1.375":          {Kind: loss.SimPO, Beta: 2.5, Gamma: 1.375},
		"simpo_LFdefaults_b0.1_g0.5": {Kind: loss.SimPO, Beta: 0.1, Gamma: 0.5},
		"cpo_simpo_b2.5_g0.5_alpha1": {Kind: loss.SimPO, Beta: 2.5, Gamma: 0.5, SFTWeight: 1},
		"dpo_b0.1":                   {Kind: loss.DPO, Beta: 0.1},
		"ipo_avg_b0.1":               {Kind: loss.IPO, Beta: 0.1},
		"orpo_b0.1":                  {Kind: loss.ORPO, Beta: 0.1},
	}
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []map[string]json.RawMessage
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, c := range cases {
		var in struct {
			W, L, RW, RL string
			NW, NL       int
		}
		if err := json.Unmarshal(c["inp"], &in); err != nil {
			t.Fatal(err)
		}
		num := func(s string) float64 {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		p := loss.Pair{
			Chosen: num(in.W), Rejected: num(in.L), NChosen: in.NW, NRejected: in.NL,
			RefChosen: num(in.RW), RefRejected: num(in.RL),
		}
		for name, cfg := range kinds {
			var want struct{ Loss, DW, DL float64 }
			if err := json.Unmarshal(c[name], &want); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := cfg.Of(p)
			if err != nil {
				t.Fatal(err)
			}
			ok := close(got.Loss, want.Loss, 1e-9)
			ok = ok && close(got.DChosen, want.DW, 1e-9) && close(got.DRejected, want.DL, 1e-9)
			if !ok {
				t.Errorf("case %d %s: got %+v, want %+v", i, name, got, want)
			}
			compared++
		}
	}
	if compared != 4*len(kinds) {
		t.Errorf("compared %d values", compared)
	}
}

func TestGradientsMatchDifferences(t *testing.T) {
	p := loss.Pair{Chosen: -3.2, Rejected: -2.9, NChosen: 4, NRejected: 7, RefChosen: -3, RefRejected: -3.1}
	for _, cfg := range []loss.Config{
		{Kind: loss.SimPO, Beta: 2.5, Gamma: 0.5, SFTWeight: 0.2}, {Kind: loss.DPO, Beta: 0.3},
		{Kind: loss.IPO, Beta: 0.3}, {Kind: loss.ORPO, Beta: 0.5, SFTWeight: 0.1},
	} {
		at := func(w, l float64) float64 {
			q := p
			q.Chosen, q.Rejected = p.Chosen+w, p.Rejected+l
			v, err := cfg.Of(q)
			if err != nil {
				t.Fatal(err)
			}
			return v.Loss
		}
		v, _ := cfg.Of(p)
		const h = 1e-5
		dw, dl := (at(h, 0)-at(-h, 0))/(2*h), (at(0, h)-at(0, -h))/(2*h)
		if !close(v.DChosen, dw, 1e-8) || !close(v.DRejected, dl, 1e-8) {
			t.Errorf("%s: got %v %v, finite differences give %v %v", cfg.Kind, v.DChosen, v.DRejected, dw, dl)
		}
	}
}

// TestExtremes: the losses of certain and of impossible answers are finite, and an empty side is an error.
func TestExtremes(t *testing.T) {
	for _, kind := range []loss.Kind{loss.SimPO, loss.DPO, loss.IPO, loss.ORPO} {
		cfg := loss.Config{Kind: kind, Beta: 2.5}
		for _, s := range [][2]float64{{0, 0}, {0, -1e5}, {-1e5, 0}, {-1e-9, -1e-9}} {
			v, err := cfg.Of(loss.Pair{Chosen: s[0], Rejected: s[1], NChosen: 3, NRejected: 5})
			sum := v.Loss + v.DChosen + v.DRejected
			if err != nil || math.IsNaN(sum) || math.IsInf(sum, 0) {
				t.Errorf("%s at %v: %+v %v", kind, s, v, err)
			}
		}
		for _, p := range []loss.Pair{{NChosen: 1}, {NRejected: 1}} {
			if _, err := cfg.Of(p); err == nil {
				t.Errorf("%s: an empty side gave no error", kind)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]loss.Config{
		"kind": {Kind: "kto", Beta: 1}, "no beta": {Kind: loss.DPO}, "NaN": {Kind: loss.DPO, Beta: math.NaN()},
		"gamma": {Kind: loss.SimPO, Beta: 1, Gamma: -1}, "sft": {Kind: loss.SimPO, Beta: 1, SFTWeight: -1},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: %+v was accepted", name, c)
		}
	}
}

// TestNode runs the loss inside a graph: rows are grouped by side, and the gradient of a row is the
// derivative of the loss with respect to its side's sum.
func TestNode(t *testing.T) {
	logp := []float32{-1, -2, -3, -0.5, -0.25, 9}
	tests := []struct {
		name string
		cfg  loss.Config
		side []int32
		n    int // units
		den  float64
	}{
		{"sft", loss.Config{Kind: loss.SFT}, []int32{0, -1, 0, 2, 2, -1}, 2, 4},
		{
			"simpo", loss.Config{Kind: loss.SimPO, Beta: 2.5, Gamma: 0.5, SFTWeight: 0.2},
			[]int32{0, 0, 1, -1, 1, -1}, 1, 3,
		},
		{"ipo", loss.Config{Kind: loss.IPO, Beta: 1}, []int32{1, 0, 3, 2, 2, -1}, 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := &loss.Plan{Side: tt.side, Denominator: tt.den, Units: make([]loss.Unit, tt.n)}
			for i := range plan.Units {
				plan.Units[i].RefChosen, plan.Units[i].RefRejected = -2, -1
			}
			x := append([]float32(nil), logp...)
			g := G.NewGraph()
			value := op.NewArray(ref.New(), kernel.Host(x), 6)
			in := G.NewVector(g, tensor.Float32, G.WithName("logp"), G.WithShape(6), G.WithValue(value))
			cost, err := loss.Node("loss", in, tt.cfg, plan)
			if err != nil {
				t.Fatal(err)
			}
			grads, err := G.Grad(cost, in)
			if err != nil {
				t.Fatal(err)
			}
			m, err := op.Compile(cost, grads[0])
			if err != nil {
				t.Fatal(err)
			}
			run := func() float64 {
				if err := m.Run(); err != nil {
					t.Fatal(err)
				}
				return float64(op.Value(cost).Data().(float32))
			}
			run()
			got := append([]float32(nil), op.Value(grads[0]).Data().([]float32)...)
			var nll, n float64
			for i := range x {
				const h = 1.0 / 64
				x[i] = logp[i] + h
				up := run()
				x[i] = logp[i] - h
				down := run()
				x[i] = logp[i]
				if d := (up - down) / (2 * h); !close(float64(got[i]), d, 2e-3) {
					t.Errorf("row %d: gradient %v, finite differences give %v", i, got[i], d)
				}
				if tt.side[i] >= 0 {
					nll, n = nll-float64(logp[i]), n+1
				}
			}
			if l := run(); tt.cfg.Kind == loss.SFT && !close(l, nll/n, 1e-6) {
				t.Errorf("loss %v, want %v", l, nll/n)
			}
		})
	}
}
