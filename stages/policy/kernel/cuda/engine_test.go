package cuda_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// engineTolerance is of log-probabilities and losses against float64: factors of products are rounded to bf16.
const engineTolerance = 2e-2

// distance is ‖got − want‖ / ‖want‖.
func distance(got, want []float32) float64 {
	var far, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		far, size = far+d*d, size+float64(w)*float64(w)
	}
	return math.Sqrt(far / size)
}

// TestFamilies: the whole engine on the shipped PTX. A model of each family scores, decodes and trains ten steps
// to the figures of PyTorch, transformers, PEFT and TRL in float64, within what bf16 allows. The goldens' rate is
// high, so each step adds to what the rounding of factors has changed: a device that only rounds them, and is
// exact otherwise, comes as far from the losses (9 % in one family).
func TestFamilies(t *testing.T) {
	for _, g := range policytest.Goldens(t) {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			p, err := policy.Open(g.Folder(true), policy.Options{Device: newDevice(t)})
			if err != nil {
				t.Fatal(err)
			}
			goldenAnswers(t, g, p)
			losses, norms := goldenSteps(t, g, p.Model())
			for i, want := range g.Steps.Losses {
				if !(math.Abs(losses[i]-want) <= engineTolerance*float64(i+1)*want) {
					t.Errorf("step %d: loss %v, want %v", i, losses[i], want)
				}
			}
			if want := g.Steps.Norms[0]; !(math.Abs(norms[0]-want) <= 2.5*engineTolerance*want) {
				t.Errorf("norm of the first gradient %v, want %v", norms[0], want)
			}
		})
	}
}

// goldenAnswers compares log-probabilities of answers, at once and token by token over the cache.
func goldenAnswers(t *testing.T, g *policytest.Golden, p *policy.Policy) {
	t.Helper()
	var seqs []policy.Sequence
	for _, e := range g.Examples {
		seqs = append(seqs, policy.Sequence{Prompt: e.Prompt, Answer: e.Answer})
	}
	got, err := p.LogProbs(t.Context(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range seqs {
		want := g.Tensor(t, fmt.Sprintf("adapted.answer.%d", i))
		if d := distance(got[i], want); !(d <= engineTolerance) {
			t.Errorf("answer %d at once: off by %.2g of its norm", i, d)
		}
	}
	s, err := p.NewSession(seqs[0].Prompt)
	if err != nil {
		t.Fatal(err)
	}
	b, logps := s.Root(), []float32(nil)
	for _, id := range seqs[0].Answer {
		next, logp, err := s.Append(t.Context(), b, []int32{id})
		if err != nil {
			t.Fatal(err)
		}
		b, logps = next, append(logps, logp...)
	}
	if d := distance(logps, g.Tensor(t, "adapted.answer.0")); !(d <= engineTolerance) {
		t.Errorf("token by token: off by %.2g of its norm", d)
	}
}

// goldenSteps takes the ten steps of the goldens.
func goldenSteps(t *testing.T, g *policytest.Golden, m *model.Model) (losses, norms []float64) {
	t.Helper()
	c := train.Default()
	c.Rank, c.Alpha, c.Tokens = m.Adapter.Rank, m.Adapter.Alpha, 128
	c.Decay, c.Clip = g.Steps.Decay, g.Steps.Clip
	phase := train.Phase{Name: "sft", Rate: g.Steps.Rate, BatchSize: g.Steps.Batch,
		Epochs: g.Steps.Total * g.Steps.Batch / len(g.Examples)}
	for i, e := range g.Examples {
		phase.Examples = append(phase.Examples, train.Example{ID: fmt.Sprint(i), Prompt: e.Prompt, Answer: e.Answer})
	}
	tr, err := train.New(m, c, []train.Phase{phase})
	if err != nil {
		t.Fatal(err)
	}
	for range g.Steps.Steps {
		stats, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		losses, norms = append(losses, stats.Loss), append(norms, stats.GradNorm)
	}
	return losses, norms
}

// TestForms: with weights in bf16, eight and four bits the device draws, and the drawn tokens have the
// log-probabilities that the CPU computes of them.
func TestForms(t *testing.T) {
	tiny := policytest.Tiny(1)
	for name, f := range map[string]struct {
		files fs.FS
		form  model.Form
	}{
		"bf16": {policytest.BF16(t, tiny), model.Mapped},
		"fp16": {policytest.As(t, tiny, safetensors.F16), model.Mapped},
		"int8": {tiny, model.Int8}, "nf4": {policytest.NF4(t, tiny), model.Mapped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := func(dev kernel.Device) *policy.Policy {
				p, err := policy.Open(f.files, policy.Options{Device: dev, Form: f.form})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			if err := drawTree(t.Context(), open(newDevice(t)), open(nil), 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// drawTree draws a small tree, and compares the log-probabilities of its draws with those that another policy
// computes of the same tokens.
func drawTree(ctx context.Context, p, reference *policy.Policy, seed uint64) error {
	prompt := []int32{1, 7, 30, 12, 99, 5, int32(40 + seed)}
	s, err := p.NewSession(prompt)
	if err != nil {
		return err
	}
	trunk, err := s.Draw(ctx, []policy.Request{{From: s.Root(), Seed: seed, Temperature: 1, MaxTokens: 4}})
	if err != nil {
		return err
	}
	reqs := []policy.Request{
		{From: s.Root(), Seed: seed + 1, Temperature: 1, TopP: 0.9, MaxTokens: 6}, {From: trunk[0].End, MaxTokens: 5},
		{From: trunk[0].At(1), Seed: seed + 2, Temperature: 1.3, TopK: 7, MaxTokens: 6},
		{From: trunk[0].At(1), Seed: seed + 3, Temperature: 0.8, MinP: 0.05, MaxTokens: 6},
	}
	draws, err := s.Draw(ctx, reqs)
	if err != nil {
		return err
	}
	before := [][]int32{nil, nil, trunk[0].Tokens, trunk[0].Tokens[:1], trunk[0].Tokens[:1]}
	for i, d := range append(trunk, draws...) {
		text := append(append([]int32(nil), prompt...), before[i]...)
		want, err := reference.LogProbs(ctx, []policy.Sequence{{Prompt: text, Answer: d.Tokens}})
		if err != nil {
			return err
		}
		if far := distance(d.LogProbs, want[0]); !(far <= 2*engineTolerance) {
			return fmt.Errorf("draw %d: log-probabilities %v, want %v", i, d.LogProbs, want[0])
		}
	}
	return nil
}

// TestTwoDevices: two interpreters are two devices. They drain one queue of trees, each as fast as it can, and
// every tree has the CPU's figures, whichever device has drawn it.
func TestTwoDevices(t *testing.T) {
	t.Parallel()
	reference := policytest.Open(t, 1)
	queue, done := make(chan uint64), make([]int, 2)
	var wait sync.WaitGroup
	for worker := range done {
		p := policytest.OpenOn(t, 1, newDevice(t))
		wait.Go(func() {
			for seed := range queue {
				if err := drawTree(t.Context(), p, reference, seed); err != nil {
					t.Errorf("device %d, tree %d: %v", worker, seed, err)
				}
				done[worker]++
			}
		})
	}
	for seed := range uint64(8) {
		queue <- seed
	}
	close(queue)
	wait.Wait()
	if done[0] == 0 || done[1] == 0 {
		t.Errorf("trees drawn by each device: %v", done)
	}
}

// vanishing is a GPU that falls off the bus after a number of launches.
type vanishing struct {
	cuda.Driver
	left *atomic.Int64
}

var errLost = errors.New("device lost")

type vanishingModule struct {
	cuda.Module
	left *atomic.Int64
}

type vanishingKernel struct {
	cuda.Kernel
	left *atomic.Int64
}

func (d vanishing) Load(ptx string) (cuda.Module, error) {
	m, err := d.Driver.Load(ptx)
	return vanishingModule{m, d.left}, err
}

func (m vanishingModule) Kernel(name string) (cuda.Kernel, error) {
	k, err := m.Module.Kernel(name)
	return vanishingKernel{k, m.left}, err
}

func (k vanishingKernel) Launch(grid, block cuda.Dim, shared int, args []uint64) error {
	if k.left.Add(-1) < 0 {
		return errLost
	}
	return k.Kernel.Launch(grid, block, shared, args)
}

// TestDeviceVanishes: a device that is lost in the middle of a tree ends the draw with a failure that names the
// operation, its sizes and the device. So does every later call, and training.
func TestDeviceVanishes(t *testing.T) {
	t.Parallel()
	left := &atomic.Int64{}
	left.Store(math.MaxInt64)
	dev, err := cuda.New(vanishing{cudatest.Open(), left})
	if err != nil {
		t.Fatal(err)
	}
	p := policytest.OpenOn(t, 1, dev)
	s, err := p.NewSession([]int32{1, 7, 30})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := train.New(p.Model(), train.Default(), []train.Phase{{Name: "sft", Epochs: 1, BatchSize: 1,
		Examples: []train.Example{{ID: "a", Prompt: []int32{1, 2}, Answer: []int32{3}}}}})
	if err != nil {
		t.Fatal(err)
	}
	left.Store(100)
	_, drawErr := s.Draw(t.Context(), []policy.Request{{From: s.Root(), MaxTokens: 50}})
	_, scoreErr := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: []int32{1, 2}, Answer: []int32{3}}})
	_, openErr := policy.Open(policytest.Tiny(2), policy.Options{Device: dev})
	_, stepErr := tr.Step(t.Context())
	for what, err := range map[string]error{"draw": drawErr, "score": scoreErr, "open": openErr, "step": stepErr} {
		var failure *kernel.Failure
		if !errors.As(err, &failure) || !errors.Is(err, errLost) {
			t.Errorf("%s: got %v, want a failure of the device", what, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "grid") || !strings.Contains(text, "interpreter of PTX") {
			t.Errorf("%s: %v names no sizes or no device", what, err)
		}
	}
}

// TestMemoryIsFreed: what nothing refers to any more makes room, and what does not fit is a failure that says how
// much was asked for.
func TestMemoryIsFreed(t *testing.T) {
	t.Parallel()
	driver := cudatest.Open()
	driver.Machine.MaxMemory = 1 << 20
	dev, err := cuda.New(driver)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // 256 KiB each
		if f := dev.Floats(1 << 16); f.Len() != 1<<16 {
			t.Fatal(f.Len())
		}
	}
	err = func() (err error) {
		defer kernel.Catch(&err)
		dev.Floats(1 << 20)
		return nil
	}()
	if err == nil || !strings.Contains(err.Error(), "4194304 bytes") {
		t.Errorf("4 MiB of 1: %v", err)
	}
	_, err = policy.Open(policytest.Demo(1), policy.Options{Device: dev})
	if failure := (*kernel.Failure)(nil); !errors.As(err, &failure) {
		t.Errorf("a model of 10 MB in 1: %v", err)
	}
	if f := dev.Floats(1 << 14); f.Len() != 1<<14 {
		t.Error("after that nothing fits")
	}
}
