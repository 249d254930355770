package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

func tiny(seed uint64) *model.Model { return tinyOn(ref.New(), seed) }

func tinyOn(dev kernel.Device, seed uint64) *model.Model {
	m := model.New(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 4, VocabSize: 23,
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

// memory is a folder to save into.
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

// TestResume: broken off after every possible step and restored into a fresh
// trainer, a run ends with the same bytes.
func TestResume(t *testing.T) {
	simpo := config()
	simpo.Loss, simpo.ActivationBytes = "simpo", 1
	full := config()
	full.Full = true
	for name, run := range map[string]struct {
		cfg    train.Config
		phases []train.Phase
	}{
		"sft, two phases": {config(), []train.Phase{
			{Name: "a", Examples: examples(5), Epochs: 2, Rate: 1e-2, BatchSize: 2, Shuffle: true},
			{Name: "b", Examples: examples(3), Epochs: 1, Rate: 1e-2, BatchSize: 2, Shuffle: true}}},
		"full":           {full, []train.Phase{{Name: "a", Examples: examples(6), Epochs: 2, Rate: 1e-2, BatchSize: 3, Shuffle: true}}},
		"simpo, no room": {simpo, []train.Phase{{Name: "a", Pairs: pairs(4), Epochs: 2, Rate: 1e-2, BatchSize: 2, Shuffle: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := tiny(1)
			whole := start(t, m, run.cfg, run.phases...)
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
			for i, s := range saved {
				cfg := run.cfg
				cfg.ActivationBytes = 1 << 20 // another amount of memory changes nothing
				again := start(t, m, cfg, run.phases...)
				if err := again.Restore(s); err != nil {
					t.Fatal(err)
				}
				if !equal(save(t, again), s) {
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
					t.Errorf("resumed at step %d: another end", i)
				}
			}
		})
	}
}

// TestThreads: a device's number of threads changes no bit.
func TestThreads(t *testing.T) {
	for _, full := range []bool{false, true} {
		run := func(threads int) memory {
			dev, err := cpu.New(cpu.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			c := config()
			c.Full, c.Tokens = full, 200
			tr := start(t, tinyOn(dev, 1), c, train.Phase{Name: "a", Examples: examples(40), Epochs: 2, Rate: 1e-2, BatchSize: 20, Shuffle: true})
			finish(t, tr)
			return save(t, tr)
		}
		if one := run(1); !equal(one, run(2)) || !equal(one, run(5)) {
			t.Errorf("full %v: another number of threads, other bytes", full)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	phase := train.Phase{Name: "a", Examples: examples(5), Epochs: 2, Rate: 1e-2, BatchSize: 2}
	good := save(t, start(t, tiny(1), config(), phase))
	other := config()
	other.Seed = 2
	if err := start(t, tiny(1), other, phase).Restore(good); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("another seed: %v", err)
	}
	for name, spoil := range map[string]func(memory){
		"no cursor":    func(m memory) { delete(m.MapFS, "trainer.json") },
		"no state":     func(m memory) { delete(m.MapFS, "trainer.safetensors") },
		"cut short":    func(m memory) { m.MapFS["trainer.safetensors"].Data = m.MapFS["trainer.safetensors"].Data[:900] },
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

// TestInterrupted: a cancelled step leaves no trace.
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
		t.Error("the interrupted run ended with other bytes")
	}
}

// countdown is cancelled after Err was asked n times.
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

func TestNotFinite(t *testing.T) {
	tests := []struct{ kind, bad, want string }{
		{"ipo", "-1e200", "pair p2: loss is +Inf"},
		{"ipo", "-1e100", "pair p2: gradient is not finite"},
	}
	for _, tt := range tests {
		ps := pairs(4)
		fmt.Sscan(tt.bad, &ps[2].RefRejected)
		c := config()
		c.Loss, c.WarmupRatio = tt.kind, 0
		tr := start(t, tiny(1), c, train.Phase{Name: "a", Pairs: ps, Epochs: 2, Rate: 1e-2, BatchSize: 4})
		before := save(t, tr)
		_, err := tr.Step(context.Background())
		if !errors.Is(err, train.ErrNotFinite) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: got %v, want %q", tt.kind, tt.bad, err, tt.want)
		}
		if !equal(save(t, tr), before) {
			t.Errorf("%s %s: the bad step moved something", tt.kind, tt.bad)
		}
	}
}

func TestLossRefuses(t *testing.T) {
	es := examples(3)
	m := tiny(1)
	m.Embed[int(es[1].Answer[0])*m.HiddenSize] = float32(math.NaN())
	for _, tt := range []struct {
		name string
		es   []train.Example
		want string
	}{
		{"none", nil, "no examples"}, {"long", []train.Example{{ID: "x", Answer: make([]int32, 49)}}, "example x: 49 tokens"},
		{"not finite", es, "log-probability is not finite"},
	} {
		if _, err := start(t, m.Clone(), config()).Loss(context.Background(), tt.es); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := start(t, tiny(1), config()).Loss(ctx, es); err != context.Canceled {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	es, ps := examples(2), pairs(2)
	with := func(change func(*train.Config)) train.Config { c := config(); change(&c); return c }
	simpo := with(func(c *train.Config) { c.Loss = "simpo" })
	phase := func(change func(*train.Phase)) train.Phase {
		p := train.Phase{Name: "a", Examples: slices.Clone(es), Epochs: 1, Rate: 1e-3, BatchSize: 2}
		change(&p)
		return p
	}
	onPair := func(change func(*train.Pair)) train.Phase {
		return phase(func(p *train.Phase) { p.Examples, p.Pairs = nil, slices.Clone(ps); change(&p.Pairs[1]) })
	}
	tests := []struct {
		name  string
		cfg   train.Config
		phase train.Phase
		want  string
	}{
		{"loss", with(func(c *train.Config) { c.Loss = "kto" }), phase(func(*train.Phase) {}), "kto"},
		{"weak beta", with(func(c *train.Config) { c.Loss, c.Beta = "simpo", 0.1 }), onPair(func(*train.Pair) {}), "beta: 0.1"},
		{"target", with(func(c *train.Config) { c.Targets = []string{"lm_head"} }), phase(func(*train.Phase) {}), "lm_head"},
		{"rank", with(func(c *train.Config) { c.Rank = 0 }), phase(func(*train.Phase) {}), "rank"},
		{"NaN", with(func(c *train.Config) { c.Decay = math.NaN() }), phase(func(*train.Phase) {}), "decay"},
		{"epochs", config(), phase(func(p *train.Phase) { p.Epochs = 0 }), `phase "a": epochs`},
		{"batch", config(), phase(func(p *train.Phase) { p.BatchSize = 0 }), "batch_size"},
		{"rate", config(), phase(func(p *train.Phase) { p.Rate = math.NaN() }), "rate"},
		{"pairs with sft", config(), onPair(func(*train.Pair) {}), "pairs"},
		{"examples with simpo", simpo, phase(func(*train.Phase) {}), "examples"},
		{"empty answer", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = nil }), "example e1: an answer is empty"},
		{"one token", config(), phase(func(p *train.Phase) { p.Examples[1] = train.Example{ID: "x", Answer: []int32{1}} }), "example x"},
		{"id", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = []int32{23} }), "id 23"},
		{"long", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = make([]int32, 49) }), "micro-batch's 48"},
		{"context", with(func(c *train.Config) { c.Tokens = 100 }), phase(func(p *train.Phase) { p.Examples[1].Answer = make([]int32, 64) }), "64 positions"},
		{"empty side", simpo, onPair(func(p *train.Pair) { p.Rejected = nil }), "pair p1: an answer is empty"},
		{"long pair", simpo, onPair(func(p *train.Pair) { p.Rejected = make([]int32, 40) }), "pair p1"},
		{"reference", simpo, onPair(func(p *train.Pair) { p.RefChosen = math.NaN() }), "pair p1: reference"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := train.New(tiny(1), tt.cfg, []train.Phase{tt.phase}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	forced := with(func(c *train.Config) { c.Loss, c.Beta, c.Force = "simpo", 0.1, true })
	start(t, tiny(1), forced, onPair(func(*train.Pair) {}))
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
