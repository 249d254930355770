package python_test

import (
	"math"
	"testing"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// FuzzArithmetic: no number makes an operation panic, and results have texts.
func FuzzArithmetic(f *testing.F) {
	f.Add(0.5, -1.5, int64(3), int64(-2), "x")
	f.Add(1e300, 1e-320, int64(1)<<62, int64(-299), "1e9")
	f.Add(math.Copysign(0, -1), 2.5, int64(0), int64(20_001), "-5j")
	f.Fuzz(func(t *testing.T, a, b float64, m, n int64, text string) {
		if m, n = m%300, n%300; len(text) > 3 { // more digits only take longer
			text = text[:3]
		}
		values := []python.Value{a, b, python.Int(m), python.Int(n), text, nil, true, python.NewList(a)}
		ops := []func(a, b python.Value) (python.Value, error){
			python.Add, python.Sub, python.Mul, python.Div, python.Pow, python.Round, python.Sqrt,
			func(a, b python.Value) (python.Value, error) { return python.Log(a, b, python.Int(n)) },
		}
		for _, x := range values {
			for _, y := range values {
				for _, op := range ops {
					if v, err := op(x, y); err == nil {
						_, _ = python.Repr(v) // an int with too many digits has none
						_ = python.Equal(v, x)
					}
				}
				_, _ = python.Compare("<", x, y)
			}
		}
	})
}
