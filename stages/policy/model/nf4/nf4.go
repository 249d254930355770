// Package nf4 has matrices in four bits per weight: NF4 of QLoRA (Dettmers et al. 2023), in the layout
// of bitsandbytes. A weight is a code, an index into a codebook of sixteen values that suit normally
// distributed weights. It is multiplied by the scale of its block of 64 weights, their largest
// magnitude. The scales themselves are quantized to eight bits (double quantization), which makes
// 4.127 bits per weight in all.
//
// The package knows no model: Quantize makes a weight from any other, Files.Read reads one from files,
// Tensors writes one. The value of a weight is exact: code × scale, rounded to the type that it was
// quantized from, with the bits of bitsandbytes' dequantize_4bit.
package nf4

import (
	"fmt"
	"math"
	"runtime"
	"sort"

	"itool/stages/policy/kernel"
)

const (
	block  = 64  // weights, counted row by row, that share a scale
	nested = 256 // scales that share a scale
)

// Codebook is the NF4 codebook (normal float): quantiles of a normal distribution, scaled to ±1, with an
// exact zero.
var Codebook = [16]float32{
	-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
}

// bounds are the mid-points between the codebook's values. A value on a bound gets the lower code.
var bounds = func() (b [15]float32) {
	for i := range b {
		b[i] = (Codebook[i] + Codebook[i+1]) / 2
	}
	return b
}()

// dynamic is the table of eight bits that bitsandbytes calls dynamic map: a sign, an exponent of ten
// given by leading zeros, and a linear fraction (create_dynamic_map in its functional.py).
var dynamic = func() (m [256]float32) {
	var all []float64
	for i := range 7 {
		n := 1<<i + 1
		for j := range n - 1 {
			mean := (linear(j, n) + linear(j+1, n)) / 2
			v := float64(float32(math.Pow(10, float64(i-6))) * mean)
			all = append(all, v, -v)
		}
	}
	all = append(all, 0, 1)
	sort.Float64s(all)
	for i, v := range all {
		m[i] = float32(v)
	}
	return m
}()

// linear is point i of torch.linspace(0.1, 1, n) in float32, which computes each half from its own end
// and rounds once.
func linear(i, n int) float32 {
	step := float64((float32(1) - float32(0.1)) / float32(n-1))
	if i < n/2 {
		return float32(float64(float32(0.1)) + step*float64(i))
	}
	return float32(1 - step*float64(n-1-i))
}

var _ kernel.Quantized = (*Weight)(nil)

// Weight is a matrix (N, K) in four bits. It does not change once it is made.
type Weight struct {
	n, k  int
	dtype string // type to which values are rounded: bfloat16, float16 or float32
	codes []byte // (N·K/2), two per byte, the first in the high half

	// Scale of block b: table[scales[b]]·max[b/nested] + offset; without scales, max[b].
	scales []byte    // (N·K/block)
	table  []float32 // (256)
	max    []float32 // (blocks/nested)
	offset float32

	owner any // while it is reachable, codes and scales stay mapped
}

// Shape returns N and K.
func (w *Weight) Shape() (n, k int) { return w.n, w.k }

// Bytes is the memory of the weight.
func (w *Weight) Bytes() int { return len(w.codes) + len(w.scales) + 4*len(w.max) + 4*len(w.table) }

// Scale is the scale of block b.
func (w *Weight) Scale(b int) float32 { return w.scale(b) }

// Half tells whether values are rounded to fp16.
func (w *Weight) Half() bool { return w.dtype == "float16" }

// scale is the scale of block b.
func (w *Weight) scale(b int) float32 {
	if w.scales == nil {
		return w.max[b]
	}
	return float32(w.table[w.scales[b]]*w.max[b/nested]) + w.offset // rounded in between: not fused
}

// Block returns the codes of block b and fills table with their values: codebook × scale.
func (w *Weight) Block(b int, table *[16]float32) []byte {
	scale := w.scale(b)
	switch w.dtype {
	case "bfloat16":
		for i, c := range Codebook {
			table[i] = math.Float32frombits(uint32(kernel.ToBF16(c*scale)) << 16)
		}
	case "float16":
		for i, c := range Codebook {
			table[i] = kernel.FromHalf(kernel.ToHalf(c * scale))
		}
	default:
		for i, c := range Codebook {
			table[i] = c * scale
		}
	}
	return w.codes[b*block/2 : min(len(w.codes), (b+1)*block/2)]
}

// Rows converts rows from to to−1 to float32.
func (w *Weight) Rows(dst []float32, from, to int) {
	var values [16]float32
	at, end := from*w.k, to*w.k
	dst = dst[:end-at]
	for at < end {
		w.Block(at/block, &values)
		n := min(end, (at/block+1)*block) - at
		out := dst[:n]
		dst = dst[n:]
		if at%2 == 0 && n%2 == 0 {
			for i, c := range w.codes[at/2 : (at+n)/2] {
				out[2*i], out[2*i+1] = values[c>>4], values[c&15]
			}
		} else {
			for i := range out {
				c := w.codes[(at+i)/2]
				if (at+i)%2 == 0 {
					c >>= 4
				}
				out[i] = values[c&15]
			}
		}
		at += n
	}
	runtime.KeepAlive(w.owner)
}

// Quantize rounds w to four bits, with the codes and scales of bitsandbytes' quantize_4bit(w, blocksize
// 64, compress_statistics, "nf4") in its default and CUDA kernels. Its CPU library (0.50) differs: it
// looks scales up in a table that misses the nearest of the smallest values by one. dtype is the type
// of w: bfloat16, float16 or float32.
func Quantize(w kernel.Weight, dtype string) (*Weight, error) {
	if dtype != "bfloat16" && dtype != "float16" && dtype != "float32" {
		return nil, fmt.Errorf("nf4: dtype %q is none of bfloat16, float16, float32", dtype)
	}
	n, k := w.Shape()
	q := &Weight{n: n, k: k, dtype: dtype, codes: make([]byte, (n*k+1)/2)}
	largest := make([]float32, (n*k+block-1)/block)
	// A block may cross the end of a row: take as many rows at once as make whole blocks.
	step := block
	for step > 1 && step/2*k%block == 0 {
		step /= 2
	}
	chunks := (n + step - 1) / step
	kernel.Spread(chunks, func(first, last int) {
		rows := make([]float32, step*k)
		for c := first; c < last; c++ {
			from, to := c*step, min(n, (c+1)*step)
			w.Rows(rows, from, to)
			q.encode(rows[:(to-from)*k], from*k, largest)
		}
	})
	q.nest(largest)
	return q, nil
}

// encode writes the codes of values, which begin at the start of a block, and the blocks' largest magnitudes.
func (w *Weight) encode(values []float32, at int, largest []float32) {
	for len(values) > 0 {
		n := min(block, len(values))
		var top float32
		for _, v := range values[:n] {
			top = max(top, v, -v)
		}
		largest[at/block] = top
		normal := normalise(&largest[at/block], n < block)
		for i, v := range values[:n] {
			c := code(normal(v))
			if (at+i)%2 == 0 {
				w.codes[(at+i)/2] = c << 4
			} else {
				w.codes[(at+i)/2] |= c
			}
		}
		if (at+n)%2 != 0 {
			w.codes[(at+n)/2] |= code(0) // the padding has the value 0
		}
		values, at = values[n:], at+n
	}
}

// normalise divides by a block's largest magnitude, as bitsandbytes does it: in a whole block by
// multiplying with the inverse; in a last, shorter block by dividing, after raising top to least.
func normalise(top *float32, short bool) func(float32) float32 {
	const least = 1e-38
	if short {
		*top = max(*top, least)
		by := *top
		return func(v float32) float32 { return v / by }
	}
	inverse := 1 / max(*top, least)
	return func(v float32) float32 { return v * inverse }
}

// code is the code of x: the number of bounds below it.
func code(x float32) byte {
	var c byte
	for _, step := range [...]byte{8, 4, 2, 1} {
		if x > bounds[c+step-1] {
			c += step
		}
	}
	return c
}

// nest quantizes the scales to eight bits around their mean: double quantization.
func (w *Weight) nest(largest []float32) {
	var sum float64
	for _, v := range largest {
		sum += float64(v)
	}
	w.offset = float32(sum / float64(len(largest)))
	w.table, w.scales = dynamic[:], make([]byte, len(largest))
	w.max = make([]float32, (len(largest)+nested-1)/nested)
	for i := range w.max {
		part := largest[i*nested : min(len(largest), (i+1)*nested)]
		var top float32
		for _, v := range part {
			top = max(top, v-w.offset, w.offset-v)
		}
		w.max[i] = top
		normal := normalise(&w.max[i], len(part) < nested)
		for j, v := range part {
			w.scales[i*nested+j] = nearest(normal(v - w.offset))
		}
	}
}

// nearest is the index of the value of the dynamic map nearest to x; of two, the lower one.
func nearest(x float32) byte {
	return byte(sort.Search(len(dynamic)-1, func(i int) bool { return (dynamic[i]+dynamic[i+1])/2 >= x }))
}
