package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"itool/stages/evaluate/stats"
)

// table has a main effect of seeds, one of cases, and noise.
func table(r *rand.Rand, seeds, cases int, bySeed, byCase, noise float64) [][]float64 {
	hard := make([]float64, cases)
	for i := range hard {
		hard[i] = byCase * r.NormFloat64()
	}
	x := make([][]float64, seeds)
	for s := range x {
		luck := bySeed * r.NormFloat64()
		for i := range cases {
			x[s] = append(x[s], luck+hard[i]+noise*r.NormFloat64())
		}
	}
	return x
}

// slowly builds every resample as a table of its own, 20,000 times.
func slowly(x [][]float64) (low, high float64) {
	r := rand.New(rand.NewPCG(99, 99))
	var means []float64
	for range 20000 {
		var rows [][]float64
		for range max(len(x)-1, 1) {
			rows = append(rows, x[r.IntN(len(x))])
		}
		var columns []int
		for range x[0] {
			columns = append(columns, r.IntN(len(x[0])))
		}
		sum := 0.0
		for _, row := range rows {
			for _, c := range columns {
				sum += row[c]
			}
		}
		means = append(means, sum/float64(len(rows)*len(columns)))
	}
	slices.Sort(means)
	return means[499], means[19500]
}

func TestCrossedTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name         string
		seeds, cases int
		bySeed       float64
	}{
		{"three seeds that differ", 3, 60, 0.3}, {"three equal seeds", 3, 60, 0}, {"eight seeds", 8, 30, 0.2},
		{"two seeds", 2, 40, 0.1}, {"one seed", 1, 50, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := table(r, c.seeds, c.cases, c.bySeed, 0.5, 0.5)
			got := stats.CrossedBootstrap(x, 1)
			low, high := slowly(x)
			near := 0.08 * (high - low)
			if math.Abs(got.Low-low) > near || math.Abs(got.High-high) > near {
				t.Errorf("interval %.4f..%.4f, the slow twin says %.4f..%.4f", got.Low, got.High, low, high)
			}
			sum := 0.0
			for _, row := range x {
				for _, v := range row {
					sum += v
				}
			}
			want := sum / float64(c.seeds*c.cases)
			if math.Abs(got.Mean-want) > 1e-12 || got.N != c.cases ||
				got.Seeds != c.seeds || len(got.BySeed) != c.seeds {
				t.Errorf("got %+v, want mean %g of %d cases and %d seeds", got, want, c.cases, c.seeds)
			}
			if again := stats.CrossedBootstrap(x, 1); again.Interval != got.Interval {
				t.Error("the same seed gives another interval")
			}
		})
	}
}

// TestCrossedCovers measures how often the interval holds the truth. The doc comment of
// CrossedBootstrap quotes the numbers.
func TestCrossedCovers(t *testing.T) {
	if testing.Short() {
		t.Skip("1,200 bootstraps, and nothing that could race; the full test run does it")
	}
	r := rand.New(rand.NewPCG(7, 7))
	for _, c := range []struct {
		seeds     int
		fromSeeds float64 // variance of the mean that comes from seeds, as a multiple of that from cases
		low, high float64
	}{
		{3, 1, 0.80, 0.99}, {5, 1, 0.86, 0.99}, {12, 1, 0.90, 0.99},
		{3, 9, 0.70, 0.93}, {5, 9, 0.80, 0.96}, {12, 9, 0.87, 0.98},
	} {
		const trials, cases = 200, 30
		held, alone := 0, 0
		for trial := range uint64(trials) {
			sd := math.Sqrt(c.fromSeeds * float64(c.seeds) / cases)
			got := stats.CrossedBootstrap(table(r, c.seeds, cases, sd, 1, 0.5), trial)
			if got.Low <= 0 && got.High >= 0 {
				held++
			}
			if got.Cases.Low <= 0 && got.Cases.High >= 0 {
				alone++
			}
		}
		share := float64(held) / trials
		t.Logf("%d seeds, %g × the cases' variance: %.1f %% hold the truth; over cases alone %.1f %%",
			c.seeds, c.fromSeeds, 100*share, 100*float64(alone)/trials)
		if share < c.low || share > c.high {
			t.Errorf("%d seeds: %.1f %% of the intervals hold the truth, want %g..%g",
				c.seeds, 100*share, c.low, c.high)
		}
	}
}

func TestCrossedOfNothing(t *testing.T) {
	for _, x := range [][][]float64{nil, {{}}, {{}, {}}} {
		if got := stats.CrossedBootstrap(x, 1); got.N != 0 || got.Seeds != 0 {
			t.Errorf("CrossedBootstrap(%v) = %+v, want nothing", x, got)
		}
	}
}
