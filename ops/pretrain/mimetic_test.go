package pretrain

import (
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
)

// TestMimeticInit: in all layers except the first, a query is similar to the key of the
// same input and not to other keys, and the output for a token has a positive dot product
// with the token.
func TestMimeticInit(t *testing.T) {
	c := Default()
	fresh, m := model.New(c.shape(c.Vocab), 1, ref.New()), model.New(c.shape(c.Vocab), 1, ref.New())
	mimeticInit(m, 1)
	if !slices.Equal(m.Layers[0].Q.W, fresh.Layers[0].Q.W) || !slices.Equal(m.Layers[0].O.W, fresh.Layers[0].O.W) {
		t.Error("the first layer was changed")
	}
	again := model.New(c.shape(c.Vocab), 1, ref.New())
	mimeticInit(again, 1)
	width, share := c.Width, c.Heads/c.KV
	for i := 1; i < c.Layers; i++ {
		l := &m.Layers[i]
		if !slices.Equal(l.Q.W, again.Layers[i].Q.W) {
			t.Fatal("the same seed gives other weights")
		}
		var same, other float64
		for token := range 20 {
			x, y := unit(m.Embed[token*width:][:width]), unit(m.Embed[(token+1)*width:][:width])
			for h := range c.Heads {
				same += dot(head(l.Q, x, h), head(l.K, x, h/share))
				other += math.Abs(dot(head(l.Q, y, h), head(l.K, x, h/share)))
			}
			var values []float64 // of all heads, in the order of O's inputs
			for h := range c.Heads {
				values = append(values, head(l.V, x, h/share)...)
			}
			if added := dot(apply(l.O, values), x); added <= 0 {
				t.Errorf("layer %d: the output for token %d has a dot product of %.3f with it, want more than 0",
					i, token, added)
			}
		}
		if same < 3*other {
			t.Errorf("layer %d: q·k is %.1f for the same token, %.1f for another; want at least three times as much",
				i, same, other)
		}
	}
}

// apply is W·x.
func apply(l model.Linear, x []float64) []float64 {
	y := make([]float64, l.N)
	for n := range y {
		for k, v := range x {
			y[n] += float64(l.W[n*l.K+k]) * v
		}
	}
	return y
}

// head is one head's part of W·x.
func head(l model.Linear, x []float64, h int) []float64 {
	const d = 32
	return apply(l, x)[h*d : (h+1)*d]
}

// unit scales x to a mean square of 1, as the norm before a layer does.
func unit(x []float32) []float64 {
	y, sum := make([]float64, len(x)), 0.0
	for i, v := range x {
		y[i] = float64(v)
		sum += y[i] * y[i]
	}
	for i := range y {
		y[i] *= math.Sqrt(float64(len(x)) / sum)
	}
	return y
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
