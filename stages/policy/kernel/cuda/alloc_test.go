package cuda_test

import (
	"errors"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
)

// hostOnly is a driver without a device behind it, which shows what launching alone costs and says: it
// gives addresses, counts launches and fails those that are told to.
type hostOnly struct {
	next     cuda.Address
	launches int
	fail     error
}

func (d *hostOnly) Name() string                         { return "host only" }
func (d *hostOnly) Memory() (free, total int64, e error) { return 0, 0, nil }
func (d *hostOnly) Free(cuda.Address) error              { return nil }
func (d *hostOnly) CopyIn(cuda.Address, []byte) error    { return nil }
func (d *hostOnly) CopyOut([]byte, cuda.Address) error   { return nil }
func (d *hostOnly) Move(_, _ cuda.Address, _ int64) error {
	return nil
}
func (d *hostOnly) Load(string) (cuda.Module, error)   { return d, nil }
func (d *hostOnly) Kernel(string) (cuda.Kernel, error) { return d, nil }
func (d *hostOnly) Synchronise() error                 { return nil }
func (d *hostOnly) Close() error                       { return nil }
func (d *hostOnly) Allocate(n int64) (cuda.Address, error) {
	if d.fail != nil {
		return 0, d.fail
	}
	d.next += cuda.Address(n+255) &^ 255
	return d.next, nil
}
func (d *hostOnly) Launch(_, _ cuda.Dim, _ int, args []uint64) error {
	d.launches++
	return d.fail
}

// operations are calls as training and decoding make them.
func operations(d *cuda.Launcher) map[string]func() error {
	const x, y = cuda.Address(1 << 20), cuda.Address(2 << 20)
	w := cuda.Weight{Type: cuda.NF4, N: 4096, K: 4096, Data: x, Scales: y}
	dense := cuda.Weight{Type: cuda.BF16, N: 32000, K: 4096, Data: x}
	h := cuda.Heads{H: 32, G: 8, D: 128}
	cache := cuda.Cache{K: x, V: y, BF16: true}
	packed := cuda.Packed{Cu: x, Segments: 3, Rows: 500, Queries: 500}
	head := cuda.Head{X: x, W: dense, Targets: y, T: 40}
	return map[string]func() error{
		"rmsnorm":          func() error { return d.RMSNorm(y, x, x, x, 8, 4096, 1e-5) },
		"rope":             func() error { return d.RoPE(x, y, y, y, 8, 32, 128, false) },
		"swiglu":           func() error { return d.SwiGLU(y, x, x, 9999) },
		"adamw":            func() error { return d.AdamW(x, x, x, x, 9999, kernel.AdamW{}) },
		"sum of squares":   func() error { return d.SumSquares(y, x, 9999) },
		"product":          func() error { return d.MatMul(y, x, w, 3, false) },
		"gradient of rows": func() error { return d.MatMulRows(y, x, w, 900, true) },
		"gemm":             func() error { return d.Gemm(true, false, 16, 64, 900, 1, x, x, true, y) },
		"attention":        func() error { return d.Attention(y, x, x, cache, packed, 0, h) },
		"paths":            func() error { return d.AttendPaths(y, x, cache, cuda.Paths{Rows: 9, Longest: 900}, h) },
		"log-probabilities": func() error {
			return d.LogProbs(x, y, head)
		},
		"sample": func() error { return d.Sample(cuda.Sampled{IDs: x, LogP: y}, x, dense, y, y, 9) },
	}
}

// TestLaunchesAllocateNothing: an operation allocates nothing on the host, once its scratch memory is there.
func TestLaunchesAllocateNothing(t *testing.T) {
	driver := &hostOnly{}
	dev, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range operations(dev) {
		before := driver.launches
		if err := run(); err != nil || driver.launches == before {
			t.Fatalf("%s: %d launches, %v", name, driver.launches-before, err)
		}
		if n := testing.AllocsPerRun(50, func() { _ = run() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// TestFailedLaunch: the error names device, kernel and sizes, and keeps the driver's own.
func TestFailedLaunch(t *testing.T) {
	driver := &hostOnly{}
	dev, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	driver.fail = errors.New("illegal address")
	for name, run := range operations(dev) {
		err := run()
		if !errors.Is(err, driver.fail) || !strings.Contains(err.Error(), "host only") ||
			!strings.Contains(err.Error(), "grid") && !strings.Contains(err.Error(), "bytes of scratch memory") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
