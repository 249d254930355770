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
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

func tiny(seed uint64) *model.Model { return tinyOn(ref.New(), seed) }

func tinyOn(dev kernel.Device, seed uint64) *model.Model {
	m := model.New(model.Config{
		Family: model.Llama, HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 4, VocabSize: 23,
		MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true, BOS: []int32{1}, EOS: []int32{2}, DType: "float32",
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
		ps[i] = train.Pair{ID: fmt.Sprintf("p%d", i), Prompt: ids(r, 3), Chosen: ids(r, 2+r.IntN(3)), Rejected: ids(r, 2+r.IntN(3)), RefChosen: -9, RefRejected: -8}
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

// finish runs to the end and returns the steps' statistics.
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

// weights are the adapter's tensors one behind the other.
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

// TestLossIsTheModels compares with a slow, obvious Llama.
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

// TestPackedEqualsUnpacked: neighbours in a micro-batch must not matter.
func TestPackedEqualsUnpacked(t *testing.T) {
	es := examples(9)
	for _, full := range []bool{false, true} {
		step := func(tokens int) (train.Stats, []float32) {
			c := config()
			c.Full, c.Tokens, c.WarmupRatio, c.Eps = full, tokens, 0, 1e-2
			tr := start(t, tiny(1), c, train.Phase{Name: "p", Examples: es, Epochs: 2, Rate: 0.1, BatchSize: 9})
			s := finish(t, tr)[1]
			if full {
				m, err := tr.Model()
				if err != nil {
					t.Fatal(err)
				}
				return s, m.Embed
			}
			return s, weights(tr.Adapter(false))
		}
		one, w1 := step(11)
		many, w2 := step(200)
		if many.Batches != 1 || one.Batches < 4 {
			t.Fatalf("micro-batches %d and %d: this compares nothing", one.Batches, many.Batches)
		}
		if math.Abs(one.Loss-many.Loss) > 1e-5*many.Loss || math.Abs(one.GradNorm-many.GradNorm) > 1e-5*many.GradNorm || distance(w1, w2) > 1e-5 {
			t.Errorf("full %v: loss %v and %v, norm %v and %v, weights apart by %v", full, one.Loss, many.Loss, one.GradNorm, many.GradNorm, distance(w1, w2))
		}
	}
}

// TestLearn: an example that learns two answers of one conversation has the loss of
// those tokens, each with all that stands before it.
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
	tr := start(t, m, config(), train.Phase{Name: "p", Examples: []train.Example{e}, Epochs: 1, Rate: 1e-3, BatchSize: 1})
	if got := meanNLL(t, tr, []train.Example{e}); math.Abs(got-want) > 1e-5 {
		t.Errorf("loss %v, want %v", got, want)
	}
	stats, err := tr.Step(context.Background())
	if err != nil || math.Abs(stats.Loss-want) > 1e-5 {
		t.Errorf("loss of the step %v, %v, want %v", stats.Loss, err, want)
	}
	for name, learn := range map[string][]bool{"entries": {true}, "no token": make([]bool, 10)} {
		e.Learn = learn
		_, err := train.New(m, config(), []train.Phase{{Name: "p", Examples: []train.Example{e}, Epochs: 1, Rate: 1e-3, BatchSize: 1}})
		if err == nil || !strings.Contains(err.Error(), "example talk: learn: "+map[string]string{"entries": "1 entries", "no token": "no token"}[name]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestAccumulation: one micro-batch of eight examples equals eight of one, although
// their answers differ in length.
func TestAccumulation(t *testing.T) {
	var es []train.Example
	for i, e := range examples(8) {
		e.Prompt = slices.Repeat([]int32{int32(i)}, 12-len(e.Answer)) // all of 12 tokens
		es = append(es, e)
	}
	step := func(tokens int) (train.Stats, []float32) {
		c := config()
		c.Tokens, c.WarmupRatio, c.Eps = tokens, 0, 1e-2
		tr := start(t, tiny(1), c, train.Phase{Name: "p", Examples: es, Epochs: 3, Rate: 0.05, BatchSize: 8})
		return finish(t, tr)[2], weights(tr.Adapter(false))
	}
	eight, w8 := step(12)
	one, w1 := step(96)
	if eight.Batches != 8 || one.Batches != 1 {
		t.Fatalf("micro-batches %d and %d", eight.Batches, one.Batches)
	}
	if math.Abs(eight.Loss-one.Loss) > 1e-6 || distance(w8, w1) > 1e-5 {
		t.Errorf("loss %v and %v, weights apart by %v", eight.Loss, one.Loss, distance(w8, w1))
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
			t.Errorf("full %v: loss from %v (first step says %v) to %v, want under 0.05", full, before, stats[0].Loss, after)
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
			stats := finish(t, start(t, tiny(1), c, train.Phase{Name: "prefer", Pairs: ps, Epochs: 30, Rate: 0.01, BatchSize: 6, Shuffle: true}))
			first, last := stats[0], stats[len(stats)-1]
			if last.Loss > 0.7*first.Loss || last.Pairs.Accuracy != 1 || last.Pairs.Margin <= first.Pairs.Margin {
				t.Errorf("from %+v to %+v", first, last)
			}
			var tokens float64
			for _, p := range ps {
				tokens += float64(len(p.Chosen)) / 6
			}
			if math.Abs(last.Pairs.ChosenTokens-tokens) > 1e-9 || math.Abs(last.Pairs.Margin-(last.Pairs.Chosen-last.Pairs.Rejected)) > 1e-12 {
				t.Errorf("chosen length %v, want %v", last.Pairs.ChosenTokens, tokens)
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
		t.Errorf("behind the end: %v", err)
	}
}

// TestContinuesTheAdapter: training goes on from the model's adapter, and refuses
// to do so under another rank.
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
		t.Error("asking for the best changed the current one")
	}
	m, err := tr.Best()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weights(m.Adapter), best) {
		t.Error("Best is another model")
	}
}
