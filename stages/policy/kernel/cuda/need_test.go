package cuda_test

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
	"strings"
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

// limited is a device in the interpreter with so much memory.
func limited(t *testing.T, bytes int) *cuda.Device {
	t.Helper()
	driver := cudatest.Open()
	driver.Machine.MaxMemory = bytes
	dev, err := cuda.New(driver)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// taken is what is allocated, after everything else is freed.
func taken(t *testing.T, dev *cuda.Device) int64 {
	t.Helper()
	free, total, err := dev.Room(math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	return total - free
}

var oneExample = []train.Phase{{Name: "sft", Epochs: 1, BatchSize: 1,
	Examples: []train.Example{{ID: "a", Prompt: []int32{1, 2, 3}, Answer: []int32{3, 4}}}}}

// TestNeed: what is computed before a model is opened or trained is what it then takes.
func TestNeed(t *testing.T) {
	tiny := policytest.Tiny(1)
	full := train.Default()
	full.Full = true
	for name, c := range map[string]struct {
		files fs.FS
		form  model.Form
		train train.Config
	}{
		"fp32": {tiny, model.Float32, train.Default()}, "fp32 full": {tiny, model.Float32, full},
		"fp32 mapped": {tiny, model.Mapped, train.Config{}},
		"bf16":        {policytest.BF16(t, tiny), model.Mapped, train.Config{}},
		"fp16":        {policytest.As(t, tiny, safetensors.F16), model.Mapped, train.Config{}},
		"int8":        {tiny, model.Int8, train.Config{}},
		"nf4":         {policytest.NF4(t, tiny), model.Mapped, train.Default()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := limited(t, 1<<30)
			before := taken(t, dev)
			weights, shape, err := model.Need(c.files, dev, c.form)
			if err != nil {
				t.Fatal(err)
			}
			p, err := policy.Open(c.files, policy.Options{Device: dev, Form: c.form})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.LogProbs(t.Context(), []policy.Sequence{{Prompt: []int32{1}, Answer: []int32{2}}})
			if err != nil { // it makes the table of the embedding
				t.Fatal(err)
			}
			opened := taken(t, dev)
			near(t, "weights", weights.Sum(), opened-before)
			if c.train.Rank == 0 {
				return
			}
			c.train.Tokens = 64
			training, err := train.Need(shape, c.train, c.form != model.Float32)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := train.New(p.Model(), c.train, oneExample)
			if err == nil {
				_, err = tr.Step(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			near(t, "training", training.Sum(), taken(t, dev)-opened)
			runtime.KeepAlive(p)
			runtime.KeepAlive(tr)
		})
	}
}

// near allows for buffers of a pass, and for memory that is shared.
func near(t *testing.T, what string, computed, used int64) {
	t.Helper()
	t.Logf("%s: computed %d, used %d", what, computed, used)
	if float64(computed) < 0.95*float64(used) || float64(computed) > 1.3*float64(used) {
		t.Errorf("%s: computed %d bytes, used %d", what, computed, used)
	}
}

// TestTooLarge: what does not fit is refused with the sum before anything is put on the device.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	files := policytest.Tiny(1)
	dev := limited(t, 3<<20)
	before := taken(t, dev)
	_, err := policy.Open(files, policy.Options{Device: dev, CacheTokens: 1 << 20})
	refused(t, err, "weights ", "KV cache ", "activations ", "are needed", "3.1 MB are free")
	if now := taken(t, dev); now != before {
		t.Errorf("%d bytes are taken after the refusal, %d before", now, before)
	}
	dev = limited(t, 24<<20)
	p, err := policy.Open(files, policy.Options{Device: dev, CacheTokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	c := train.Default()
	c.Tokens = 1 << 14
	_, err = train.New(p.Model(), c, oneExample)
	refused(t, err, "adapters ", "gradients ", "moments ", "activations ")
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if failure := (*kernel.Failure)(nil); !errors.As(err, &failure) {
		t.Fatalf("got %v, want a failure of the device: the item goes to another one", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v: does not say %q", err, word)
		}
	}
}

// TestEngineMakesRoom: an engine keeps two policies, but gives up the older one when both do not fit.
func TestEngineMakesRoom(t *testing.T) {
	t.Parallel()
	one := policy.Options{Device: limited(t, 1<<30), CacheTokens: 10}
	before := taken(t, one.Device.(*cuda.Device))
	if _, err := policy.Open(policytest.Tiny(1), one); err != nil {
		t.Fatal(err)
	}
	weights, shape, err := model.Need(policytest.Tiny(1), one.Device, model.Auto)
	if err != nil {
		t.Fatal(err)
	}
	room := before + weights.Sum()*3/2 + policy.Need(shape, 10).Sum()
	e, err := policy.NewEngine(policy.Options{Device: limited(t, int(room)), CacheTokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		if _, err := e.Open(string(rune('a'+seed)), policytest.Tiny(seed+1)); err != nil {
			t.Fatalf("policy %d: %v", seed, err)
		}
	}
}
