package train_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// subject is a model, with the configuration and the data to train it.
type subject struct {
	name string
	m    *model.Model
	cfg  train.Config
}

// subjects are the golden checkpoints, one of them in four bits: as they are opened and with weights that stay in
// bf16, with every loss, and trained in full. The last one is the model of the other tests on another device.
func subjects(t *testing.T) (all []subject) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range policytest.Goldens(t) {
		stored, err := model.OpenAs(policytest.BF16(t, g.Folder(true)), dev, model.Mapped)
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]*model.Model{g.Name: goldenModel(t, g), g.Name + " in bf16": stored} {
			for _, kind := range []string{"sft", "simpo", "dpo", "ipo", "orpo"} {
				all = append(all, subject{name + "/" + kind, m, goldenConfig(g, m, kind)})
			}
			full := goldenConfig(g, m, "sft")
			full.Full = true
			all = append(all, subject{name + "/full", m, full})
		}
	}
	lora, full := config(), config()
	full.Full = true
	return append(all, subject{"ref/sft", tiny(1), lora}, subject{"ref/full", tiny(1), full})
}

// phase is a training on examples, or on pairs if the loss needs them.
func (s subject) phase(es []train.Example, ps []train.Pair, size int) train.Phase {
	p := train.Phase{Name: "p", Epochs: 2, Rate: 0.01, BatchSize: size}
	if s.cfg.Loss == "sft" {
		p.Examples = es
	} else {
		p.Pairs = ps
	}
	return p
}

// sameInBatches checks that the loss and the gradients of a step, and the weights at the end, are the same with
// one micro-batch of 200 tokens and with several of so many tokens, up to the order of sums.
func (s subject) sameInBatches(t *testing.T, p train.Phase, tokens, batches int) {
	t.Helper()
	type outcome struct {
		loss           float64
		stats          train.Stats
		grads, weights map[string][]float32
	}
	var from map[string][]float32
	train := func(tokens int) (o outcome) {
		c := s.cfg
		// AdamW divides by the gradients: with a small Eps the rounding of tiny ones is a whole step.
		c.Tokens, c.WarmupRatio, c.Eps = tokens, 0, 1e-2
		tr := start(t, s.m, c, p)
		from = tr.Parameters()
		var err error
		if o.loss, o.grads, err = tr.Gradients(context.Background()); err != nil {
			t.Fatal(err)
		}
		o.stats = finish(t, tr)[1]
		o.weights = tr.Parameters()
		return o
	}
	many, one := train(tokens), train(200)
	if one.stats.Batches != 1 || many.stats.Batches != batches {
		t.Fatalf("micro-batches %d and %d, want 1 and %d", one.stats.Batches, many.stats.Batches, batches)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-5*math.Abs(b) }
	a, b := many.stats, one.stats
	if !near(many.loss, one.loss) || !near(a.Loss, b.Loss) || !near(a.GradNorm, b.GradNorm) {
		t.Errorf("loss %v and %v, in the second step %v and %v, norm %v and %v",
			many.loss, one.loss, a.Loss, b.Loss, a.GradNorm, b.GradNorm)
	}
	far, further := 0.0, 0.0
	for name, want := range one.grads {
		far = max(far, distant(many.grads[name], want, nil))
		further = max(further, distant(many.weights[name], one.weights[name], from[name]))
	}
	if !(far <= gradientError) || !(further <= updateError) {
		t.Errorf("a gradient differs by %.2g of its norm, a tensor by %.2g of its change", far, further)
	}
}

// TestPackedEqualsUnpacked: the other sequences of a micro-batch must not matter.
func TestPackedEqualsUnpacked(t *testing.T) {
	es, ps := examples(9), pairs(9)
	for i := range es { // of 8 to 15 tokens, as the pairs: no two of them in 15
		es[i].Prompt = append(slices.Repeat([]int32{9}, 5), es[i].Prompt...)
	}
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) { s.sameInBatches(t, s.phase(es, ps, 9), 15, 9) })
	}
}

// TestAccumulation: one micro-batch of eight units gives the same as eight of one unit, although the answers
// differ in length.
func TestAccumulation(t *testing.T) {
	var es []train.Example
	var ps []train.Pair
	for i, e := range examples(8) {
		e.Prompt = slices.Repeat([]int32{int32(i)}, 12-len(e.Answer)) // all of 12 tokens
		es = append(es, e)
	}
	for i, p := range pairs(8) {
		// The sides share it, except for its last token.
		p.Prompt = slices.Repeat([]int32{int32(i)}, 11-len(p.Chosen)-len(p.Rejected))
		ps = append(ps, p)
	}
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) { s.sameInBatches(t, s.phase(es, ps, 8), 12, 8) })
	}
}
