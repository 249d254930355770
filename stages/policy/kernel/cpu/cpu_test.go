package cpu_test

import (
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/sample"
)

func open(t testing.TB, level string, threads int) kernel.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: threads, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// rounds says whether the factors of a level's products are bf16.
func rounds(level string) bool { return level == "amx" || level == "avx512bf16" }

func TestDevice(t *testing.T) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) {
			run := kerneltest.Run
			if rounds(level) {
				run = kerneltest.RunBF16
			}
			run(t, open(t, level, 3), ref.New())
		})
	}
}

func TestThreadsDoNotChangeBits(t *testing.T) {
	for _, level := range cpu.Levels() {
		one := open(t, level, 1)
		for _, threads := range []int{2, 5} {
			kerneltest.SameBits(t, one, open(t, level, threads))
		}
	}
}

func TestOptions(t *testing.T) {
	best := cpu.Levels()[0]
	for name, c := range map[string]struct {
		options    cpu.Options
		want, fail string
	}{
		"default is best":     {cpu.Options{}, "cpu/" + best, ""},
		"plain Go everywhere": {cpu.Options{Level: "go"}, "cpu/go", ""},
		"unknown level":       {cpu.Options{Level: "mmx"}, "", `cpu: level "mmx": this machine has ` + best},
		"negative threads":    {cpu.Options{Threads: -1}, "", "cpu: threads -1: must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			dev, err := cpu.New(c.options)
			if c.fail != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.fail) {
					t.Fatalf("got error %v, want %s", err, c.fail)
				}
				return
			}
			if err != nil || dev.Name() != c.want {
				t.Fatalf("got %v, %v; want %s", dev, err, c.want)
			}
		})
	}
}

// A wrong size must not reach the assembly.
func TestWrongSizesPanic(t *testing.T) {
	dev := kerneltest.On(open(t, "", 1))
	x := make([]float32, 12)
	for name, call := range map[string]func(){
		"short output":    func() { dev.MatMul(x[:5], x, dev.Pack(x, 3, 4), 2, false) },
		"short input":     func() { dev.MatMul(x, x[:7], dev.Pack(x, 3, 4), 2, false) },
		"short weight":    func() { dev.Pack(x, 5, 4) },
		"foreign matrix":  func() { dev.MatMul(x, x, ref.New().Pack(kernel.Host(x), 3, 4), 2, false) },
		"another level's": func() { dev.Repack(open(t, "go", 1).Pack(kernel.Host(x), 3, 4), x[:3]) },
		"slot outside":    func() { dev.AttendPaths(x, x, x, x, [][]int32{{12}}, 1, 1, 1) },
		"negative slot":   func() { dev.AttendPaths(x, x, x, x, [][]int32{{-1}}, 1, 1, 1) },
		"largest slot":    func() { dev.AttendPaths(x, x, x, x, [][]int32{{math.MaxInt32}}, 1, 1, 1) },
		"segment outside": func() { dev.Attention(x, x, x, x, x, []int32{0, 13}, nil, nil, 1, 1, 1) },
		"first outside":   func() { dev.Attention(x, x, x, x, x, []int32{0, 3, 6}, nil, []int32{1, 2}, 1, 1, 1) },
		"unlike weights": func() {
			dev.MatMuls([]kernel.Out{{Y: kernel.Host(x), W: dev.Pack(x, 3, 4)},
				{Y: kernel.Host(x), W: dev.Pack(x, 4, 3)}}, x, 1)
		},
		"mask outside": func() { dev.Attention(x, x, x, x, x, []int32{0, 3, 6}, []int32{1, 2, 2, 4}, nil, 1, 1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			call()
		})
	}
}

// An idle device must have no goroutine: devices are not closed.
func TestHelpersEnd(t *testing.T) {
	dev := kerneltest.On(open(t, "", 4))
	x, y := make([]float32, 300*300), make([]float32, 300*300)
	dev.Gemm(false, false, 300, 300, 300, 1, x, x, false, y)
	goleak.VerifyNone(t)
}

func TestNoAllocations(t *testing.T) {
	set := func(x []float32) kernel.Floats { return kernel.Host(x) }
	const tokens, k, h, g, d, vocabulary = 96, 64, 4, 2, 16, 700
	f := func(n int) []float32 { return make([]float32, n) }
	x, y, dx, dy, lse := f(tokens*k), f(tokens*k), f(tokens*k), f(tokens*k), f(tokens*h)
	w, dw, gain, logits := f(vocabulary*k), f(tokens*vocabulary), f(k), f(tokens*vocabulary)
	targets, cu := make([]int32, tokens), []int32{0, 40, tokens}
	paths := [][]int32{{0, 1, 2, 3, 4}, {5, 6}}
	for _, level := range cpu.Levels() {
		dev := kerneltest.On(open(t, level, 2))
		m := dev.Pack(w, vocabulary, k)
		weight := &kernel.BF16{N: vocabulary, K: k, Data: make([]byte, 2*vocabulary*k)}
		wrapped := dev.Wrap(weight)
		packed, both := []kernel.Out{{Y: set(logits), W: m, Bias: set(w)}, {Y: set(dw), W: m}},
			[]kernel.Out{{Y: set(logits), W: m}, {Y: set(dw), W: wrapped}}
		squares := []kernel.Floats{set(w), set(x)}
		picks := []kernel.Pick{{Row: 1},
			{Row: 1, Settings: sample.Settings{Temperature: 1, TopP: 0.9}, U: 0.5}, {Row: 40}}
		for name, call := range map[string]func(){
			"sample":           func() { dev.Sample(picks, x, m) },
			"repack":           func() { dev.Repack(m, w) },
			"matmul":           func() { dev.MatMul(logits, x, m, tokens, false) },
			"matmul wrapped":   func() { dev.MatMul(logits, x, wrapped, tokens, false) },
			"matmuls":          func() { dev.MatMuls(packed, x, tokens) },
			"matmuls wrapped":  func() { dev.MatMuls(both, x, tokens) },
			"matmul rows":      func() { dev.MatMulRows(dx, logits, wrapped, tokens, false) },
			"logprobs wrapped": func() { dev.LogProbs(y, lse, x, wrapped, targets, tokens) },
			"matmul one row":   func() { dev.MatMul(logits, x, m, 1, true) },
			"gemm":             func() { dev.Gemm(true, true, k, tokens, tokens, 1, x, dw, true, y) },
			"rmsnorm":          func() { dev.RMSNorm(y, lse, x, gain, tokens, k, 1) },
			"rmsnorm backward": func() { dev.RMSNormBackward(dx, gain, dy, x, gain, lse, tokens, k) },
			"rope":             func() { dev.RoPE(x, y, y, targets, tokens, h, d, false) },
			"swiglu":           func() { dev.SwiGLU(y, x, x, tokens*k) },
			"swiglu backward":  func() { dev.SwiGLUBackward(dx, dy, x, x, x, tokens*k) },
			"attention":        func() { dev.Attention(y, lse, x, dx, dy, cu, nil, nil, h, g, d) },
			"attention backward": func() {
				dev.AttentionBackward(dx, w, dw, dy, y, lse, x, x, x, cu, nil, nil, h, g, d)
			},
			"attend paths":          func() { dev.AttendPaths(y, x, dx, dy, paths, h, g, d) },
			"logprobs":              func() { dev.LogProbs(y, lse, x, m, targets, tokens) },
			"logprobs grad":         func() { dev.LogProbsGrad(dx, y, lse, x, m, w, targets, tokens) },
			"logprobs grad wrapped": func() { dev.LogProbsGrad(dx, y, lse, x, wrapped, nil, targets, tokens) },
			"logprobs backward":     func() { dev.LogProbsBackward(dx, dw, y, lse, x, m, w, targets, tokens) },
			"adamw":                 func() { dev.AdamW(w, dw, dw, dw, len(w), kernel.AdamW{C1: 1, C2: 1, Eps: 1}) },
			"sum of squares":        func() { dev.Device.SumSquares(squares) },
		} {
			// A helper's working memory grows when it first gets a part of a call, which may be
			// any of these: over fifty, that is less than one allocation a call.
			if n := testing.AllocsPerRun(50, call); n != 0 {
				t.Errorf("%s: %s allocates %v times a call", level, name, n)
			}
		}
	}
}

// FuzzGemm compares every level with the reference device at any small size.
func FuzzGemm(f *testing.F) {
	f.Add(uint8(14), uint8(32), uint8(100), uint8(0), int64(1))
	f.Add(uint8(15), uint8(33), uint8(1), uint8(7), int64(2))
	f.Fuzz(func(t *testing.T, m8, n8, k8, flags uint8, seed int64) {
		m, n, k := int(m8), int(n8), int(k8)
		x := uint32(seed)
		fill := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				x = x*1664525 + 1013904223
				v[i] = float32(int32(x)) / (1 << 31)
			}
			return v
		}
		a, b, c := fill(m*k), fill(k*n), fill(m*n)
		transA, transB, add := flags&1 != 0, flags&2 != 0, flags&4 != 0
		want := append([]float32(nil), c...)
		kerneltest.On(ref.New()).Gemm(transA, transB, m, n, k, 0.5, a, b, add, want)
		for _, level := range cpu.Levels() {
			if rounds(level) { // its factors are rounded
				continue
			}
			got := append([]float32(nil), c...)
			kerneltest.On(open(t, level, 2)).Gemm(transA, transB, m, n, k, 0.5, a, b, add, got)
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 3e-5 {
					t.Fatalf("%s %d×%d×%d flags %d: [%d] got %v, want %v", level, m, n, k, flags, i, got[i], want[i])
				}
			}
		}
	})
}
