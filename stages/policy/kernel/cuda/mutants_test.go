package cuda_test

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// mutantDriver loads single kernels when they are first launched, and changes the text of one.
type mutantDriver struct {
	*cudatest.Driver
	kernel string
	change func(entry string) string
}

type mutantModule struct {
	driver *mutantDriver
	text   string
}

type mutantKernel struct {
	mutantModule
	name   string
	loaded cuda.Kernel
}

func (d *mutantDriver) Load(text string) (cuda.Module, error) { return mutantModule{d, text}, nil }

func (m mutantModule) Kernel(name string) (cuda.Kernel, error) {
	return &mutantKernel{mutantModule: m, name: name}, nil
}

func (k *mutantKernel) Launch(grid, block cuda.Dim, shared int, args []uint64) error {
	if k.loaded == nil {
		head, entry := cut(k.text, k.name)
		if k.name == k.driver.kernel {
			entry = k.driver.change(entry)
		}
		m, err := k.driver.Driver.Load(head + entry)
		if err != nil {
			return err
		}
		if k.loaded, err = m.Kernel(k.name); err != nil {
			return err
		}
	}
	return k.loaded.Launch(grid, block, shared, args)
}

// cut returns what stands before the first kernel, and one kernel.
func cut(text, name string) (head, entry string) {
	first := strings.Index(text, ".visible .entry ")
	begin := strings.Index(text, ".visible .entry "+name+"(")
	end := begin + strings.Index(text[begin:], "\n}\n") + 3
	return text[:first], text[begin:end]
}

// order are the instructions that order threads and copies.
var order = regexp.MustCompile(`(?m)^\s*(bar\.sync|bar\.warp\.sync|cp\.async\.wait_group)\b.*;$`)

// TestMissingBarriers removes every barrier, and every wait for a copy, of kernels of each kind, one at a
// time. A check of the interpreter, or a wrong result, must show each.
func TestMissingBarriers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kernel string
		run    func(r *rig) ([]float32, error)
	}{
		{"bf16_nk_some", func(r *rig) ([]float32, error) { return r.runProduct("bf16", 20) }},
		{"int8_nk_few", func(r *rig) ([]float32, error) { return r.runProduct("int8", 3) }},
		{"nf4_nk_few", func(r *rig) ([]float32, error) { return r.runProduct("nf4 of bfloat16", 3) }},
		{"attention_bf16_32", (*rig).runAttention},
		{"paths_bf16_32", (*rig).runPaths},
		{"rmsnorm", (*rig).runNorm},
	} {
		head := 0
		run := func(i int) ([]float32, error) {
			r := newRigOf(t, c.kernel, func(entry string) string {
				head = len(order.FindAllString(entry, -1))
				n := 0
				return order.ReplaceAllStringFunc(entry, func(s string) string {
					if n++; n-1 == i {
						return ""
					}
					return s
				})
			})
			return c.run(r)
		}
		want, err := run(-1)
		if err != nil || head == 0 {
			t.Fatalf("%s: %d barriers and waits, %v", c.kernel, head, err)
		}
		for i := range head {
			got, err := run(i)
			if err == nil && slices.EqualFunc(got, want, equalBits) {
				t.Errorf("%s: nothing shows that barrier or wait %d of %d is missing", c.kernel, i+1, head)
			}
		}
	}
}

func equalBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

func newRigOf(t *testing.T, kernel string, change func(string) string) *rig {
	t.Helper()
	driver := &mutantDriver{Driver: cudatest.Open(), kernel: kernel, change: change}
	dev, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, driver.Driver, dev, rand.New(rand.NewPCG(1, 2))}
}

// results reads what a run made, unless a check found something.
func (r *rig) results(err error, a cuda.Address, n int) ([]float32, error) {
	if err == nil {
		err = r.driver.Synchronise()
	}
	if err != nil {
		return nil, err
	}
	return r.out(a, n), nil
}

func (r *rig) runProduct(kind string, rows int) ([]float32, error) {
	const n, k = 40, 608
	w, err := r.dev.Upload(r.weights(n, k)[kind])
	r.must(err)
	y := r.alloc(4 * rows * n)
	return r.results(r.dev.MatMul(y, r.in(r.normal(rows*k, 1)), w, rows, false), y, rows*n)
}

func (r *rig) runAttention() ([]float32, error) {
	b := r.batch([]int32{0, 140}, nil, nil, cuda.Heads{H: 1, G: 1, D: 32})
	o, l, a := r.alloc(4*140*32), r.alloc(4*140), r.in(r.halves(140*32))
	err := r.dev.Attention(o, l, r.in(b.q), cuda.Cache{K: a, V: a, BF16: true}, r.packed(b), 0, b.h)
	return r.results(err, o, 140*32)
}

// halves are bf16 from 1 on.
func (r *rig) halves(n int) []uint16 {
	x := make([]uint16, n)
	for i := range x {
		x[i] = uint16(0x3f80 + r.rng.IntN(60))
	}
	return x
}

func (r *rig) runPaths() ([]float32, error) {
	h := cuda.Heads{H: 2, G: 1, D: 32}
	const slots, n = 40, 200
	p := cuda.Paths{Slots: r.in(r.indexes(n, slots)), Begins: r.in([]int32{0, n}), Rows: 1, Longest: n}
	o, a := r.alloc(4*h.H*h.D), r.in(r.halves(slots*h.D))
	err := r.dev.AttendPaths(o, r.in(r.normal(h.H*h.D, 1)), cuda.Cache{K: a, V: a, BF16: true}, p, h)
	return r.results(err, o, h.H*h.D)
}

func (r *rig) runNorm() ([]float32, error) {
	const k = 600
	y := r.alloc(4 * k)
	err := r.dev.RMSNorm(y, r.alloc(4), r.in(r.normal(k, 1)), r.in(r.normal(k, 1)), 1, k, 1e-5)
	return r.results(err, y, k)
}
