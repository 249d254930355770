package kernel_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
)

// TestHalf: every half survives a round trip, and a value between two halves goes to the nearer one.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		v := kernel.FromHalf(uint16(h))
		if back := kernel.ToHalf(v); int(back) != h && v == v {
			t.Fatalf("%#x is %g, and that %#x", h, v, back)
		}
		if exp := h >> 10 & 31; exp == 31 || h&0x7fff == 0x7bff {
			continue
		}
		// Half-way to the next: the even one.
		middle := float32((float64(v) + float64(kernel.FromHalf(uint16(h+1)))) / 2)
		want := h + h&1
		for _, c := range []struct {
			v    float32
			want int
		}{{middle, want}, {math.Nextafter32(middle, v), h},
			{math.Nextafter32(middle, kernel.FromHalf(uint16(h+1))), h + 1}} {
			if got := kernel.ToHalf(c.v); int(got) != c.want {
				t.Fatalf("%g (behind %#x) is %#x, want %#x", c.v, h, got, c.want)
			}
		}
	}
	for v, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, -1e9: 0xfc00, 1e-9: 0,
		float32(math.Inf(-1)): 0xfc00} {
		if got := kernel.ToHalf(v); got != want {
			t.Errorf("%g is %#x, want %#x", v, got, want)
		}
	}
}

// TestToInt8: a rounded value is at most half a step off, plus the rounding of the scale; the
// largest value of a block has the code 127; rounding a second time changes nothing.
func TestToInt8(t *testing.T) {
	const n, k = 21, 100 // no whole sixteen, no whole block
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]float32, n*k)
	for i := range data {
		data[i] = float32(r.NormFloat64() * math.Pow(10, float64(i/k%7-3)))
	}
	clear(data[5*k : 5*k+32])                                // a block of zeros
	copy(data[6*k:], []float32{127, 2.5, -2.5, 1.5, 126.49}) // scale 1: halves go away from zero
	clear(data[6*k+5 : 6*k+32])
	w, err := kernel.ToInt8(&kernel.Dense{N: n, K: k, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	wide := kernel.Widened(w)
	for r := range n {
		for b := 0; b < k; b += 32 {
			end := min(k, b+32)
			var top float64
			for _, v := range data[r*k+b : r*k+end] {
				top = max(top, math.Abs(float64(v)))
			}
			for i := r*k + b; i < r*k+end; i++ {
				// Half a step, and the rounding of the scale: it is an IEEE half, perhaps a subnormal one.
				most := top/127*0.5001 + math.Abs(float64(data[i]))/2048 + 127.0/(1<<25)
				if far := math.Abs(float64(wide[i]) - float64(data[i])); far > most {
					t.Fatalf("row %d, value %d: %g for %g, the largest being %g", r, i-r*k, wide[i], data[i], top)
				}
			}
		}
	}
	if got := wide[6*k : 6*k+6]; got[0] != 127 || got[1] != 3 || got[2] != -3 || got[3] != 2 ||
		got[4] != 126 || got[5] != 0 {
		t.Errorf("halves: %v", got)
	}
	var codes [kernel.Int8Block]int8
	if scale := w.Block(&codes, 6, 0); kernel.FromHalf(scale) != 1 || codes[2] != -3 {
		t.Errorf("block: scale %#x, codes %v", scale, codes)
	}
	again, err := kernel.ToInt8(w)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range kernel.Widened(again) {
		if v != wide[i] {
			t.Fatalf("value %d: %g became %g when rounded again", i, wide[i], v)
		}
	}
	if bytes := len(w.Codes) + 2*len(w.Scales); bytes != 32*100+2*32*4 {
		t.Errorf("%d bytes", bytes)
	}
}

// TestToInt8Refuses: a value that eight bits cannot hold is an error that names its row.
func TestToInt8Refuses(t *testing.T) {
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e7} {
		data := make([]float32, 40*70)
		data[33*70+68] = v
		_, err := kernel.ToInt8(&kernel.Dense{N: 40, K: 70, Data: data})
		if err == nil || !strings.Contains(err.Error(), "row 33, values 64 to 69") {
			t.Errorf("%g: %v", v, err)
		}
	}
}
