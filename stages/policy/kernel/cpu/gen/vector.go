package main

import "strings"

// vector is the language in which elementwise kernels are described once for all instruction sets: a loop
// over slices of equal length, one register of each slice at a time; the rest behind the last whole
// register goes through the same instructions. Arguments are numbers of registers below 14; each
// instruction set uses the others itself.
type vector interface {
	constants() // before exp and fill
	fill(constant string, r int)
	scalar(name string, r int) // an argument, in all lanes
	zero(r int)
	load(slice string, r int) // lanes past the end become 0
	store(r int, slice string)
	keep(r int)         // clears the lanes past the end, before they enter a sum
	blend(other, r int) // gives the lanes past the end the value of other, or of a lane before the end

	add(a, b, d int) // d = a + b
	sub(a, b, d int)
	mul(a, b, d int)
	div(a, b, d int)
	max(a, b, d int)  // b may be NaN
	fma(a, b, d int)  // d += a·b
	fnma(a, b, d int) // d −= a·b
	neg(x, d int)
	sqrt(x, d int)
	exp(x, t, u int) // x = e^x; t, u scratch

	returnSum(r int) // of the lanes
	returnMax(r int)
}

// sigmoid: d = 1/(1 + e^−x); t, u scratch.
func sigmoid(v vector, x, d, t, u int) {
	v.neg(x, d)
	v.exp(d, t, u)
	v.fill("one", t)
	v.add(d, t, d)
	v.div(t, d, d)
}

// vectors emits the elementwise kernels through loop: setup loads scalars and clears
// accumulators, body handles one register of every slice, finish stores a result. Their
// documentation is on type level.
func vectors(loop func(name, doc, result string, params []param, setup, body, finish func(v vector))) {
	doc := "is described at type level."
	none := func(vector) {}

	loop("exp", doc, "float32", args("x []float32, scale, bias float32"),
		func(v vector) { v.constants(); v.scalar("scale", 0); v.scalar("bias", 1); v.zero(2) },
		func(v vector) {
			v.load("x", 3)
			v.mul(3, 0, 3)
			v.sub(3, 1, 3)
			v.exp(3, 4, 5)
			v.store(3, "x")
			v.keep(3)
			v.add(2, 3, 2)
		},
		func(v vector) { v.returnSum(2) })

	loop("max", doc, "float32", args("x []float32"),
		func(v vector) { v.constants(); v.fill("lowest", 0); v.fill("lowest", 1) },
		func(v vector) {
			v.load("x", 2)
			v.blend(1, 2)
			v.max(0, 2, 0)
		},
		func(v vector) { v.returnMax(0) })

	loop("dot", doc, "float32", args("a, b []float32"),
		func(v vector) { v.zero(0) },
		func(v vector) { v.load("a", 1); v.load("b", 2); v.fma(1, 2, 0) },
		func(v vector) { v.returnSum(0) })

	loop("dot3", doc, "float32", args("a, b, c []float32"),
		func(v vector) { v.zero(0) },
		func(v vector) { v.load("a", 1); v.load("b", 2); v.load("c", 3); v.mul(1, 2, 1); v.fma(1, 3, 0) },
		func(v vector) { v.returnSum(0) })

	loop("scale", doc, "", args("x []float32, a float32"),
		func(v vector) { v.scalar("a", 0) },
		func(v vector) { v.load("x", 1); v.mul(1, 0, 1); v.store(1, "x") }, nil)

	loop("add", doc, "", args("y, x []float32"), none,
		func(v vector) { v.load("y", 0); v.load("x", 1); v.add(0, 1, 0); v.store(0, "y") }, nil)

	loop("norm", doc, "", args("y, x, w []float32, a float32"),
		func(v vector) { v.scalar("a", 0) },
		func(v vector) { v.load("x", 1); v.load("w", 2); v.mul(1, 0, 1); v.mul(1, 2, 1); v.store(1, "y") }, nil)

	loop("normGrad", doc, "", args("dx, dy, w, x []float32, a, c float32"),
		func(v vector) { v.scalar("a", 0); v.scalar("c", 1) },
		func(v vector) {
			v.load("dx", 2)
			v.load("dy", 3)
			v.load("w", 4)
			v.load("x", 5)
			v.mul(3, 4, 3)
			v.fma(3, 0, 2)
			v.fnma(5, 1, 2)
			v.store(2, "dx")
		}, nil)

	loop("mulAdd", doc, "", args("y, p, q []float32, a float32"),
		func(v vector) { v.scalar("a", 0) },
		func(v vector) {
			v.load("y", 1)
			v.load("p", 2)
			v.load("q", 3)
			v.mul(2, 3, 2)
			v.fma(2, 0, 1)
			v.store(1, "y")
		}, nil)

	loop("softmaxGrad", doc, "", args("dp, p []float32, delta, scale float32"),
		func(v vector) { v.scalar("delta", 0); v.scalar("scale", 1) },
		func(v vector) {
			v.load("dp", 2)
			v.load("p", 3)
			v.sub(2, 0, 2)
			v.mul(2, 3, 2)
			v.mul(2, 1, 2)
			v.store(2, "dp")
		}, nil)

	loop("silu", doc, "", args("y, gate, up []float32"), vector.constants,
		func(v vector) {
			v.load("gate", 0)
			v.load("up", 1)
			sigmoid(v, 0, 2, 3, 4)
			v.mul(0, 2, 0)
			v.mul(0, 1, 0)
			v.store(0, "y")
		}, nil)

	loop("siluGrad", doc, "", args("dGate, dUp, dy, gate, up []float32"), vector.constants,
		func(v vector) {
			v.load("gate", 0)
			v.load("up", 1)
			v.load("dy", 2)
			sigmoid(v, 0, 3, 4, 5)
			v.mul(2, 3, 2) // dy·σ
			v.mul(2, 0, 6)
			v.store(6, "dUp")
			v.fill("one", 4)
			v.sub(4, 3, 5)
			v.fma(0, 5, 4) // 1 + g·(1 − σ)
			v.mul(2, 1, 2)
			v.mul(2, 4, 2)
			v.store(2, "dGate")
		}, nil)

	loop("rope", doc, "", args("a, b, cos, sin []float32, sign float32"),
		func(v vector) { v.scalar("sign", 0) },
		func(v vector) {
			v.load("a", 1)
			v.load("b", 2)
			v.load("cos", 3)
			v.load("sin", 4)
			v.mul(4, 0, 4)
			v.mul(1, 3, 5)
			v.fnma(2, 4, 5)
			v.mul(2, 3, 6)
			v.fma(1, 4, 6)
			v.store(5, "a")
			v.store(6, "b")
		}, nil)

	scalars := "beta1, rest1, beta2, rest2, gradScale, rate, decay, inverseC1, inverseC2"
	loop("adamw", doc, "", args("w, m, v, g []float32, "+scalars+", eps float32"),
		func(v vector) {
			for i, name := range strings.Split(scalars, ", ") {
				v.scalar(name, i)
			}
		},
		func(v vector) {
			v.load("g", 9)
			v.mul(9, 4, 9)
			v.load("m", 10)
			v.mul(10, 0, 10)
			v.fma(9, 1, 10)
			v.store(10, "m")
			v.load("v", 11)
			v.mul(11, 2, 11)
			v.mul(9, 9, 9)
			v.fma(9, 3, 11)
			v.store(11, "v")
			v.mul(11, 8, 11)
			v.sqrt(11, 11)
			v.scalar("eps", 12)
			v.add(11, 12, 11)
			v.mul(10, 7, 10)
			v.div(10, 11, 10)
			v.load("w", 12)
			v.fma(12, 6, 10) // + decay·w
			v.fnma(10, 5, 12)
			v.store(12, "w")
		}, nil)
}
