package main

// vector is a loop over slices of equal length, whole registers first, then one
// masked pass over the rest. Register numbers stay below 14: 14 and 15 are the
// mask and scratch of AVX2.
type vector struct {
	*file
	at   map[string]string
	ptr  map[string]string // slice → pointer register
	tail bool
}

var pointerRegisters = []string{"SI", "DI", "DX", "R8", "R9", "R10", "R11"}

// loop emits a vector function. setup loads scalars and clears accumulators, body
// handles one register of every slice, finish stores a result.
func (f *file) loop(name, doc, result string, params []param, setup, body, finish func(v *vector)) {
	v := &vector{file: f, at: f.begin(name, doc, result, params...), ptr: map[string]string{}}
	length := ""
	for _, p := range params {
		if p.typ == "[]float32" {
			v.ptr[p.name] = pointerRegisters[len(v.ptr)]
			f.p("\tMOVQ %s, %s", v.at[p.name], v.ptr[p.name])
			if length == "" {
				length = v.at[p.name+".len"]
			}
		}
	}
	shift := map[int]int{16: 4, 8: 3}[f.lanes]
	f.p("\tMOVQ %s, CX\n\tMOVQ CX, BX\n\tANDQ $%d, BX\n\tSHRQ $%d, CX", length, f.lanes-1, shift)
	setup(v)
	loop, rest, done := f.label("v"), f.label("v"), f.label("v")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n\tPCALIGN $32\n%s:", rest, loop)
	body(v)
	for _, p := range params {
		if r, ok := v.ptr[p.name]; ok {
			f.p("\tADDQ $%d, %s", 4*f.lanes, r)
		}
	}
	f.p("\tDECQ CX\n\tJNZ %s\n%s:\n\tTESTQ BX, BX\n\tJZ %s", loop, rest, done)
	if f.wide() {
		f.p("\tMOVQ BX, CX\n\tMOVQ $1, AX\n\tSHLQ CX, AX\n\tDECQ AX\n\tKMOVW AX, K1")
	} else {
		f.p("\tMOVQ $8, AX\n\tSUBQ BX, AX\n\tLEAQ ·lanes<>(SB), CX\n\tVMOVUPS (CX)(AX*4), Y14")
	}
	v.tail = true
	body(v)
	f.p("%s:", done)
	if finish != nil {
		finish(v)
	}
	f.end()
}

func (v *vector) scalar(name string, r int) { v.p("\tVBROADCASTSS %s, %s", v.at[name], v.r(r)) }
func (v *vector) zero(r int)                { v.p("\tVXORPS X%d, X%d, X%d", r, r, r) }
func (v *vector) fill(name string, r int)   { v.p("\tVMOVUPS %s, %s", constant(name), v.r(r)) }

// load reads the current lanes of a slice; those past the end become 0.
func (v *vector) load(slice string, r int) {
	switch {
	case !v.tail:
		v.p("\tVMOVUPS (%s), %s", v.ptr[slice], v.r(r))
	case v.wide():
		v.p("\tVMOVUPS.Z (%s), K1, Z%d", v.ptr[slice], r)
	default:
		v.p("\tVMASKMOVPS (%s), Y14, Y%d", v.ptr[slice], r)
	}
}

func (v *vector) store(r int, slice string) {
	switch {
	case !v.tail:
		v.p("\tVMOVUPS %s, (%s)", v.r(r), v.ptr[slice])
	case v.wide():
		v.p("\tVMOVUPS Z%d, K1, (%s)", r, v.ptr[slice])
	default:
		v.p("\tVMASKMOVPS Y%d, Y14, (%s)", r, v.ptr[slice])
	}
}

// keep clears the lanes of r past the end, before they enter a sum.
func (v *vector) keep(r int) {
	switch {
	case !v.tail:
	case v.wide():
		v.p("\tVMOVAPS.Z Z%d, K1, Z%d", r, r)
	default:
		v.p("\tVANDPS Y14, Y%d, Y%d", r, r)
	}
}

// blend replaces the lanes of r past the end by those of other.
func (v *vector) blend(other, r int) {
	switch {
	case !v.tail:
	case v.wide():
		v.p("\tKNOTW K1, K2\n\tVMOVAPS Z%d, K2, Z%d", other, r)
	default:
		v.p("\tVBLENDVPS Y14, Y%d, Y%d, Y%d", r, other, r)
	}
}

// Go's operand order: destination last, and op b, a, d is d = a op b.
func (v *vector) mul(a, b, d int) { v.p("\tVMULPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *vector) add(a, b, d int) { v.p("\tVADDPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *vector) sub(a, b, d int) { v.p("\tVSUBPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *vector) div(a, b, d int) { v.p("\tVDIVPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }

// fma: d += a·b; fnma: d −= a·b.
func (v *vector) fma(a, b, d int)  { v.p("\tVFMADD231PS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *vector) fnma(a, b, d int) { v.p("\tVFNMADD231PS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }

// sigmoid: d = 1/(1 + e^−x); t, u scratch.
func (v *vector) sigmoid(x, d, t, u int) {
	v.p("\tVXORPS %s, %s, %s", constant("signBit"), v.r(x), v.r(d))
	v.exp(d, t, u)
	v.fill("one", t)
	v.add(d, t, d)
	v.div(t, d, d)
}

func (v *vector) returnSum(r int) {
	v.sum(r, 15)
	v.p("\tVMOVSS X%d, %s", r, v.at["ret"])
}

// slices names parameters of type []float32, scalars of type float32.
func args(slices []string, scalars ...string) []param {
	var all []param
	for _, s := range slices {
		all = append(all, param{s, "[]float32"})
	}
	for _, s := range scalars {
		all = append(all, param{s, "float32"})
	}
	return all
}

func s(names ...string) []string { return names }

// vectors emits the elementwise kernels. Their documentation is on type level.
func (f *file) vectors() {
	doc := "is described at type level."
	none := func(*vector) {}

	f.loop("exp", doc, "float32", args(s("x"), "scale", "bias"),
		func(v *vector) { v.scalar("scale", 0); v.scalar("bias", 1); v.zero(2) },
		func(v *vector) {
			v.load("x", 3)
			v.mul(3, 0, 3)
			v.sub(3, 1, 3)
			v.exp(3, 4, 5)
			v.store(3, "x")
			v.keep(3)
			v.add(2, 3, 2)
		},
		func(v *vector) { v.returnSum(2) })

	f.loop("max", doc, "float32", args(s("x")),
		func(v *vector) { v.fill("lowest", 0); v.fill("lowest", 1) },
		func(v *vector) {
			v.load("x", 2)
			v.blend(1, 2)
			v.p("\tVMAXPS %s, %s, %s", v.r(2), v.r(0), v.r(0))
		},
		func(v *vector) { v.fold("VMAXPS", 0, 15); v.p("\tVMOVSS X0, %s", v.at["ret"]) })

	f.loop("dot", doc, "float32", args(s("a", "b")),
		func(v *vector) { v.zero(0) },
		func(v *vector) { v.load("a", 1); v.load("b", 2); v.fma(1, 2, 0) },
		func(v *vector) { v.returnSum(0) })

	f.loop("dot3", doc, "float32", args(s("a", "b", "c")),
		func(v *vector) { v.zero(0) },
		func(v *vector) { v.load("a", 1); v.load("b", 2); v.load("c", 3); v.mul(1, 2, 1); v.fma(1, 3, 0) },
		func(v *vector) { v.returnSum(0) })

	f.loop("scale", doc, "", args(s("x"), "a"),
		func(v *vector) { v.scalar("a", 0) },
		func(v *vector) { v.load("x", 1); v.mul(1, 0, 1); v.store(1, "x") }, nil)

	f.loop("add", doc, "", args(s("y", "x")), none,
		func(v *vector) { v.load("y", 0); v.load("x", 1); v.add(0, 1, 0); v.store(0, "y") }, nil)

	f.loop("norm", doc, "", args(s("y", "x", "w"), "a"),
		func(v *vector) { v.scalar("a", 0) },
		func(v *vector) { v.load("x", 1); v.load("w", 2); v.mul(1, 0, 1); v.mul(1, 2, 1); v.store(1, "y") }, nil)

	f.loop("normGrad", doc, "", args(s("dx", "dy", "w", "x"), "a", "c"),
		func(v *vector) { v.scalar("a", 0); v.scalar("c", 1) },
		func(v *vector) {
			v.load("dx", 2)
			v.load("dy", 3)
			v.load("w", 4)
			v.load("x", 5)
			v.mul(3, 4, 3)
			v.fma(3, 0, 2)
			v.fnma(5, 1, 2)
			v.store(2, "dx")
		}, nil)

	f.loop("mulAdd", doc, "", args(s("y", "p", "q"), "a"),
		func(v *vector) { v.scalar("a", 0) },
		func(v *vector) {
			v.load("y", 1)
			v.load("p", 2)
			v.load("q", 3)
			v.mul(2, 3, 2)
			v.fma(2, 0, 1)
			v.store(1, "y")
		}, nil)

	f.loop("softmaxGrad", doc, "", args(s("dp", "p"), "delta", "scale"),
		func(v *vector) { v.scalar("delta", 0); v.scalar("scale", 1) },
		func(v *vector) {
			v.load("dp", 2)
			v.load("p", 3)
			v.sub(2, 0, 2)
			v.mul(2, 3, 2)
			v.mul(2, 1, 2)
			v.store(2, "dp")
		}, nil)

	f.loop("silu", doc, "", args(s("y", "gate", "up")), none,
		func(v *vector) {
			v.load("gate", 0)
			v.load("up", 1)
			v.sigmoid(0, 2, 3, 4)
			v.mul(0, 2, 0)
			v.mul(0, 1, 0)
			v.store(0, "y")
		}, nil)

	f.loop("siluGrad", doc, "", args(s("dGate", "dUp", "dy", "gate", "up")), none,
		func(v *vector) {
			v.load("gate", 0)
			v.load("up", 1)
			v.load("dy", 2)
			v.sigmoid(0, 3, 4, 5)
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

	f.loop("rope", doc, "", args(s("a", "b", "cos", "sin"), "sign"),
		func(v *vector) { v.scalar("sign", 0) },
		func(v *vector) {
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

	f.loop("adamw", doc, "", args(s("w", "m", "v", "g"), "beta1", "rest1", "beta2", "rest2", "gradScale", "rate", "decay", "inverseC1", "inverseC2", "eps"),
		func(v *vector) {
			for i, name := range s("beta1", "rest1", "beta2", "rest2", "gradScale", "rate", "decay", "inverseC1", "inverseC2") {
				v.scalar(name, i)
			}
		},
		func(v *vector) {
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
			v.p("\tVSQRTPS %s, %s", v.r(11), v.r(11))
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
