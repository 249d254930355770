package ptx_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"itool/stages/policy/kernel/cuda/ptx"
)

const head = ".version 8.0\n.target sm_80\n.address_size 64\n"

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		head + "/* no end":                                       "line 4",
		head + ".file 1 \"no end":                                "line 4",
		head + ".func f() { ret; }":                              ".func is not supported",
		head + ".entry f(":                                       "too early",
		head + ".entry f() { mov.u32 %r1, 1; ret; }":             "%r1 is not declared",
		head + ".entry f() { bra L1; }":                          `label "L1" is missing`,
		head + ".entry f() { @%p1 ret; }":                        "guard",
		head + ".entry f() { .reg .b32 %r<9999999>; ret; }":      "up to 32768",
		head + ".entry f() { .reg .b32 %r<-1>; ret; }":           "up to 32768",
		head + ".entry f() { .shared .b8 s[99999999999]; ret; }": "99999999999",
		head + ".entry f() { .shared .b8 s[60000][60000]; }":     "more than",
		head + ".global .align 3 .b8 x[3];":                      "power of two",
		head + ".const .b8 x[2] = {1, 2, 3};":                    "more values",
		head + ".entry f() { brx.idx %tid.x, T; }":               "no table",
		head + ".entry f() { ld.u32 [[[[[[[[[[[[%tid.x]; }":      "too deeply",
		head + ".entry f() { mov.u32 x":                          "too early",
		head + ".entry f() { atom. %tid.x, [0], 0; }":            "is empty",
	} {
		if _, err := ptx.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text[len(head):], err, want)
		}
	}
}

// FuzzParse: no text may panic or hang, neither when it is read, nor when it is loaded and run.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"faulty", "probe"} {
		text, err := os.ReadFile("testdata/" + name + ".ptx")
		if err != nil {
			f.Fatal(err)
		}
		for _, entry := range strings.SplitAfter(string(text), "\n}\n") {
			f.Add(head + entry)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ptx.Parse(text)
		if err != nil {
			return
		}
		machine := ptx.Machine{MaxOps: 1000, MaxMemory: 1 << 20}
		if machine.Load(m) != nil {
			return
		}
		for _, k := range m.Kernels {
			// What it does is of no interest, only that it ends.
			_ = machine.Launch(k, [3]int{2, 1, 1}, [3]int{40, 1, 1}, 0, make([]byte, k.ParamBytes))
		}
	})
}

// TestDivergence runs random programs of jumps, none of them structured: 32 lanes together must do what
// each does alone, in a block of one thread. Jumps are by a bit, by a table, or a return behind a
// predicate; a count of steps ends every lane.
func TestDivergence(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var warpOps, laneOps uint64
	for program := range 200 {
		text := jumps(rng)
		together, alone := jumpResults(t, text, 1, 32, &warpOps, &laneOps), jumpResults(t, text, 32, 1, nil, nil)
		if together != alone {
			t.Fatalf("program %d:\n%s\ntogether %x\nalone    %x", program, text, together, alone)
		}
	}
	if active := float64(laneOps) / float64(warpOps); active > 20 {
		t.Errorf("%.1f lanes are active on average: the programs do not diverge", active)
	}
}

func jumps(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString(head + `.visible .entry f(.param .u64 out, .param .u32 id)
{ .reg .b32 %r<9>; .reg .b64 %rd<5>; .reg .pred %p<3>;
  ld.param.u64 %rd1, [out]; ld.param.u32 %r1, [id]; mov.u32 %r2, %tid.x; add.u32 %r1, %r1, %r2;
  mul.wide.u32 %rd2, %r1, 4; add.u64 %rd1, %rd1, %rd2; mov.u32 %r3, 0;
`)
	n := 3 + rng.IntN(12)
	for i := range n {
		fmt.Fprintf(&b, "B%d: mad.lo.s32 %%r1, %%r1, %d, %d; st.global.u32 [%%rd1], %%r1;\n",
			i, rng.Uint32()|1, rng.Uint32())
		b.WriteString("  add.u32 %r3, %r3, 1; setp.gt.u32 %p1, %r3, 60; @%p1 bra END;\n")
		fmt.Fprintf(&b, "  shr.u32 %%r4, %%r1, %d; and.b32 %%r5, %%r4, 3; setp.ne.s32 %%p2, %%r5, 0;\n", 8+rng.IntN(20))
		switch rng.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "T%d: .branchtargets B%d, B%d, END, B%d;\n  brx.idx %%r5, T%d;\n",
				i, rng.IntN(n), rng.IntN(n), rng.IntN(n), i)
		case 1:
			b.WriteString("  @!%p2 ret;\n")
		case 2:
			fmt.Fprintf(&b, "  @!%%p2 bra B%d;\n  bra.uni B%d;\n", rng.IntN(n), rng.IntN(n))
		default:
			fmt.Fprintf(&b, "  @%%p2 bra B%d;\n", rng.IntN(n))
		}
	}
	b.WriteString("END: add.u32 %r1, %r1, 12345; st.global.u32 [%rd1], %r1; ret;\n}\n")
	return b.String()
}

// jumpResults launches a program for 32 lanes in all, and adds what it ran to the counts.
func jumpResults(t *testing.T, text string, launches, block int, warpOps, laneOps *uint64) string {
	t.Helper()
	m, err := ptx.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, module: m}
	r.must(r.machine.Load(m))
	out := r.alloc(32)
	for id := range launches {
		r.must(r.launch("f", 1, block, out, uint32(id)))
	}
	if warpOps != nil {
		*warpOps, *laneOps = *warpOps+r.machine.Stats.WarpOps, *laneOps+r.machine.Stats.LaneOps
	}
	return fmt.Sprint(r.out(out, 32))
}
