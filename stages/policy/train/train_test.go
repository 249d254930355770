package train_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/loss"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

func tiny(seed uint64) *model.Model { return tinyOn(ref.New(), seed) }

func tinyOn(dev kernel.Device, seed uint64) *model.Model {
	m := model.New(model.Config{
		Family: model.Llama, HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 4,
		VocabSize: 23, MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
		BOS: []int32{1}, EOS: []int32{2}, DType: "float32",
	}, seed, dev)
	for i := range m.Embed { // larger than a fresh model's weights: every part then matters,
		m.Embed[i] *= 25 // and a frozen head can say something
	}
	for i := range m.Layers {
		for _, l := range m.Layers[i].Linears() {
			for j := range l.W {
				l.W[j] *= 8
			}
		}
	}
	return m.Clone()
}

func ids(r *rand.Rand, n int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(r.IntN(23))
	}
	return v
}

func examples(n int) []train.Example {
	r := rand.New(rand.NewPCG(3, 4))
	es := make([]train.Example, n)
	for i := range es {
		es[i] = train.Example{ID: fmt.Sprintf("e%d", i), Prompt: ids(r, 2+r.IntN(4)), Answer: ids(r, 1+r.IntN(5))}
	}
	return es
}

func pairs(n int) []train.Pair {
	r := rand.New(rand.NewPCG(5, 6))
	ps := make([]train.Pair, n)
	for i := range ps {
		ps[i] = train.Pair{
			ID: fmt.Sprintf("p%d", i), Prompt: ids(r, 3), Chosen: ids(r, 2+r.IntN(3)), Rejected: ids(r, 2+r.IntN(3)),
			RefChosen: -9, RefRejected: -8,
		}
	}
	return ps
}

func config() train.Config {
	c := train.Default()
	c.Rank, c.Alpha, c.Tokens, c.Seed = 4, 8, 48, 1
	return c
}

func start(t *testing.T, m *model.Model, c train.Config, phases ...train.Phase) *train.Trainer {
	t.Helper()
	tr, err := train.New(m, c, phases)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// finish takes all steps that are left and returns their statistics.
func finish(t *testing.T, tr *train.Trainer) []train.Stats {
	t.Helper()
	var all []train.Stats
	for {
		s, err := tr.Step(context.Background())
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
}

func meanNLL(t *testing.T, tr *train.Trainer, es []train.Example) float64 {
	t.Helper()
	l, err := tr.Loss(context.Background(), es)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// weights returns the tensors of the adapter, one behind the other.
func weights(a *model.Adapter) (all []float32) {
	for _, l := range a.Layers {
		for _, m := range l {
			if m != nil {
				all = append(append(all, m.A...), m.B...)
			}
		}
	}
	return all
}

func distance(a, b []float32) (far float64) {
	for i := range a {
		far = max(far, math.Abs(float64(a[i]-b[i])))
	}
	return far
}

// TestLossIsTheModels compares the loss with that of a slow and obvious Llama.
func TestLossIsTheModels(t *testing.T) {
	es := examples(5)
	m := tiny(1)
	var sum float64
	var n int
	for _, e := range es {
		for _, l := range naive(m, append(slices.Clone(e.Prompt), e.Answer...))[len(e.Prompt)-1:] {
			sum, n = sum-l, n+1
		}
	}
	want := sum / float64(n)
	if got := meanNLL(t, start(t, m, config()), es); math.Abs(got-want) > 1e-5*want {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// TestLearn: an example that learns two answers of one conversation has the loss of their tokens, each after all
// tokens before it.
func TestLearn(t *testing.T) {
	m, r := tiny(1), rand.New(rand.NewPCG(8, 8))
	all := ids(r, 12)
	e := train.Example{ID: "talk", Prompt: all[:2], Answer: all[2:], Learn: make([]bool, 10)}
	want := 0.0
	for _, i := range []int{3, 4, 8} {
		e.Learn[i] = true
		logp := naive(m, all)
		want -= logp[1+i] / 3 // naive leaves the first token out
	}
	phase := train.Phase{Name: "p", Examples: []train.Example{e}, Epochs: 1, Rate: 1e-3, BatchSize: 1}
	tr := start(t, m, config(), phase)
	if got := meanNLL(t, tr, []train.Example{e}); math.Abs(got-want) > 1e-5 {
		t.Errorf("loss %v, want %v", got, want)
	}
	stats, err := tr.Step(context.Background())
	if err != nil || math.Abs(stats.Loss-want) > 1e-5 {
		t.Errorf("loss of the step %v, %v, want %v", stats.Loss, err, want)
	}
	for name, learn := range map[string][]bool{"entries": {true}, "no token": make([]bool, 10)} {
		e.Learn = learn
		phase := train.Phase{Name: "p", Examples: []train.Example{e}, Epochs: 1, Rate: 1e-3, BatchSize: 1}
		_, err := train.New(m, config(), []train.Phase{phase})
		want := map[string]string{"entries": "1 entries", "no token": "no token"}[name]
		if err == nil || !strings.Contains(err.Error(), "example talk: learn: "+want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOverfit(t *testing.T) {
	for _, full := range []bool{false, true} {
		c := config()
		c.Full, c.Rank, c.Alpha = full, 8, 16
		es := examples(4)
		tr := start(t, tiny(1), c, train.Phase{Name: "learn", Examples: es, Epochs: 150, Rate: 0.02, BatchSize: 4})
		before := meanNLL(t, tr, es)
		stats := finish(t, tr)
		if after := meanNLL(t, tr, es); after > 0.05 || math.Abs(before-stats[0].Loss) > 1e-6 {
			t.Errorf("full %v: loss from %v (first step says %v) to %v, want under 0.05",
				full, before, stats[0].Loss, after)
		}
		m, err := tr.Model()
		if err != nil {
			t.Fatal(err)
		}
		if again := meanNLL(t, start(t, m.Merged(), config()), es); math.Abs(again-meanNLL(t, tr, es)) > 1e-4 {
			t.Errorf("full %v: the merged model's loss is %v, the trainer's %v", full, again, meanNLL(t, tr, es))
		}
	}
}

func TestPreferences(t *testing.T) {
	for _, kind := range []string{"simpo", "dpo", "ipo", "orpo"} {
		t.Run(kind, func(t *testing.T) {
			c := config()
			c.Loss = kind
			if kind != "simpo" {
				c.Beta = 0.5
			}
			ps := pairs(6)
			stats := finish(t, start(t, tiny(1), c,
				train.Phase{Name: "prefer", Pairs: ps, Epochs: 30, Rate: 0.01, BatchSize: 6, Shuffle: true}))
			first, last := stats[0], stats[len(stats)-1]
			if last.Loss > 0.7*first.Loss || last.Pairs.Accuracy != 1 || last.Pairs.Margin <= first.Pairs.Margin {
				t.Errorf("from %+v to %+v", first, last)
			}
			var tokens float64
			for _, p := range ps {
				tokens += float64(len(p.Chosen)) / 6
			}
			p := last.Pairs
			if math.Abs(p.ChosenTokens-tokens) > 1e-9 || math.Abs(p.Margin-(p.Chosen-p.Rejected)) > 1e-12 {
				t.Errorf("chosen length %v, want %v; margin %v", p.ChosenTokens, tokens, p.Margin)
			}
		})
	}
}

func TestScheduleAndPhases(t *testing.T) {
	es := examples(5)
	c := config()
	c.WarmupRatio = 0.1
	tr := start(t, tiny(1), c,
		train.Phase{Name: "easy", Examples: es, Epochs: 10, Rate: 1e-3, BatchSize: 2},
		train.Phase{Name: "medium", Epochs: 1, BatchSize: 1},
		train.Phase{Name: "hard", Examples: es, Epochs: 1, Rate: 1e-4, BatchSize: 64})
	if phase, step, total := tr.Position(); phase != 0 || step != 0 || total != 30 {
		t.Errorf("position %d %d %d", phase, step, total)
	}
	stats := finish(t, tr)
	if len(stats) != 31 || stats[30].Phase != "hard" || stats[2].Units != 1 {
		t.Fatalf("%d steps, last %+v", len(stats), stats[len(stats)-1])
	}
	for i, want := range map[int]float64{0: 0, 1: 1e-3 / 3, 3: 1e-3, 30: 1e-4} {
		if math.Abs(stats[i].Rate-want) > 1e-12 {
			t.Errorf("step %d: rate %v, want %v", i, stats[i].Rate, want)
		}
	}
	if phase, _, _ := tr.Position(); phase != 3 {
		t.Errorf("phase %d at the end", phase)
	}
	if _, err := tr.Step(context.Background()); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// TestSteps: a phase of so many steps ends in the middle of an epoch, or goes on beyond one, and its schedule
// with it.
func TestSteps(t *testing.T) {
	c := config()
	c.WarmupRatio = 0.1
	tr := start(t, tiny(1), c,
		train.Phase{Name: "a", Examples: examples(5), Epochs: 1, Steps: 25, Rate: 1e-3, BatchSize: 2},
		train.Phase{Name: "b", Epochs: 1, Steps: 3, BatchSize: 1}, // has no examples
		train.Phase{Name: "c", Examples: examples(5), Epochs: 9, Steps: 2, Rate: 1e-3, BatchSize: 2})
	if _, _, total := tr.Position(); total != 25 {
		t.Errorf("the first phase has %d steps, want 25", total)
	}
	stats := finish(t, tr)
	if len(stats) != 27 || stats[25].Phase != "c" || stats[2].Units != 1 ||
		stats[0].Rate != 0 || stats[24].Rate > 1e-5 {
		t.Fatalf("%d steps: %+v", len(stats), stats)
	}
}

// TestContinuesTheAdapter: training continues the adapter of the model, and refuses to do so with another rank.
func TestContinuesTheAdapter(t *testing.T) {
	phase := train.Phase{Name: "a", Examples: examples(4), Epochs: 3, Rate: 1e-2, BatchSize: 2}
	c := config()
	c.Targets = []string{"q_proj", "down_proj"}
	first := start(t, tiny(1), c, phase)
	if w := weights(first.Adapter(false)); slices.Max(w) > 0.25 || slices.Min(w) < -0.25 || slices.Max(w) < 0.2 {
		t.Errorf("a fresh A is uniform within ±1/√16 and B zero; got %v to %v", slices.Min(w), slices.Max(w))
	}
	finish(t, first)
	m, err := first.Model()
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, m, c, phase)
	if !slices.Equal(weights(first.Adapter(false)), weights(second.Adapter(false))) {
		t.Error("the second trainer does not begin where the first ended")
	}
	if got := second.Adapter(false).Targets(); !slices.Equal(got, c.Targets) {
		t.Errorf("targets %v", got)
	}
	c.Rank = 2
	if _, err := train.New(m, c, []train.Phase{phase}); err == nil || !strings.Contains(err.Error(), "rank") {
		t.Errorf("another rank: %v", err)
	}
}

func TestBest(t *testing.T) {
	phase := train.Phase{Name: "a", Examples: examples(4), Epochs: 4, Rate: 1e-2, BatchSize: 2}
	tr := start(t, tiny(1), config(), phase)
	for range 4 {
		if _, err := tr.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	tr.MarkBest()
	best := weights(tr.Adapter(false))
	finish(t, tr)
	now := weights(tr.Adapter(false))
	if !slices.Equal(weights(tr.Adapter(true)), best) || slices.Equal(now, best) {
		t.Error("the best adapter is not the one that was marked")
	}
	if !slices.Equal(weights(tr.Adapter(false)), now) {
		t.Error("Adapter(true) changed the current adapter")
	}
	m, err := tr.Best()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weights(m.Adapter), best) {
		t.Error("Best is another model")
	}
}

// A step allocates nothing once the buffers have grown to the size that the data needs, also at the ends of
// epochs, for an adapter and for full training.
func TestStepAllocatesNothing(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []loss.Kind{loss.SFT, loss.SimPO, loss.DPO, loss.IPO, loss.ORPO} {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/full=%v", kind, full), func(t *testing.T) {
				c := config()
				c.Loss, c.Full = string(kind), full
				phase := train.Phase{Name: "p", Epochs: 100, Rate: 1e-3, BatchSize: 4, Shuffle: true}
				if kind == loss.SFT {
					phase.Examples = examples(10)
				} else {
					phase.Pairs = pairs(10)
				}
				tr := start(t, tinyOn(dev, 1), c, phase)
				step := func() {
					if _, err := tr.Step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for range 30 {
					step()
				}
				if n := testing.AllocsPerRun(60, step); n != 0 {
					t.Errorf("%v allocations a step", n)
				}
			})
		}
	}
}
