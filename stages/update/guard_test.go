package update

import (
	"math"
	"strings"
	"testing"

	"itool/schemas"
)

// TestMcNemar compares with sums of binomial coefficients over 2ⁿ, computed by hand.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		lost, won int
		want      float64
	}{
		{0, 0, 1}, {0, 5, 1}, {1, 0, 0.5}, {3, 3, 42.0 / 64},
		{4, 0, 1.0 / 16}, {5, 0, 1.0 / 32}, // the least that 5 % can show
		{7, 1, 9.0 / 256}, {8, 2, 56.0 / 1024}, {9, 1, 11.0 / 1024}, {10, 5, 4944.0 / 32768},
		{1000, 1000, 0.508919505572}, // ½ + ½·C(2000,1000)/2²⁰⁰⁰, with Stirling's series
		{1000, 0, math.Ldexp(1, -1000)},
	} {
		if got := McNemar(c.lost, c.won); math.Abs(got-c.want) > 1e-9*max(c.want, 1e-9) {
			t.Errorf("McNemar(%d, %d) = %.12g, want %.12g", c.lost, c.won, got, c.want)
		}
	}
	for n := range 40 { // losing one more case makes chance less likely
		if McNemar(n+1, 20) >= McNemar(n, 20) {
			t.Errorf("McNemar(%d, 20) is not below McNemar(%d, 20)", n+1, n)
		}
	}
}

func TestRepeats(t *testing.T) {
	for _, c := range []struct {
		name string
		ids  []int32
		want bool
	}{
		{"nothing", nil, false},
		{"shorter than a run", []int32{1, 1, 1}, false},
		{"one token six times holds three runs", []int32{1, 1, 1, 1, 1, 1}, false},
		{"one token seven times holds four", []int32{1, 1, 1, 1, 1, 1, 1}, true},
		{"three of a kind", []int32{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, false},
		{"four of a kind", []int32{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, true},
		{"all different", []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, false},
	} {
		if got := repeats(c.ids); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestCompare: one answer of each kind.
func TestCompare(t *testing.T) {
	loop := []int32{9, 9, 9, 9, 9, 9, 9}
	good := schemas.Verdict{Parsed: true, Pass: true, HasCall: true}
	call := schemas.Verdict{Parsed: true, HasCall: true}
	bad := schemas.Verdict{HasCall: true}
	prose, noProse := schemas.Verdict{Parsed: true, Pass: true}, schemas.Verdict{}
	before := answers{[]schemas.Verdict{good, call, bad, prose, prose, good}, [][]int32{nil, nil, nil, nil, nil, loop}}
	after := answers{
		[]schemas.Verdict{call, bad, good, noProse, prose, good}, [][]int32{loop, loop, nil, loop, nil, loop},
	}
	want := []Comparison{
		{"parse_rate", "parse rate", 6, 5, 4, 2, 1, 100.0 / 6, 0.5},
		{"non_repetition", "non-repetition", 6, 6, 3, 3, 0, 50, 0.125}, // a repetition that passes does not count
		{"no_call_accuracy", "no-call accuracy", 2, 2, 1, 1, 0, 50, 0.5},
		{"exact_match", "exact match", 6, 4, 3, 2, 1, 100.0 / 6, 0.5},
	}
	if got := compare(before, after); len(got) != len(want) {
		t.Fatalf("%d abilities, want %d", len(got), len(want))
	}
	for i, got := range compare(before, after) {
		if math.Abs(got.Drop-want[i].Drop) > 1e-12 || math.Abs(got.P-want[i].P) > 1e-12 {
			t.Errorf("%s: drop %g, p %g, want %g, %g", got.Name, got.Drop, got.P, want[i].Drop, want[i].P)
		}
		if got.Drop, got.P = want[i].Drop, want[i].P; got != want[i] {
			t.Errorf("got %+v, want %+v", got, want[i])
		}
	}
}

func TestTripped(t *testing.T) {
	for _, c := range []struct {
		name                     string
		cases, before, lost, won int
		want                     string // "": the guard accepts
	}{
		{"nothing changed", 256, 200, 0, 0, ""},
		{"it rose", 256, 100, 0, 60, ""},
		{"5 of 100 lost", 100, 90, 5, 0, "parse rate fell by 5.0 points (90 → 85 of 100, p = 0.031)"},
		{"4 of 80 lost are 5 points, but can be chance", 80, 70, 4, 0, ""},
		{"a significant drop of 4.7 points", 256, 256, 12, 0, ""},
		{"a significant drop of 5.1 points", 256, 256, 13, 0, "parse rate fell by 5.1 points"},
		{"13 more lost than won, of many changes", 256, 128, 60, 47, ""},
		{"no case at all", 0, 0, 0, 0, ""},
	} {
		x := Comparison{
			Label: "parse rate", Cases: c.cases, Before: c.before, After: c.before - c.lost + c.won,
			Lost: c.lost, Won: c.won, P: McNemar(c.lost, c.won),
		}
		if c.cases > 0 {
			x.Drop = 100 * float64(c.lost-c.won) / float64(c.cases)
		}
		got := Default().refusal([]Comparison{x})
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
