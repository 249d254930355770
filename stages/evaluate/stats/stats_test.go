package stats_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

func ones(n, of int) []float64 {
	x := make([]float64, of)
	for i := range n {
		x[i] = 1
	}
	return x
}

// TestBootstrap: where the mean is nearly normal, the percentiles must be near the mean
// ± 1.96 standard errors.
func TestBootstrap(t *testing.T) {
	for _, c := range []struct {
		name string
		x    []float64
	}{
		{"half of 400", ones(200, 400)}, {"a quarter of 1000", ones(250, 1000)}, {"90 of 100", ones(90, 100)},
		{"differences", append(append(ones(60, 300), ones(0, 100)...), -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := stats.Bootstrap(c.x, 1)
			var mean, square float64
			n := float64(len(c.x))
			for _, v := range c.x {
				mean, square = mean+v/n, square+v*v/n
			}
			half := 1.96 * math.Sqrt((square-mean*mean)/n)
			if math.Abs(got.Mean-mean) > 1e-12 || got.N != len(c.x) {
				t.Errorf("mean %g of %d, want %g of %d", got.Mean, got.N, mean, len(c.x))
			}
			step := 0.15*half + 1/n // a mean of n cases moves in steps of 1/n
			if math.Abs(got.Low-(mean-half)) > step || math.Abs(got.High-(mean+half)) > step {
				t.Errorf("interval %g..%g, want about %g..%g", got.Low, got.High, mean-half, mean+half)
			}
			if again := stats.Bootstrap(c.x, 1); again != got {
				t.Errorf("the same seed gives %v, then %v", got, again)
			}
		})
	}
	for _, c := range []struct {
		x    []float64
		want stats.Interval
	}{
		{nil, stats.Interval{}},
		{[]float64{1}, stats.Interval{Mean: 1, Low: 1, High: 1, N: 1}},
		{ones(0, 50), stats.Interval{N: 50}},
	} {
		if got := stats.Bootstrap(c.x, 1); got != c.want {
			t.Errorf("Bootstrap(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}

// TestCovers: over many samples of a known share, 95 % intervals hold the truth about 95
// times in a hundred.
func TestCovers(t *testing.T) {
	const trials, n, p = 200, 80, 0.4
	held := 0
	for trial := range uint64(trials) {
		x := make([]float64, n)
		for i := range x {
			if hash(trial, uint64(i)) < p {
				x[i] = 1
			}
		}
		if i := stats.Bootstrap(x, trial); i.Low <= p && p <= i.High {
			held++
		}
	}
	if share := float64(held) / trials; share < 0.90 || share > 0.99 {
		t.Errorf("%.1f %% of the intervals hold the truth, want about 95 %%", 100*share)
	}
}

// hash is a number within 0..1 that looks random (splitmix64).
func hash(a, b uint64) float64 {
	z := a*0x9E3779B97F4A7C15 + b*0xD1B54A32D192ED03 + 0x632BE59BD9B4E019
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return float64((z^z>>31)>>11) / (1 << 53)
}

func verdicts() []schemas.Verdict {
	return []schemas.Verdict{
		{ExampleID: "a", Category: "simple", HasCall: true, Parsed: true, Pass: true, Tokens: 10},
		{
			ExampleID: "b", Category: "simple", HasCall: true, Parsed: true, Tokens: 20,
			ErrorName: "value_error:string", ErrorType: "parameter value",
		},
		{
			ExampleID: "c", Category: "multiple", HasCall: true, Tokens: 30, Cut: true,
			ErrorName: "ast_decoder:decoder_failed", ErrorType: "code syntax",
		},
		{ExampleID: "d", Parsed: true, Pass: true, Tokens: 40},
		{ExampleID: "e", HasCall: true, Parsed: true, ErrorName: "value_error:list", ErrorType: "parameter value"},
	}
}

func TestSummarise(t *testing.T) {
	s := stats.Summarise(verdicts(), 3)
	shares := []struct {
		name string
		got  stats.Interval
		mean float64
		n    int
	}{
		{"pass", s.Pass, 0.4, 5}, {"calls", s.Calls, 0.25, 4},
		{"no call", s.NoCall, 1, 1}, {"parsed", s.Parsed, 0.8, 5},
	}
	for _, c := range shares {
		if math.Abs(c.got.Mean-c.mean) > 1e-12 || c.got.N != c.n || c.got.Low > c.mean || c.got.High < c.mean {
			t.Errorf("%s is %v, want %g of %d within the interval", c.name, c.got, c.mean, c.n)
		}
	}
	if diff := cmp.Diff(map[string]int{"parameter value": 2, "code syntax": 1}, s.Errors); diff != "" {
		t.Error("errors:", diff)
	}
	names := map[string]int{"value_error:string": 1, "value_error:list": 1, "ast_decoder:decoder_failed": 1}
	if diff := cmp.Diff(names, s.Names); diff != "" {
		t.Error("names:", diff)
	}
	var categories []string
	for _, c := range s.Categories {
		categories = append(categories, fmt.Sprintf("%s %g/%d", c.Name, c.Pass.Mean, c.Pass.N))
	}
	if diff := cmp.Diff([]string{"multiple 0/1", "simple 0.5/2"}, categories); diff != "" {
		t.Error("categories:", diff)
	}
	if s.Cut != 1 || math.Abs(s.Tokens-20) > 1e-12 {
		t.Errorf("%d cut, %g tokens, want 1, 20", s.Cut, s.Tokens)
	}
	empty := stats.Summarise(nil, 3)
	if empty.Pass.N != 0 || empty.Pass.String() != "not run" || len(empty.Errors) != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
}

func TestCompare(t *testing.T) {
	pass := func(ids string, right string) (all []schemas.Verdict) {
		for i := range ids {
			all = append(all, schemas.Verdict{ExampleID: ids[i : i+1], Pass: right[i] == '1'})
		}
		return all
	}
	for _, c := range []struct {
		name                   string
		before, after          []schemas.Verdict
		mean                   float64
		n, won, lost, unpaired int
	}{
		{"one won", pass("abcd", "1100"), pass("abcd", "1110"), 0.25, 4, 1, 0, 0},
		{"in another order", pass("abcd", "1100"), pass("dcba", "0011"), 0, 4, 0, 0, 0},
		{"won and lost", pass("abcd", "1100"), pass("abcd", "0110"), 0, 4, 1, 1, 0},
		{"some are not paired", pass("abc", "100"), pass("bcdef", "11111"), 1, 2, 2, 0, 4},
		{"a repeated case counts once", pass("ab", "00"), pass("aab", "110"), 0.5, 2, 1, 0, 1},
		{"nothing in common", pass("a", "1"), pass("b", "0"), 0, 0, 0, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := stats.Compare(c.before, c.after, 1)
			want := stats.Difference{Interval: d.Interval, Won: c.won, Lost: c.lost, Unpaired: c.unpaired}
			if d != want || d.Mean != c.mean || d.N != c.n {
				t.Errorf("%+v, want %+v with mean %g of %d", d, want, c.mean, c.n)
			}
			if d.Low > d.Mean || d.High < d.Mean {
				t.Errorf("the interval %g..%g does not hold the mean %g", d.Low, d.High, d.Mean)
			}
		})
	}
}

// TestHolm: the example of the literature, ties, and nothing. With no difference P is 1, with a clear one small.
func TestHolm(t *testing.T) {
	for _, x := range []struct{ p, want []float64 }{
		{[]float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		{[]float64{0.5, 0.5}, []float64{1, 1}}, {[]float64{0.2}, []float64{0.2}}, {nil, []float64{}},
	} {
		got := stats.Holm(x.p)
		for i := range got {
			if math.Abs(got[i]-x.want[i]) > 1e-12 {
				t.Errorf("Holm(%v) = %v, want %v", x.p, got, x.want)
			}
		}
	}
	if p := stats.CrossedBootstrap([][]float64{make([]float64, 40)}, 1).P; p != 1 {
		t.Errorf("without a difference P is %g", p)
	}
	x := make([]float64, 40)
	for i := range x {
		x[i] = float64(i % 3) // never below zero
	}
	if p := stats.CrossedBootstrap([][]float64{x, x}, 1).P; p > 0.0011 || p <= 0 {
		t.Errorf("with a clear difference P is %g", p)
	}
}
