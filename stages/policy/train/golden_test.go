package train_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// The largest allowed difference of float32 from float64, relative to a tensor's norm.
const (
	gradientError = 1e-5
	updateError   = 1e-4
)

// distant is ‖got − want‖ / ‖want − from‖; a nil from is zero.
func distant(got, want, from []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var far, size float64
	for i := range want {
		d, s := float64(got[i])-float64(want[i]), float64(want[i])
		if from != nil {
			s -= float64(from[i])
		}
		far, size = far+d*d, size+s*s
	}
	if far == 0 { // of a gradient of zeros, too
		return 0
	}
	return math.Sqrt(far / size)
}

// loras returns an adapter's tensors by PEFT's names without the prefix.
func loras(a *model.Adapter) map[string][]float32 {
	all := map[string][]float32{}
	for i, l := range a.Layers {
		for j, m := range l {
			at := fmt.Sprintf("layers.%d.%s.", i, model.Module(j))
			all[at+"A"], all[at+"B"] = m.A, m.B
		}
	}
	return all
}

// peft is the name of a parameter in a file of PEFT: of "layers.0.q_proj.A" it is
// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
func peft(name string) string {
	parts := strings.Split(name, ".")
	group := "self_attn"
	if slices.Contains([]string{"gate_proj", "up_proj", "down_proj"}, parts[2]) {
		group = "mlp"
	}
	return fmt.Sprintf("base_model.model.model.layers.%s.%s.%s.lora_%s.weight", parts[1], group, parts[2], parts[3])
}

func goldenPairs(g *policytest.Golden) (ps []train.Pair) {
	for i, p := range g.Pairs {
		ps = append(ps, train.Pair{
			ID: fmt.Sprint(i), Prompt: p.Prompt, Chosen: p.Chosen, Rejected: p.Rejected,
			RefChosen: p.RefChosen, RefRejected: p.RefRejected,
		})
	}
	return ps
}

func goldenExamples(g *policytest.Golden) (es []train.Example) {
	for i, e := range g.Examples {
		es = append(es, train.Example{ID: fmt.Sprint(i), Prompt: e.Prompt, Answer: e.Answer})
	}
	return es
}

// goldenPhase is one step on the same examples or pairs as in golden.py.
func goldenPhase(g *policytest.Golden, loss string) train.Phase {
	p := train.Phase{Name: loss, Epochs: 1, Rate: 1, BatchSize: 8}
	if loss == "sft" {
		p.Examples = goldenExamples(g)
	} else {
		p.Pairs = goldenPairs(g)
	}
	return p
}

func goldenModel(t *testing.T, g *policytest.Golden) *model.Model {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return goldenModelOn(t, g, dev)
}

func goldenModelOn(t *testing.T, g *policytest.Golden, dev kernel.Device) *model.Model {
	t.Helper()
	m, err := model.Open(g.Folder(true), dev)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func goldenConfig(g *policytest.Golden, m *model.Model, loss string) train.Config {
	c := train.Default()
	c.Loss, c.Beta, c.Gamma, c.Force = loss, g.Beta[loss], g.Gamma, true
	c.Rank, c.Alpha, c.Tokens = m.Adapter.Rank, m.Adapter.Alpha, 128
	return c
}

// TestGoldenGradients compares the losses and every LoRA gradient with those of PyTorch with PEFT and TRL, with
// one micro-batch and with several.
func TestGoldenGradients(t *testing.T) {
	for _, g := range policytest.Goldens(t) {
		m := goldenModel(t, g)
		for _, loss := range slices.Sorted(maps.Keys(g.Losses)) {
			for _, tokens := range []int{128, 40} {
				t.Run(fmt.Sprintf("%s/%s/%d", g.Name, loss, tokens), func(t *testing.T) {
					c := goldenConfig(g, m, loss)
					c.Tokens = tokens
					value, grads, err := start(t, m, c, goldenPhase(g, loss)).Gradients(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					if want := g.Losses[loss]; math.Abs(value-want) > 1e-5*math.Abs(want) {
						t.Errorf("loss %v, want %v", value, want)
					}
					if want := 2 * model.Modules * len(m.Layers); len(grads) != want {
						t.Errorf("%d gradients, want %d", len(grads), want)
					}
					worst := 0.0
					for name, got := range grads {
						d := distant(got, g.Tensor(t, loss+".grad."+peft(name)), nil)
						if worst = max(worst, d); !(d <= gradientError) {
							t.Errorf("%s: the gradient is off by %.2g of its norm", name, d)
						}
					}
					t.Logf("worst gradient off by %.2g of its norm", worst)
				})
			}
		}
	}
}

// TestGoldenSteps compares ten steps of AdamW with decay, schedule and clipping with torch.optim.AdamW and the
// cosine schedule of transformers.
func TestGoldenSteps(t *testing.T) {
	for _, g := range policytest.Goldens(t) {
		for _, c := range []struct {
			loss, prefix string
			s            policytest.Steps
		}{{"sft", "steps.", g.Steps}, {"simpo", "simpo.steps.", g.SimPO}} {
			t.Run(g.Name+"/"+c.loss, func(t *testing.T) { goldenSteps(t, g, c.loss, c.prefix, c.s) })
		}
	}
}

// TestGoldenStepAllocatesNothing: a step allocates nothing in any family.
func TestGoldenStepAllocatesNothing(t *testing.T) {
	for _, g := range policytest.Goldens(t) {
		m := goldenModel(t, g)
		for _, loss := range []string{"sft", "simpo"} {
			p := goldenPhase(g, loss)
			p.Epochs, p.BatchSize, p.Rate = 100, 2, 1e-4
			tr := start(t, m, goldenConfig(g, m, loss), p)
			step := func() {
				if _, err := tr.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				step()
			}
			if n := testing.AllocsPerRun(30, step); n != 0 {
				t.Errorf("%s, %s: %v allocations a step", g.Name, loss, n)
			}
		}
	}
}

func goldenSteps(t *testing.T, g *policytest.Golden, loss, prefix string, s policytest.Steps) {
	t.Helper()
	m := goldenModel(t, g)
	c, p := goldenConfig(g, m, loss), goldenPhase(g, loss)
	c.Decay, c.Clip = s.Decay, s.Clip
	p.Rate, p.BatchSize, p.Epochs = s.Rate, s.Batch, s.Total*s.Batch/(len(p.Examples)+len(p.Pairs))
	tr := start(t, m, c, p)
	for i := range s.Steps {
		stats, err := tr.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		near := func(got, want float64) bool { return math.Abs(got-want) <= 1e-4*want }
		if !near(stats.Loss, s.Losses[i]) || !near(stats.GradNorm, s.Norms[i]) {
			t.Errorf("step %d: loss %v, norm %v, want %v and %v",
				i, stats.Loss, stats.GradNorm, s.Losses[i], s.Norms[i])
		}
	}
	from, worst := loras(m.Adapter), 0.0
	for name, got := range loras(tr.Adapter(false)) {
		d := distant(got, g.Tensor(t, prefix+peft(name)), from[name])
		if worst = max(worst, d); !(d <= updateError) {
			t.Errorf("%s: off by %.2g of its change", name, d)
		}
	}
	t.Logf("worst tensor off by %.2g of its way", worst)
}

// TestGoldenBF16: when the factors of products are bf16, the errors of log-probabilities and gradients against
// float64 are no larger than PyTorch's in bf16. PyTorch computes in two ways: with a model in bfloat16, and
// with autocast, which like us keeps norms and sums in float32. The errors are compared in the mean over the
// checkpoints, because with few tokens the rounding errors depend on chance (one margin scales the whole
// gradient of DPO). At a single checkpoint the error may be a quarter larger than that of a model in bfloat16.
func TestGoldenBF16(t *testing.T) {
	// The emulated device rounds as the kernels' own tests allow.
	devices := map[string]kernel.Device{"emulated": kerneltest.Rounded(ref.New())}
	for _, level := range []string{"avx512bf16", "amx"} {
		if !slices.Contains(cpu.Levels(), level) {
			continue
		}
		dev, err := cpu.New(cpu.Options{Level: level})
		if err != nil {
			t.Fatal(err)
		}
		devices[level] = dev
	}
	for on, dev := range devices {
		ours, theirs := map[string]float64{}, map[[2]string]float64{}
		for _, g := range policytest.Goldens(t) {
			far := bf16Errors(t, g, dev)
			for what, whole := range g.BF16["bfloat16"] {
				auto := g.BF16["autocast"][what]
				t.Logf("%s, %s, %s: off by %.2g, PyTorch in bfloat16 by %.2g, by autocast %.2g",
					on, g.Name, what, far[what], whole, auto)
				if !(far[what] > 10*gradientError && far[what] <= 1.25*whole) { // less: nothing was rounded
					t.Errorf("%s, %s, %s: off by %.2g, PyTorch by %.2g", on, g.Name, what, far[what], whole)
				}
				ours[what] += far[what]
				theirs[[2]string{what, "bfloat16"}] += whole
				theirs[[2]string{what, "autocast"}] += auto
			}
		}
		if len(ours) != 6 {
			t.Errorf("%d kinds of numbers, want log-probabilities and five losses' gradients", len(ours))
		}
		for what, sum := range theirs {
			t.Logf("%s, %s: %.2g in the sum over the checkpoints, PyTorch's %s %.2g",
				on, what[0], ours[what[0]], what[1], sum)
			if !(ours[what[0]] <= sum) {
				t.Errorf("%s, %s: %.2g in the sum over the checkpoints, PyTorch's %s %.2g",
					on, what[0], ours[what[0]], what[1], sum)
			}
		}
	}
}

// bf16Errors are our errors, measured as golden.py measures those of PyTorch.
func bf16Errors(t *testing.T, g *policytest.Golden, dev kernel.Device) map[string]float64 {
	t.Helper()
	m := goldenModelOn(t, g, dev)
	var got, want []float32
	for i, logps := range inferred(t, g.Folder(false), m, goldenExamples(g)) {
		got, want = append(got, logps...), append(want, g.Tensor(t, fmt.Sprintf("adapted.answer.%d", i))...)
	}
	far := map[string]float64{"logprobs": distant(got, want, nil)}
	for loss := range g.Losses {
		_, grads, err := start(t, m, goldenConfig(g, m, loss), goldenPhase(g, loss)).Gradients(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for name, grad := range grads {
			far[loss] += distant(grad, g.Tensor(t, loss+".grad."+peft(name)), nil) / float64(len(grads))
		}
	}
	return far
}
