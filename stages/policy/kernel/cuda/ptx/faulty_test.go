package ptx_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"itool/stages/policy/kernel/cuda/ptx"
)

// ends are the arguments of kernels with a length.
func ends(n int32) func(r *rig, x, y uint64) []any {
	return func(_ *rig, x, y uint64) []any { return []any{x, y, n} }
}

// shorter is ends with a result of 100 elements.
func shorter(n int32) func(r *rig, x, y uint64) []any {
	return func(r *rig, x, _ uint64) []any { return []any{x, r.alloc(100), n} }
}

var faultyCases = []struct {
	kernel      string
	kind        ptx.Kind // "": none
	grid, block int
	args        func(r *rig, x, y uint64) []any
}{
	{"beyond_the_end", ptx.OutOfBounds, 1, 128, shorter(100)},
	{"beyond_the_end", "", 1, 128, shorter(99)},
	{"before_the_begin", ptx.OutOfBounds, 1, 32, nil},
	{"null_pointer", ptx.OutOfBounds, 1, 32, nil},
	{"beyond_shared", ptx.OutOfBounds, 1, 64, nil},
	{"beyond_shared", "", 1, 32, nil},
	{"beyond_local", ptx.OutOfBounds, 1, 32, nil},
	{"beyond_local", "", 1, 4, nil},
	{"misaligned", ptx.Misaligned, 1, 32, nil},
	{"unwritten_global", ptx.Uninitialised, 1, 32, nil},
	{"unwritten_shared", ptx.Uninitialised, 1, 64, nil},
	{"unwritten_local", ptx.Uninitialised, 1, 32, nil},
	{"unwritten_local", "", 1, 7, nil},
	{"race_write", ptx.Race, 1, 64, nil},
	{"race_reuse", ptx.Race, 1, 64, ends(4)},
	{"race_reuse", "", 1, 64, ends(1)},
	{"race_warp", ptx.Race, 1, 32, nil},
	{"good_warp", "", 1, 32, nil},
	{"race_bytes", ptx.Race, 1, 64, nil},
	{"race_global", ptx.Race, 2, 32, nil},
	{"race_global", "", 1, 32, nil},
	{"race_blocks", ptx.Race, 2, 32, func(_ *rig, x, _ uint64) []any { return []any{x, x} }},
	{"race_sum", ptx.Race, 1, 32, nil},
	{"no_wait", ptx.Async, 1, 32, nil},
	{"no_barrier", ptx.Race, 1, 32, nil},
	{"good_wait", "", 1, 32, nil},
	{"half_a_barrier", ptx.Divergence, 1, 32, nil},
	{"shuffle", ptx.Divergence, 1, 32, ends(20)},
	{"shuffle", "", 1, 32, ends(32)},
	{"half_a_tile", ptx.Divergence, 1, 32, ends(31)},
	{"half_a_tile", "", 1, 32, ends(32)},
	{"endless", ptx.Timeout, 1, 32, func(r *rig, x, _ uint64) []any { return []any{x, r.in([]float32{0})} }},
	{"gives_up", ptx.Trap, 1, 512, nil},
}

// TestFaultyKernels runs a kernel for each bug that the interpreter looks for, and their twins without.
func TestFaultyKernels(t *testing.T) {
	for _, c := range faultyCases {
		t.Run(c.kernel, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "faulty")
			r.machine.MaxOps = 1e5
			x, y := r.in(normals(512)), r.alloc(512)
			args := []any{x, y}
			if c.args != nil {
				args = c.args(r, x, y)
			}
			checkFault(t, r.launch(c.kernel, c.grid, c.block, args...), c.kind, c.kernel)
		})
	}
}

// checkFault wants a fault that names its place, or none.
func checkFault(t *testing.T, err error, kind ptx.Kind, kernel string) {
	t.Helper()
	var f *ptx.Fault
	switch {
	case kind == "" && err != nil:
		t.Fatal(err)
	case kind == "":
	case !errors.As(err, &f) || f.Kind != kind:
		t.Fatalf("got %v, want %s", err, kind)
	case f.Kernel != kernel || f.Line == 0 || f.Op == "" || f.Block[1] != 0:
		t.Fatalf("the fault does not name its place: %+v", f)
	case !strings.HasPrefix(f.Source, "faulty.cu:") && !strings.HasPrefix(f.Source, "kernels/"):
		t.Fatalf("source %q", f.Source)
	}
}

func normals(n int) []float32 {
	rng := rand.New(rand.NewPCG(7, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	x[n-1] = 2.5 // gives_up needs one of this size
	return x
}

// The place in a fault is that of the thread which did it.
func TestFaultNamesThread(t *testing.T) {
	r := newRig(t, "faulty")
	err := r.launch("beyond_the_end", 3, 64, r.in(normals(512)), r.alloc(150), int32(150))
	var f *ptx.Fault
	if !errors.As(err, &f) {
		t.Fatal(err)
	}
	if f.Block != [3]int{2, 0, 0} || f.Thread != [3]int{22, 0, 0} || f.Lane != 22 {
		t.Errorf("block %v, thread %v, lane %d of index 150", f.Block, f.Thread, f.Lane)
	}
	if text := err.Error(); !strings.Contains(text, "faulty.cu:6") || !strings.Contains(text, "st.global.f32") {
		t.Errorf("got %s", text)
	}
}

// A result with a hole, and what the host does wrong.
func TestHostFaults(t *testing.T) {
	r := newRig(t, "faulty")
	x, y := r.in(normals(32)), r.alloc(32)
	r.must(r.launch("hole_in_result", 1, 32, x, y))
	var f *ptx.Fault
	if err := r.machine.CopyOut(make([]byte, 128), y); !errors.As(err, &f) || f.Kind != ptx.Uninitialised {
		t.Errorf("a hole in the result: got %v", err)
	}
	freed := r.alloc(4)
	r.must(r.machine.Free(freed))
	_, tooMuch := (&ptx.Machine{MaxMemory: 100}).Alloc(101)
	_, nothing := r.machine.Alloc(0)
	k := r.module.Kernels["shuffle"]
	launch := func(grid, block, shared int, args ...any) error {
		return r.machine.Launch(k, [3]int{grid, 1, 1}, [3]int{block, 1, 1}, shared, params(k, args...))
	}
	for what, err := range map[string]error{
		"free twice":             r.machine.Free(freed),
		"free in the middle":     r.machine.Free(y + 4),
		"copy after free":        r.machine.CopyIn(freed, make([]byte, 16)),
		"copy too long":          r.machine.CopyIn(y, make([]byte, 129)),
		"launch after free":      r.launch("good_warp", 1, 32, freed, y),
		"too much memory":        tooMuch,
		"no memory":              nothing,
		"an argument is missing": launch(1, 32, 0, x, y),
		"argument size":          launch(1, 32, 0, x, y, int64(32)),
		"threads":                launch(1, 2048, 0, x, y, int32(32)),
		"no threads":             launch(1, 0, 0, x, y, int32(32)),
		"no blocks":              launch(0, 32, 0, x, y, int32(32)),
		"shared memory":          launch(1, 32, 48<<10+1, x, y, int32(32)),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestBankConflicts(t *testing.T) {
	for stride, want := range map[int32]uint64{1: 0, 2: 1, 32: 31, 33: 0} {
		r := newRig(t, "faulty")
		r.machine.Profile = true
		r.must(r.launch("conflicts", 1, 32, r.in(normals(32)), r.alloc(32), stride))
		if s := r.machine.Stats; s.Conflicts != want || s.Sectors != 8 || s.Bytes != 256 {
			t.Errorf("stride %d: %+v, want %d conflicts, 8 sectors, 256 bytes", stride, s, want)
		}
	}
}

func TestUnknownInstruction(t *testing.T) {
	const body = `.version 8.0
.target sm_80
.address_size 64
.visible .entry f() { .reg .b32 %%r<5>; .reg .f32 %%f<5>; .reg .pred %%p<2>; .reg .b64 %%rd<3>;
%s
ret; }`
	for _, in := range []string{"tex.2d.v4.f32 %f1, %f2, %f3;", "wgmma.fence.sync.aligned;",
		"add.rz.sat.u32 %r1, %r2, %r3;", "ld.global.v8.f32 %f1, [%rd1];",
		"mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 %f1, %f2, %f3, %f4;", "bar.sync 1;",
		"bar.red.popc.u32 %r1, 0, %p1;", "cp.async.bulk.wait_group 0;", "redux.sync.add.f32 %f1, %f2, %r1;",
		"ex2.approx.f64 %rd1, %rd2;", "call foo;", "fma.rn.f32 %f1, %f2;", "add.f32 1, %f1, %f2;"} {
		m, err := ptx.Parse(strings.Replace(strings.ReplaceAll(body, "%%", "%"), "%s", in, 1))
		if err == nil {
			err = new(ptx.Machine).Load(m)
		}
		op, _, _ := strings.Cut(strings.TrimSuffix(in, ";"), " ")
		if err == nil || !strings.Contains(err.Error(), op) || !strings.Contains(err.Error(), "line 5") {
			t.Errorf("%s: %v", in, err)
		}
	}
}
