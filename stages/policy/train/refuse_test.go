package train_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/train"
)

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
			t.Errorf("%s %s: the bad step changed a weight", tt.kind, tt.bad)
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
		{"none", nil, "no examples"},
		{"long", []train.Example{{ID: "x", Answer: make([]int32, 49)}}, "example x: 49 tokens"},
		{"not finite", es, "log-probability is not finite"},
	} {
		_, err := start(t, m.Clone(), config()).Loss(context.Background(), tt.es)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
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
		{"weak beta", with(func(c *train.Config) { c.Loss, c.Beta = "simpo", 0.1 }), onPair(func(*train.Pair) {}),
			"beta: 0.1"},
		{"target", with(func(c *train.Config) { c.Targets = []string{"lm_head"} }), phase(func(*train.Phase) {}),
			"lm_head"},
		{"rank", with(func(c *train.Config) { c.Rank = 0 }), phase(func(*train.Phase) {}), "rank"},
		{"NaN", with(func(c *train.Config) { c.Decay = math.NaN() }), phase(func(*train.Phase) {}), "decay"},
		{"epochs", config(), phase(func(p *train.Phase) { p.Epochs = 0 }), `phase "a": epochs`},
		{"batch", config(), phase(func(p *train.Phase) { p.BatchSize = 0 }), "batch_size"},
		{"rate", config(), phase(func(p *train.Phase) { p.Rate = math.NaN() }), "rate"},
		{"pairs with sft", config(), onPair(func(*train.Pair) {}), "pairs"},
		{"examples with simpo", simpo, phase(func(*train.Phase) {}), "examples"},
		{"empty answer", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = nil }),
			"example e1: an answer is empty"},
		{"one token", config(), phase(func(p *train.Phase) {
			p.Examples[1] = train.Example{ID: "x", Answer: []int32{1}}
		}), "example x"},
		{"id", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = []int32{23} }), "id 23"},
		{"long", config(), phase(func(p *train.Phase) { p.Examples[1].Answer = make([]int32, 49) }),
			"micro-batch's 48"},
		{"context", with(func(c *train.Config) { c.Tokens = 100 }),
			phase(func(p *train.Phase) { p.Examples[1].Answer = make([]int32, 64) }), "64 positions"},
		{"empty side", simpo, onPair(func(p *train.Pair) { p.Rejected = nil }), "pair p1: an answer is empty"},
		{"long pair", simpo, onPair(func(p *train.Pair) { p.Rejected = make([]int32, 46) }), "pair p1"},
		{"reference", simpo, onPair(func(p *train.Pair) { p.RefChosen = math.NaN() }), "pair p1: reference"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := train.New(tiny(1), tt.cfg, []train.Phase{tt.phase})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	forced := with(func(c *train.Config) { c.Loss, c.Beta, c.Force = "simpo", 0.1, true })
	start(t, tiny(1), forced, onPair(func(*train.Pair) {}))
}
