package kerneltest

import (
	"fmt"
	"math"
)

// A softmax over up to a few hundred scores between two sums of products.
const attentionTolerance = 3e-5

// layout is one packing of segments.
type layout struct {
	name     string
	cu       []int32
	mask     []int32 // shared-prefix mask
	selected []int32 // first selected row of each segment
	t        int     // rows of the tensors; those behind the last segment are padding
	h, g, d  int
	spread   float64 // of q: 1 is usual, 30 makes the softmax nearly one-hot
}

func layouts() []layout {
	return []layout{
		{"one row", []int32{0, 1}, nil, nil, 1, 1, 1, 8, 1},
		{"no segment", []int32{0}, nil, nil, 4, 2, 1, 16, 1},
		{"empty segments", []int32{0, 0, 3, 3, 3, 9, 9}, nil, nil, 9, 2, 1, 16, 1},
		{"odd head size", []int32{0, 5, 19}, nil, nil, 19, 3, 3, 7, 1},
		{"grouped heads", []int32{0, 33, 100}, nil, nil, 100, 6, 2, 32, 1},
		{"padding rows", []int32{0, 40, 61}, nil, nil, 70, 4, 2, 32, 1},
		{"all heads share one", []int32{0, 65}, nil, nil, 65, 5, 1, 64, 1},
		{"long segment", []int32{0, 300}, nil, nil, 300, 2, 1, 32, 1},
		{"wide heads", []int32{0, 17, 50}, nil, nil, 50, 2, 2, 80, 1},
		{"sharp", []int32{0, 90}, nil, nil, 90, 2, 1, 32, 30},
		{"shared prefix", []int32{0, 50, 120}, []int32{33, 40, 61, 115}, nil, 125, 6, 2, 32, 1},
		{"shared prefix, odd heads", []int32{0, 9, 40, 43}, []int32{9, 9, 10, 30, 42, 42}, nil, 43, 3, 1, 7, 1},
		{"mask from the start", []int32{0, 70}, []int32{0, 33}, nil, 70, 2, 1, 64, 1},
		{"mask to the end", []int32{0, 33}, []int32{20, 33}, nil, 33, 2, 2, 16, 1},
		{"selected rows", []int32{0, 50, 50, 120}, nil, []int32{41, 50, 50}, 125, 6, 2, 32, 1},
		{"selected rows, odd heads", []int32{0, 9, 40, 43}, nil, []int32{9, 12, 42}, 43, 3, 1, 7, 1},
		{"selected rows, shared prefix", []int32{0, 50, 120}, []int32{33, 40, 61, 115}, []int32{32, 100},
			125, 4, 2, 32, 1},
	}
}

// tolerance grows with the scores: an exponential turns their absolute rounding
// error into a relative one.
func (l layout) tolerance() float64 { return attentionTolerance * max(1, l.spread/3) }

// queries is the number of rows of q: the selected rows of all segments.
func (l layout) queries() int {
	n := int(l.cu[len(l.cu)-1])
	for s, first := range l.selected {
		n -= int(first - l.cu[s])
	}
	return n
}

// tensors draws q, k, v; the rows behind the last segment are NaN and must not be read.
func (l layout) tensors(in *source) (q, k, v []float32) {
	q = in.normal(l.t*l.h*l.d, l.spread)
	k = in.normal(l.t*l.g*l.d, 1)
	v = in.normal(l.t*l.g*l.d, 1)
	end := int(l.cu[len(l.cu)-1])
	poison(q[l.queries()*l.h*l.d:])
	poison(k[end*l.g*l.d:])
	poison(v[end*l.g*l.d:])
	return q, k, v
}

func poison(x []float32) {
	for i := range x {
		x[i] = float32(math.NaN())
	}
}

func attentionChecks() []check {
	var all []check
	for _, l := range layouts() {
		all = append(all, check{"attention", l.name, l.tolerance(), func(dev Slices, in *source) []tensor {
			q, k, v := l.tensors(in)
			out, lse := in.output(l.t*l.h*l.d), in.output(l.t*l.h)
			dev.Attention(out, lse, q, k, v, l.cu, l.mask, l.selected, l.h, l.g, l.d)
			return []tensor{{"out", out}, {"lse", lse}}
		}})
		all = append(all, check{"attention backward", l.name, l.tolerance(),
			func(dev Slices, in *source) []tensor {
				q, k, v := l.tensors(in)
				dout := in.normal(l.t*l.h*l.d, 1)
				out, lse := in.output(l.t*l.h*l.d), in.output(l.t*l.h)
				attend(out, lse, q, k, v, l)
				dq, dk, dv := in.output(l.t*l.h*l.d), in.output(l.t*l.g*l.d), in.output(l.t*l.g*l.d)
				dev.AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v, l.cu, l.mask, l.selected, l.h, l.g, l.d)
				return []tensor{{"dq", dq}, {"dk", dk}, {"dv", dv}}
			}})
	}
	for _, s := range [][4]int{{1, 1, 1, 8}, {3, 4, 2, 32}, {2, 2, 1, 7}, {17, 6, 2, 32}, {4, 3, 1, 64},
		{0, 2, 1, 16}, {3, 2, 2, 80}} {
		rows, h, g, d := s[0], s[1], s[2], s[3]
		all = append(all, check{"attend paths", fmt.Sprintf("R%d H%d G%d D%d", rows, h, g, d), attentionTolerance,
			func(dev Slices, in *source) []tensor {
				const slots = 90
				q, k, v := in.normal(rows*h*d, 1), in.normal(slots*g*d, 1), in.normal(slots*g*d, 1)
				out := in.output(rows * h * d)
				dev.AttendPaths(out, q, k, v, paths(in, rows, slots), h, g, d)
				return []tensor{{"out", out}}
			}})
	}
	for _, s := range [][5]int{{1, 1, 1, 1, 8}, {40, 3, 4, 2, 32}, {57, 57, 2, 1, 7},
		{90, 33, 6, 2, 32}, {5, 0, 2, 1, 16}} {
		n, rows, h, g, d := s[0], s[1], s[2], s[3], s[4]
		all = append(all, check{"attend suffix", fmt.Sprintf("N%d R%d H%d G%d D%d", n, rows, h, g, d),
			attentionTolerance, func(dev Slices, in *source) []tensor {
				q, k, v := in.normal(rows*h*d, 1), in.normal(100*g*d, 1), in.normal(100*g*d, 1)
				out := in.output(rows * h * d)
				dev.AttendSuffix(out, q, k, v, shuffled(in, 100)[:n], rows, h, g, d)
				return []tensor{{"out", out}}
			}})
	}
	return all
}

// shuffled are the numbers below n.
func shuffled(in *source, n int) []int32 {
	all := make([]int32, n)
	for i, j := range in.rng.Perm(n) {
		all[i] = int32(j)
	}
	return all
}

// paths draws one path of 0 to 69 slots per row; the first row's is empty.
func paths(in *source, rows, slots int) [][]int32 {
	all := make([][]int32, rows)
	for r := range all {
		all[r] = make([]int32, (r*13)%70)
		for j := range all[r] {
			all[r][j] = in.rng.Int32N(int32(slots))
		}
	}
	return all
}
