package main

import (
	"fmt"
	"math"
	"strings"
)

// chip is a GPU as the roofline sees it.
type chip struct {
	name   string
	flops  float64 // a second, dense bf16 with float32 sums
	bytes  float64 // a second, from memory
	memory float64 // bytes
}

var chips = []chip{
	{"A100", 312e12, 2.0e12, 80e9}, {"H200", 989e12, 4.8e12, 141e9}, {"RTX 4090", 165e12, 1.0e12, 24e9},
}

func chipList() string {
	var all []string
	for _, c := range chips {
		all = append(all, fmt.Sprintf("%.0f TFLOP/s and %.1f TB/s (%s, %.0f GB)", c.flops/1e12, c.bytes/1e12, c.name,
			c.memory/1e9))
	}
	return strings.Join(all, ", ")
}

// work is what a turn of a job has to do at the least.
type work struct{ flops, bytes float64 }

func (w work) plus(v work) work       { return work{w.flops + v.flops, w.bytes + v.bytes} }
func (w work) times(n float64) work   { return work{w.flops * n, w.bytes * n} }
func (w work) seconds(c chip) float64 { return math.Max(w.flops/c.flops, w.bytes/c.bytes) }
func product(m, n, k float64) work    { return work{2 * m * n * k, 2*(m*k+n*k) + 4*m*n} }
func (s shape) attention(t float64) work { // of rows that each see t/2 others, in all layers
	c := s.config
	return work{flops: 2 * t * t * float64(c.NumLayers*c.NumHeads*c.HeadDim)}
}

// forward are the products of rows with all matrices, the head's for some of them; weightBytes are read once.
func (s shape) forward(rows, headRows float64, q quantization) work {
	return work{flops: 2*rows*s.linear() + 2*headRows*s.head(), bytes: s.weightBytes(q)}
}

// step is a training step of an adapter on sequences of so many tokens: forward, the recomputed forward, the gradient
// of the rows, and the head forward and backward; the adapter's products are three times its forward.
func (s shape) step(sequences, tokens float64, q quantization) work {
	t := sequences * tokens
	pass := work{flops: 2 * t * s.linear(), bytes: s.weightBytes(q)}
	head := work{flops: 4 * t * s.head(), bytes: 2 * 2 * s.head()}
	adapter := work{flops: 4 * 2 * t * s.adapter()}
	// The backward pass of attention has five products where the forward pass has two.
	return pass.times(3).plus(head).plus(adapter).plus(s.attention(tokens).times(sequences * (2 + 2.5)))
}

// decode is one step of so many streams, each with a context of so many tokens in the cache, in float32.
func (s shape) decode(streams, context float64) work {
	c := s.config
	cache := 2 * 4 * context * float64(c.NumLayers*c.NumKVHeads*c.HeadDim)
	attention := 4 * context * float64(c.NumLayers*c.NumHeads*c.HeadDim)
	w := s.forward(streams, streams, bf16)
	return work{w.flops + streams*attention, w.bytes + streams*cache}
}

// linear, head and adapter are numbers of weights: of the layers' linear maps, of the head, of a LoRA on all of them.
func (s shape) linear() (n float64) {
	for _, m := range s.config.Shapes() {
		n += float64(m[0]) * float64(m[1])
	}
	return n * float64(s.config.NumLayers)
}

func (s shape) head() float64 { return float64(s.config.VocabSize) * float64(s.config.HiddenSize) }

func (s shape) adapter() (n float64) {
	for _, m := range s.config.Shapes() {
		n += rank * float64(m[0]+m[1])
	}
	return n * float64(s.config.NumLayers)
}

func (s shape) weightBytes(q quantization) float64 { return q.bytes*s.linear() + 2*s.head() }

// quantization is how the layers' linear maps are stored.
type quantization struct {
	name  string
	bytes float64 // a weight
}

var (
	bf16 = quantization{"bf16", 2}
	nf4  = quantization{"NF4", 0.5 + 4./64}
)
