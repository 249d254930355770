package kerneltest

import (
	"fmt"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
)

// memoryChecks are those of the operations that move rows, and of a product's bias. What they write is exact,
// except sums.
func memoryChecks() (all []check) {
	for _, s := range [][2]int{{0, 8}, {1, 1}, {3, 16}, {17, 33}, {70, 192}} {
		t, k := s[0], s[1]
		size := fmt.Sprintf("%dx%d", t, k)
		for name, run := range map[string]func(dev Slices, in *source) tensor{
			"copy": func(dev Slices, in *source) tensor {
				y := in.output(t * k)
				dev.apply(y, func(d kernel.Device, y kernel.Floats) { d.Copy(y, dev.in(in.normal(t*k, 1))) })
				return tensor{"y", y}
			},
			"clear and scale": func(dev Slices, in *source) tensor {
				x := in.normal(t*k, 1)
				dev.apply(x, func(d kernel.Device, x kernel.Floats) {
					d.Clear(x.Slice(0, t*k/2))
					d.Scale(x.From(t*k/3), -0.3)
				})
				return tensor{"x", x}
			},
			"scale rows": func(dev Slices, in *source) tensor {
				x := in.normal(t*k, 1)
				dev.apply(x, func(d kernel.Device, x kernel.Floats) { d.ScaleRows(x, dev.in(in.normal(t, 1)), t, k) })
				return tensor{"x", x}
			},
			"sum rows": func(dev Slices, in *source) tensor {
				sum := in.normal(k, 1)
				dev.apply(sum, func(d kernel.Device, sum kernel.Floats) {
					d.SumRows(sum, dev.in(in.normal(t*k, 1)), t, k)
				})
				return tensor{"sum", sum}
			},
			"gather rows": func(dev Slices, in *source) tensor {
				y, rows := in.output(2*t*k), dev.ints(slices.Concat(shuffled(in, t), shuffled(in, t)))
				dev.apply(y, func(d kernel.Device, y kernel.Floats) {
					d.GatherRows(y, dev.in(in.normal(t*k, 1)), rows, k)
				})
				return tensor{"y", y}
			},
			"scatter rows": func(dev Slices, in *source) tensor {
				y, rows := in.output((t+5)*k), dev.ints(shuffled(in, t+5))
				dev.apply(y, func(d kernel.Device, y kernel.Floats) {
					d.ScatterRows(y, dev.in(in.normal(t*k, 1)), rows.Slice(3, t+3), k)
				})
				return tensor{"y", y}
			},
			"embed backward": func(dev Slices, in *source) tensor {
				const words = 9
				dw, ids := in.normal(words*k, 1), dev.ints(tokens(in, t, words))
				dev.apply(dw, func(d kernel.Device, dw kernel.Floats) {
					d.EmbedBackward(dw, dev.in(in.normal(t*k, 1)), ids, k, 0.7)
				})
				return tensor{"dw", dw}
			},
			"bias": func(dev Slices, in *source) tensor {
				y, x := in.output(t*11), in.normal(t*k, 1)
				w, bias := dev.Pack(in.normal(11*k, 1), 11, k), in.normal(11, 1)
				dev.MatMuls([]kernel.Out{{Y: kernel.Host(y), W: w, Bias: kernel.Host(bias)}}, x, t)
				return tensor{"y", y}
			},
		} {
			all = append(all, check{name, size, linearTolerance,
				func(dev Slices, in *source) []tensor { return []tensor{run(dev, in)} }})
		}
	}
	slices.SortStableFunc(all, func(a, b check) int { // a map has no order
		if a.op+a.name < b.op+b.name {
			return -1
		}
		return 1
	})
	return all
}

// apply runs an operation on memory with the numbers of x, and copies it back.
func (s Slices) apply(x []float32, run func(d kernel.Device, x kernel.Floats)) {
	f := s.in(x)
	run(s.Device, f)
	s.back(x, f)
}

// tokens draws n ids below words.
func tokens(in *source, n, words int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = in.rng.Int32N(int32(words))
	}
	return ids
}

// embed tests that rows of a weight of every type are its own: exact, also on a device that rounds products.
func embed(t *testing.T, dev Slices) {
	in := newSource("embed")
	for _, k := range []int{8, 64, 96, 37} {
		const words = 35
		half := bf16Weight(in, words, k)
		eight, err := kernel.ToInt8(half)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []kernel.Weight{half, f16Weight(in, words, k), eight,
			&kernel.Dense{N: words, K: k, Data: in.normal(words*k, 1)}} {
			ids := tokens(in, 13, words)
			got, want := in.output(13*k), make([]float32, 13*k)
			for i, id := range ids {
				w.Rows(want[i*k:(i+1)*k], int(id), int(id)+1)
			}
			m := dev.Wrap(w)
			dev.apply(got, func(d kernel.Device, y kernel.Floats) { d.Embed(y, m, dev.ints(ids)) })
			sameBits(t, fmt.Sprintf("embed %T of %d", w, k), got, want)
		}
	}
	in.checkGuards(t, "embed")
}
