package ptx

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

var bigModes = map[string]big.RoundingMode{"rn": big.ToNearestEven, "rz": big.ToZero, "rm": big.ToNegativeInf,
	"rp": big.ToPositiveInf}

// fmaOdd and roundF32 against exact arithmetic, over the whole range with subnormals.
func TestFMA(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	finite := func() float64 {
		for {
			if f := float64(math.Float32frombits(rng.Uint32())); f-f == 0 {
				return f
			}
		}
	}
	exactly := func(v float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(v) }
	for i := range 100000 {
		a, b, c := finite(), finite(), finite()
		if i%2 == 0 { // where cancellation and ties happen
			c = float64(float32(float64(float32(-a*b)) * (1 + float64(rng.IntN(5)-2)*0x1p-24)))
		}
		if math.IsInf(c, 0) {
			continue
		}
		exact := exactly(a)
		exact.Mul(exact, exactly(b)).Add(exact, exactly(c))
		if exact.Sign() == 0 {
			continue
		}
		got := fmaOdd(a, b, c)
		if want, _ := exact.Float32(); float32(got) != want {
			t.Fatalf("%v·%v + %v is %v, want %v", a, b, c, float32(got), want)
		}
		if e := exact.MantExp(nil); e < -120 || e > 126 {
			continue // big.Float has no subnormals, and no largest number, with a rounding mode
		}
		for mode, m := range bigModes {
			want, _ := new(big.Float).SetPrec(24).SetMode(m).Set(exact).Float32()
			if r := roundF32(got, mode); r != want {
				t.Fatalf("%s: %v·%v + %v is %v, want %v", mode, a, b, c, r, want)
			}
		}
	}
}

func TestHalf(t *testing.T) {
	for _, h := range []half{halfF16, halfBF16} {
		for v := range uint64(1 << 16) { // every value survives
			if f := h.decode(v); h.encode(f, "rn") != v && !math.IsNaN(f) {
				t.Fatalf("%v: %#x is %v, encoded %#x", h, v, f, h.encode(f, "rn"))
			}
		}
		for v := range uint64(0x7fff>>h.mantissa<<h.mantissa - 1) { // between two neighbours
			low, high := h.decode(v), h.decode(v+1)
			mid, even := (low+high)/2, v+v&1
			for mode, want := range map[string][2]uint64{ // of the value and of its negative
				"rn": {even, even}, "rz": {v, v}, "rm": {v, v + 1}, "rp": {v + 1, v}} {
				if got := h.encode(mid, mode); got != want[0] {
					t.Fatalf("%v %s: the middle of %#x and the next gives %#x, want %#x", h, mode, v, got, want[0])
				}
				if got := h.encode(-mid, mode); got != want[1]|0x8000 {
					t.Fatalf("%v %s: minus the middle of %#x and the next gives %#x", h, mode, v, got)
				}
			}
			if h.encode(math.Nextafter(mid, 0), "rn") != v || h.encode(math.Nextafter(mid, math.Inf(1)), "rn") != v+1 {
				t.Fatalf("%v: beside the middle of %#x and the next", h, v)
			}
		}
	}
}

// Approximations err, but within their bound, and special values are exact.
func TestApproximations(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for name, a := range approximations {
		erred := 0
		for range 10000 {
			x := float64(float32(rng.Float64() * 3))
			got, want := float64(float32(a.of(x))), a.f(x)
			if bound := math.Max(a.relative*math.Abs(want), a.absolute); math.Abs(got-want) > bound {
				t.Fatalf("%s(%v) = %v, want %v within %v", name, x, got, want, bound)
			}
			if got != float64(float32(want)) {
				erred++
			}
		}
		if erred < 1000 {
			t.Errorf("%s: only %d of 10000 results have an error", name, erred)
		}
	}
	if got := approximations["ex2"].of(math.Inf(-1)); got != 0 {
		t.Errorf("2^−∞ = %v", got)
	}
	if got := approximations["ex2"].of(0); got != 1 {
		t.Errorf("2⁰ = %v", got)
	}
}
