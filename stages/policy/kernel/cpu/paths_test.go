package cpu_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/kerneltest"
)

// TestPathsWithCommonBeginnings: rows whose paths begin alike, which share the reading of keys and values, get the same
// bits as each alone. Three prompts of several chunks are mixed with short and empty paths.
func TestPathsWithCommonBeginnings(t *testing.T) {
	for _, d := range []int{64, 60} { // the second is of no kernel
		pathsTogether(t, 9, 3, d)
	}
}

func pathsTogether(t *testing.T, h, g, d int) {
	const slots = 900
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	path := func(n int) []int32 {
		p := make([]int32, n)
		for i := range p {
			p[i] = r.Int32N(slots)
		}
		return p
	}
	var paths [][]int32
	prompts := [][]int32{path(517), path(300), path(129)}
	for i := range 40 {
		prompt := prompts[r.IntN(len(prompts))]
		switch {
		case i == 7:
			paths = append(paths, nil)
		case i%9 == 8:
			paths = append(paths, path(r.IntN(40)))
		case i%5 == 4: // leaves the prompt before its end
			paths = append(paths, slices.Concat(prompt[:len(prompt)*2/3+r.IntN(9)], path(7)))
		default:
			paths = append(paths, slices.Concat(prompt, path(r.IntN(90))))
		}
	}
	q, k, v := random(len(paths)*h*d), random(slots*g*d), random(slots*g*d)
	for _, level := range cpu.Levels() {
		for _, threads := range []int{1, 2} {
			dev := open(t, level, threads)
			attend := func(q []float32, paths [][]int32) []float32 {
				out := make([]float32, len(paths)*h*d)
				kerneltest.On(dev).AttendPaths(out, q, k, v, paths, h, g, d)
				return out
			}
			together := attend(q, paths)
			for i, p := range paths {
				from, to := i*h*d, (i+1)*h*d
				for c, want := range attend(q[from:to], [][]int32{p}) {
					if got := together[from+c]; math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("%s: row %d, column %d: %v together, %v alone", level, i, c, got, want)
					}
				}
			}
			allocates := testing.AllocsPerRun(50, func() {
				dev.AttendPaths(kernel.Host(together), kernel.Host(q), kernel.KV{K: kernel.Host(k), V: kernel.Host(v)},
					kernel.Paths{Rows: paths}, kernel.Heads{H: h, G: g, D: d})
			})
			if allocates != 0 {
				t.Errorf("%s: a call allocates %v times", level, allocates)
			}
		}
	}
}
