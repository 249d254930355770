package sample_test

import (
	"fmt"
	"math"
	"testing"

	"itool/stages/policy/sample"
)

// The logits of the probabilities 0.5, 0.25, 0.125 and 0.125.
var quarters = []float32{float32(math.Log(4)), float32(math.Log(2)), 0, 0}

func TestFrequencies(t *testing.T) {
	for _, c := range []struct {
		name string
		set  sample.Settings
		want []float64
	}{
		{"greedy", sample.Settings{}, []float64{1, 0, 0, 0}},
		{"plain", sample.Settings{Temperature: 1}, []float64{.5, .25, .125, .125}},
		{"hot", sample.Settings{Temperature: 2}, []float64{2 / 5.41421, 1.41421 / 5.41421, 1 / 5.41421, 1 / 5.41421}},
		{"top-k 2", sample.Settings{Temperature: 1, TopK: 2}, []float64{2. / 3, 1. / 3, 0, 0}},
		{"top-k ties", sample.Settings{Temperature: 1, TopK: 3}, []float64{4. / 7, 2. / 7, 1. / 7, 0}},
		{"top-p exact", sample.Settings{Temperature: 1, TopP: .75}, []float64{2. / 3, 1. / 3, 0, 0}},
		{"top-p over", sample.Settings{Temperature: 1, TopP: .76}, []float64{4. / 7, 2. / 7, 1. / 7, 0}},
		{"top-p tiny", sample.Settings{Temperature: 1, TopP: 1e-9}, []float64{1, 0, 0, 0}},
		{"top-p one", sample.Settings{Temperature: 1, TopP: 1}, []float64{.5, .25, .125, .125}},
		{"min-p", sample.Settings{Temperature: 1, MinP: .49}, []float64{2. / 3, 1. / 3, 0, 0}},
		{"min-p under", sample.Settings{Temperature: 1, MinP: .24}, []float64{.5, .25, .125, .125}},
		{"min-p one", sample.Settings{Temperature: 1, MinP: 1}, []float64{1, 0, 0, 0}},
		{"min-p when hot", sample.Settings{Temperature: 2, MinP: .7}, []float64{2 / 3.41421, 1.41421 / 3.41421, 0, 0}},
		{"p then min-p", sample.Settings{Temperature: 1, TopP: .76, MinP: .3}, []float64{2. / 3, 1. / 3, 0, 0}},
		{"k then p", sample.Settings{Temperature: 1, TopK: 2, TopP: .6}, []float64{1, 0, 0, 0}},
	} {
		s := sample.New(7)
		const draws = 20000
		var got [4]float64
		for range draws {
			id, logp := s.Pick(quarters, c.set)
			got[id] += 1. / draws
			if raw := []float64{.5, .25, .125, .125}[id]; math.Abs(logp-math.Log(raw)) > 1e-7 {
				t.Fatalf("%s: id %d: log-probability %v, want log %v", c.name, id, logp, raw)
			}
		}
		for id, want := range c.want {
			// four standard deviations
			if math.Abs(got[id]-want) > 4*math.Sqrt(want*(1-want)/draws)+1e-9 {
				t.Errorf("%s: id %d: got %.3f, want %.3f", c.name, id, got[id], want)
			}
		}
	}
}

func TestSeed(t *testing.T) {
	draw := func(s *sample.Sampler) (text string) {
		for range 50 {
			id, _ := s.Pick(quarters, sample.Settings{Temperature: 1})
			text += fmt.Sprint(id)
		}
		return text
	}
	s := sample.New(1)
	first := draw(s)
	s.Reset(1)
	if again := draw(s); again != first {
		t.Errorf("same seed: got %s, want %s", again, first)
	}
	if other := draw(sample.New(2)); other == first {
		t.Error("seeds 1 and 2 give the same tokens")
	}
	// Every token uses one random number with any settings, so later tokens do not depend on the settings.
	a, b := sample.New(3), sample.New(3)
	a.Pick(quarters, sample.Settings{Temperature: 1, TopK: 1})
	b.Pick(quarters, sample.Settings{Temperature: .1, TopP: .5})
	if draw(a) != draw(b) {
		t.Error("a token took more than one random number")
	}
}

func TestGreedyTie(t *testing.T) {
	if got := sample.Greedy([]float32{1, 3, 3, 2}); got != 1 {
		t.Errorf("got %d, want the lowest of the likeliest, 1", got)
	}
}

func TestLogSumExp(t *testing.T) {
	if got := logSumExp(quarters); math.Abs(got-math.Log(8)) > 1e-7 {
		t.Errorf("got %v, want log 8", got)
	}
	for _, broken := range [][]float32{{0, float32(math.NaN())}, {float32(math.Inf(1)), 0}} {
		if got := logSumExp(broken); !math.IsNaN(got) && !math.IsInf(got, 0) {
			t.Errorf("%v: got %v, want a value that is not finite", broken, got)
		}
		for _, temperature := range []float64{0, 1, 2} {
			for _, set := range []sample.Settings{{TopP: .5}, {TopK: 1, MinP: .5}, {MinP: 1}} {
				set.Temperature = temperature
				if _, logp := sample.New(1).Pick(broken, set); logp-logp == 0 {
					t.Errorf("%v: %+v: got log-probability %v, want a value that is not finite", broken, set, logp)
				}
			}
		}
	}
}

// TestExponentials compares the fast exponential function with math.Exp, by LogSumExp.
func TestExponentials(t *testing.T) {
	logits := make([]float32, 3000)
	for i := range logits {
		logits[i] = float32(i-2000) / 7.3
	}
	for n := 1; n <= len(logits); n += 13 {
		sum, top := 0.0, float64(logits[n-1])
		for _, l := range logits[:n] {
			sum += math.Exp(float64(l) - top)
		}
		want := top + math.Log(sum)
		if got := logSumExp(logits[:n]); math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
			t.Fatalf("%d logits: got %v, want %v", n, got, want)
		}
	}
	if got := logSumExp([]float32{-3e38, 3e38}); got != float64(float32(3e38)) {
		t.Errorf("far apart: got %v", got)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []sample.Settings{
		{Temperature: -1}, {Temperature: 1e-300}, {Temperature: math.Inf(1)}, {Temperature: math.NaN()},
		{TopP: 1.1}, {TopK: -1}, {MinP: -.1}, {MinP: 1.1}, {MinP: math.NaN()},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	logits := make([]float32, 2048)
	for i := range logits {
		logits[i] = float32(i*7919%2048) / 200
	}
	for _, set := range []sample.Settings{{}, {Temperature: 1}, {Temperature: 1, TopP: .9}} {
		b.Run(fmt.Sprintf("T=%v,p=%v", set.Temperature, set.TopP), func(b *testing.B) {
			s := sample.New(1)
			b.ReportAllocs()
			for b.Loop() {
				s.Pick(logits, set)
			}
		})
	}
}

func logSumExp(logits []float32) float64 {
	var l sample.Logits
	l.Set(logits)
	return l.LogSumExp()
}

// Several draws from one row are those of rows of their own, in any order of their settings.
func TestLogitsAreReused(t *testing.T) {
	settings := []sample.Settings{{}, {Temperature: 1}, {Temperature: 1.7}, {Temperature: 1, TopK: 2},
		{Temperature: 1.7, TopP: 0.6}, {Temperature: 1}}
	var l sample.Logits
	l.Set(quarters)
	for i, set := range settings {
		got, other := sample.New(uint64(i)), sample.New(uint64(i))
		for range 50 {
			id, logp := l.Pick(set, got.Number(set))
			if want, wantLogp := other.Pick(quarters, set); id != want || logp != wantLogp {
				t.Fatalf("%+v: token %d, %v nats; alone it is %d, %v", set, id, logp, want, wantLogp)
			}
		}
	}
}

// PickAllowed draws what Pick draws when nothing else has a weight, and never anything else.
func TestPickAllowed(t *testing.T) {
	logits := []float32{5, 1, 900, 2, -800, 0.5} // token 4 has no weight beside the others
	lse := logSumExp(logits)
	masked := []float32{-1e30, 1, -1e30, 2, -1e30, 0.5}
	for _, set := range []sample.Settings{
		{}, {Temperature: 1}, {Temperature: 2}, {Temperature: 1, TopK: 4}, {Temperature: 1, TopP: 0.5},
		{Temperature: 1, MinP: 0.5},
	} {
		a, b := sample.New(7), sample.New(7)
		for range 200 {
			id, logp := a.PickAllowed(logits, []uint64{1<<1 | 1<<3 | 1<<5}, set)
			want, _ := b.Pick(masked, set)
			if id != want || logp != float64(logits[id])-lse {
				t.Fatalf("%+v: token %d with %v, want %d with %v", set, id, logp, want, float64(logits[want])-lse)
			}
		}
		if id, logp := a.PickAllowed(logits, []uint64{1 << 4}, set); id != 4 || logp > -1600 {
			t.Errorf("%+v: the only token: %d with %v", set, id, logp)
		}
		if id, _ := a.PickAllowed(logits, nil, set); id != -1 {
			t.Errorf("%+v: no token: %d", set, id)
		}
	}
	broken := []float32{0, float32(math.NaN())}
	if _, logp := sample.New(1).PickAllowed(broken, []uint64{1}, sample.Settings{}); logp-logp == 0 {
		t.Errorf("broken logits: %v, want a value that is not finite", logp)
	}
}

func BenchmarkPickAllowed(b *testing.B) {
	logits := make([]float32, 49152)
	for i := range logits {
		logits[i] = float32(i*7919%2048) / 200
	}
	all, one := make([]uint64, len(logits)/64), make([]uint64, len(logits)/64)
	for i := range all {
		all[i] = math.MaxUint64
	}
	one[5] = 8
	for _, c := range []struct {
		name    string
		allowed []uint64
	}{{"off", nil}, {"all", all}, {"one", one}} {
		b.Run(c.name, func(b *testing.B) {
			s := sample.New(1)
			b.ReportAllocs()
			for b.Loop() {
				if c.allowed == nil {
					s.Pick(logits, sample.Settings{Temperature: 1})
				} else {
					s.PickAllowed(logits, c.allowed, sample.Settings{Temperature: 1})
				}
			}
		})
	}
}
