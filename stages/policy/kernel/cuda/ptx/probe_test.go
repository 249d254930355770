package ptx_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// The functions of CUDA's library, as NVRTC expands them, with the errors of approximate instructions.
func TestMath(t *testing.T) {
	r := newRig(t, "probe")
	x := append(normals(300), 0, -0.5, 1.5, 2.5, -2.5, 700, 1e4, 60000, 1e-6)
	n := len(x)
	y := r.alloc(10 * n)
	r.must(r.launch("probe_math", ceil(n, 96), 96, r.in(x), y, int32(n)))
	got := r.floats(y, 10*n)
	for i, v := range x {
		a := float64(v)
		for j, want := range []float64{math.Exp(a), math.Log(math.Abs(a) + 1e-3), math.Tanh(a), a / (1 + math.Exp(-a)),
			math.Sin(float64(v * 1000)), math.Pow(math.Abs(a), 1.7), toHalf(a),
			math.RoundToEven(a) + math.Trunc(a)*0.5 + math.Floor(a)*0.25, math.Sqrt(math.Abs(a)),
			a/3 + 1/math.Sqrt(math.Abs(a)+1)} {
			if want > math.MaxFloat32 {
				want = math.Inf(1)
			}
			g := float64(got[j*n+i])
			if !(math.Abs(g-want) <= 2e-6*(1+math.Abs(want)) || g == want) {
				t.Errorf("function %d of %v is %v, want %v", j, v, g, want)
			}
		}
	}
}

// toHalf rounds to 11 bits of precision, from 2⁻¹⁴ on.
func toHalf(a float64) float64 {
	if a == 0 || math.Abs(a) >= 65504 {
		return a
	}
	_, e := math.Frexp(a)
	u := math.Ldexp(1, max(e-11, -24))
	return math.RoundToEven(a/u) * u
}

func TestIntegers(t *testing.T) {
	r := newRig(t, "probe")
	rng := rand.New(rand.NewPCG(9, 1))
	const n = 333
	x := make([]int32, n)
	odd := int32(0)
	for i := range x {
		x[i] = int32(rng.Uint32()) >> rng.IntN(30)
		odd += x[i] & 1
	}
	count, y := r.in([]int32{0}), r.alloc(7*n)
	r.must(r.launch("probe_int", ceil(n, 128), 128, r.in(x), y, int32(n), count))
	if c := int32(r.out(count, 1)[0]); c != odd {
		t.Errorf("count %d, want %d", c, odd)
	}
	got := r.out(y, 7*n)
	for i, a := range x {
		for j, want := range integerResults(a, i) {
			if int32(got[j*n+i]) != want {
				t.Fatalf("result %d of %d (number %d) is %d, want %d", j, a, i, int32(got[j*n+i]), want)
			}
		}
	}
}

// integerResults is probe_int in Go.
func integerResults(a int32, i int) []int32 {
	d := int32(i%7 + 1)
	first := 0
	if a != 0 {
		first = bits.TrailingZeros32(uint32(a)) + 1
	}
	high, _ := bits.Mul32(uint32(a), 0x9e3779b9)
	halves := int32(uint32(a+d)&0xffff | (uint32(a)>>16+uint32(d)>>16)<<16)
	steps := int32(0)
	for u := uint32(a) & 63; u > 1; steps++ {
		if u&1 == 1 {
			u = 3*u + 1
		} else {
			u >>= 1
		}
	}
	wide := int64(a) * 0x123456789
	high64, _ := bits.Mul64(uint64(wide), 0x7654321fedc)
	if wide < 0 {
		high64 -= 0x7654321fedc
	}
	return []int32{a/d + a%d,
		int32(bits.LeadingZeros32(uint32(a))*100+first) + int32(bits.Reverse32(uint32(a))&7),
		int32(int64(a)*int64(d)>>3) ^ int32(high),
		[]int32{a * 3, a ^ 0x55, a >> 3, halves, a - d, -a}[i%6],
		a * int32(uint32(a)%8), steps, int32(high64 & 0xffff)}
}

func TestWarp(t *testing.T) {
	r := newRig(t, "probe")
	rng := rand.New(rand.NewPCG(10, 1))
	x := make([]uint32, 32)
	for i := range x {
		x[i] = rng.Uint32()
	}
	y, at := r.alloc(14*32), r.in([]uint32{0, 0, 0, 0})
	r.must(r.launch("probe_warp", 1, 32, r.in(x), y, at))
	got := r.out(y, 14*32)
	atoms := []uint32{0, 7, 1, 0}
	for i, a := range x {
		for j, want := range warpResults(x, i) {
			if got[j*32+i] != want {
				t.Errorf("result %d, lane %d: %#x, want %#x", j, i, got[j*32+i], want)
			}
		}
		if int32(a) > int32(atoms[0]) {
			atoms[0] = a
		}
		atoms[3] ^= a
	}
	for i, v := range r.out(at, 4) {
		if v != atoms[i] {
			t.Errorf("atomic %d: %#x, want %#x", i, v, atoms[i])
		}
	}
}

// warpResults is probe_warp in Go: lane i.
func warpResults(x []uint32, i int) []uint32 {
	a, b := x[i], x[31-i]
	both := uint64(b)<<32 | uint64(a)
	bytes := uint32(both>>16&255) | uint32(both>>32&255)<<8 | uint32(both>>48&255)<<16 | uint32(both>>8&255)<<24
	up, down, largest, thirds := a, a, uint32(0), uint32(0)
	if i >= 3 {
		up = x[i-3]
	}
	if i%16+5 < 16 {
		down = x[i+5]
	}
	for l, v := range x {
		largest = max(largest, v)
		if l%3 == 0 {
			thirds |= 1 << l
		}
	}
	p, q := float64(i), float64(math.Float32frombits(0x3dcd0000)) // 0.1 in bf16
	return []uint32{bytes, uint32(both << (i & 31) >> 32), up, down, x[i&^7|i*7&7], 1,
		uint32(min(int32(a), int32(b))) ^ max(a, b), uint32(int32(a<<16) >> 23), a&b | a&uint32(i) | b&uint32(i),
		bf16(p*p+p) | bf16(q*q+q)<<16, x[i^2], thirds, x[i&^1+1] & 0xffff, largest}
}

func bf16(v float64) uint32 {
	u := math.Float32bits(float32(v))
	return (u + 0x7fff + u>>16&1) >> 16
}

func TestTransposedTile(t *testing.T) {
	r := newRig(t, "probe")
	rng := rand.New(rand.NewPCG(11, 1))
	half := func(v int) uint16 { // integers up to 16
		if v == 0 {
			return 0
		}
		e := bits.Len(uint(v)) - 1
		return uint16((15+e)<<10 | (v<<10>>e)&1023)
	}
	draw := func(n int) (values []int, halves []uint16) {
		for range n {
			v := rng.IntN(16)
			values, halves = append(values, v), append(halves, half(v))
		}
		return
	}
	a, ha := draw(256)
	b, hb := draw(128)
	c := r.alloc(128)
	r.must(r.launch("probe_trans", 1, 32, r.in(ha), r.in(hb), c))
	for i, v := range r.floats(c, 128) {
		want := 0
		for k := range 16 {
			want += a[i/8*16+k] * b[k*8+i%8]
		}
		if v != float32(want) {
			t.Fatalf("element %d is %v, want %d", i, v, want)
		}
	}
}
