package kerneltest

import (
	"math"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// sampling tests Sample against logits in float64: log-probabilities of tokens asked and of the token drawn,
// the likeliest tokens, and that a draw is one that its settings allow. tolerance is of a log-probability.
func sampling(t *testing.T, dev Slices, tolerance float64) {
	const rows, k, v = 60, 24, 301 // more rows than have their logits at once
	in := newSource("sample")
	x, w := in.normal(rows*k, 0.5), in.normal(v*k, 1)
	if tolerance > headTolerance {
		x, w = rounded(x), rounded(w)
	}
	var picks []kernel.Pick
	for r := range rows {
		if r == 0 || r > 10 && r < 50 { // nothing is asked
			continue
		}
		for _, set := range []sample.Settings{{}, {Temperature: 1}, {Temperature: 0.7, TopK: 5},
			{Temperature: 1.3, TopP: 0.6}, {Temperature: 1, MinP: 0.2}}[:1+r%5] {
			picks = append(picks, kernel.Pick{Row: r, Settings: set, U: in.rng.Float64(), Top: r % 4,
				Of: []int32{0, v - 1}, LogProbs: make([]float64, 2)})
		}
	}
	only := []uint64{1<<7 | 1<<9, 1 << 3}
	picks[len(picks)-1].Allowed = only
	dev.Sample(picks, x, dev.Pack(w, v, k))
	for i := range picks {
		p := &picks[i]
		logits := make([]float32, v)
		for id := range logits {
			logits[id] = float32(dot(x[p.Row*k:(p.Row+1)*k], w[id*k:(id+1)*k]))
		}
		checkPick(t, p, logits, tolerance)
	}
	if id := picks[len(picks)-1].ID; id != 7 && id != 9 && id != 67 {
		t.Errorf("token %d is not allowed", id)
	}
}

func checkPick(t *testing.T, p *kernel.Pick, logits []float32, tolerance float64) {
	t.Helper()
	var l sample.Logits
	l.Set(logits)
	near := func(what string, got, want float64) {
		if !(math.Abs(got-want) <= tolerance*10) {
			t.Errorf("row %d %+v: %s is %v, want %v", p.Row, p.Settings, what, got, want)
		}
	}
	near("the log-probability of the draw", p.LogProb, l.LogProb(p.ID))
	for i, id := range p.Of {
		near("a log-probability", p.LogProbs[i], l.LogProb(id))
	}
	if len(p.Likeliest) != p.Top {
		t.Errorf("row %d: %d likeliest tokens, want %d", p.Row, len(p.Likeliest), p.Top)
	}
	for i, want := range l.Likeliest(len(p.Likeliest)) {
		near("a likeliest token", p.Likeliest[i].LogProb, want.LogProb)
	}
	if p.Allowed != nil {
		return
	}
	switch want, _ := l.Pick(p.Settings, p.U); {
	case p.Settings.Temperature == 0:
		near("the likeliest", l.LogProb(p.ID), l.LogProb(want))
	case p.Settings.TopK > 0:
		if kept := l.Likeliest(p.Settings.TopK); l.LogProb(p.ID) < kept[len(kept)-1].LogProb-10*tolerance {
			t.Errorf("row %d: token %d is none of the top %d", p.Row, p.ID, p.Settings.TopK)
		}
	}
}
