package main

import "fmt"

// neonVector implements vector in NEON: whole registers first, then one value at a time, in lane 0 of the
// same instructions, with zeros in the other lanes. V14 and V15 are scratch, V16 to V31 the constants.
type neonVector struct {
	*file
	at   map[string]string
	ptr  map[string]string // slice → pointer register
	tail bool
}

// neonLoop emits a vector function, see vectors.
func (f *file) neonLoop(name, doc, result string, params []param, setup, body, finish func(v vector)) {
	v := &neonVector{file: f, at: f.begin(name, doc, result, params), ptr: map[string]string{}}
	length := ""
	for _, p := range params {
		if p.typ == "[]float32" {
			v.ptr[p.name] = fmt.Sprintf("R%d", len(v.ptr))
			f.p("\tMOVD %s, %s", v.at[p.name], v.ptr[p.name])
			if length == "" {
				length = v.at[p.name+".len"]
			}
		}
	}
	f.p("\tMOVD %s, R8\n\tAND $3, R8, R9\n\tLSR $2, R8", length)
	setup(v)
	pass := func(count, size string) {
		again, done := f.label("v"), f.label("v")
		f.p("\tCBZ %s, %s\n\tPCALIGN $16\n%s:", count, done, again)
		body(v)
		for _, p := range params {
			if r, ok := v.ptr[p.name]; ok {
				f.p("\tADD %s, %s", size, r)
			}
		}
		f.p("\tSUB $1, %s\n\tCBNZ %s, %s\n%s:", count, count, again, done)
	}
	pass("R8", "$16")
	v.tail = true
	pass("R9", "$4")
	if finish != nil {
		finish(v)
	}
	f.p("\tRET")
}

func (v *neonVector) constants() {
	v.p("\tMOVD $·constants<>(SB), R10")
	for i := range constantBits {
		v.p("\tVLD1R.P 4(R10), [V%d.S4]", 16+i)
	}
}

func neonConstant(name string) int {
	for i, c := range constantBits {
		if c.name == name {
			return 16 + i
		}
	}
	panic("unknown constant " + name)
}

func (v *neonVector) move(from, to int)         { v.p("\tVMOV V%d.B16, V%d.B16", from, to) }
func (v *neonVector) fill(name string, r int)   { v.move(neonConstant(name), r) }
func (v *neonVector) scalar(name string, r int) { v.p("\tFMOVS %s, F%d", v.at[name], r); v.spread(r) }
func (v *neonVector) spread(r int)              { v.p("\tVDUP V%d.S[0], V%d.S4", r, r) }
func (v *neonVector) zero(r int)                { v.neonZero(r, 1) }

// width chooses the move of a register, or of one value, which clears the others.
func (v *neonVector) width() string {
	if v.tail {
		return "FMOVS"
	}
	return "FMOVQ"
}

func (v *neonVector) load(slice string, r int)  { v.p("\t%s (%s), F%d", v.width(), v.ptr[slice], r) }
func (v *neonVector) store(r int, slice string) { v.p("\t%s F%d, (%s)", v.width(), r, v.ptr[slice]) }

func (v *neonVector) keep(r int) {
	if v.tail {
		v.p("\tFMOVS F%d, F%d", r, r)
	}
}

func (v *neonVector) blend(_, r int) {
	if v.tail {
		v.spread(r)
	}
}

func (v *neonVector) add(a, b, d int)  { v.op("FADD.4S", d, a, b) }
func (v *neonVector) sub(a, b, d int)  { v.op("FSUB.4S", d, a, b) }
func (v *neonVector) mul(a, b, d int)  { v.op("FMUL.4S", d, a, b) }
func (v *neonVector) div(a, b, d int)  { v.op("FDIV.4S", d, a, b) }
func (v *neonVector) max(a, b, d int)  { v.op("FMAX.4S", d, a, b) }
func (v *neonVector) fma(a, b, d int)  { v.p("\tVFMLA V%d.S4, V%d.S4, V%d.S4", b, a, d) }
func (v *neonVector) fnma(a, b, d int) { v.p("\tVFMLS V%d.S4, V%d.S4, V%d.S4", b, a, d) }
func (v *neonVector) neg(x, d int)     { v.op("FNEG.4S", d, x) }
func (v *neonVector) sqrt(x, d int)    { v.op("FSQRT.4S", d, x) }

// exp takes the steps of the x86 one, described there.
func (v *neonVector) exp(x, t, u int) {
	const w, below = 14, 15
	constant := neonConstant
	v.op("FCMGT.4S", below, constant("expLow"), x)
	v.op("FMAX.4S", x, x, constant("expLow"))
	v.op("FMIN.4S", x, x, constant("expHigh"))
	v.fill("magic", t)
	v.fma(x, constant("log2e"), t)
	v.sub(t, constant("magic"), u)
	v.fnma(u, constant("ln2Hi"), x)
	v.fnma(u, constant("ln2Lo"), x)
	v.p("\tVSHL $23, V%d.S4, V%d.S4\n\tVADD V%d.S4, V%d.S4, V%d.S4", t, t, constant("bias"), t, t)
	v.fill("exp4", u)
	v.fma(x, constant("exp5"), u)
	p, next := u, w
	for _, c := range []string{"exp3", "exp2", "exp1", "exp0"} {
		v.fill(c, next)
		v.fma(x, p, next)
		p, next = next, p
	}
	v.mul(p, x, p) // p·x, then e^r = 1 + x + p·x·x
	v.move(x, next)
	v.fma(x, p, next)
	v.add(next, constant("one"), next)
	v.mul(next, t, x)
	v.op("BIC.16B", x, x, below)
}

func (v *neonVector) returnSum(r int) {
	v.op("FADDP.4S", r, r, r)
	v.op("FADDP.4S", r, r, r)
	v.p("\tFMOVS F%d, %s", r, v.at["ret"])
}

func (v *neonVector) returnMax(r int) {
	v.op("FMAXV.4S", r, r)
	v.p("\tFMOVS F%d, %s", r, v.at["ret"])
}

// neonSumSquares adds in float64, of every register its low and its high half apart.
func (f *file) neonSumSquares() {
	at := f.begin("sumSquares", sumSquaresDoc, "float64", args("x []float32"))
	loop, done := f.label("q"), f.label("q")
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tLSR $2, R1", at["x"], at["x.len"])
	f.neonZero(0, 2)
	f.p("\tCBZ R1, %s\n%s:\n\tFMOVQ.P 16(R0), F2", done, loop)
	f.op("FCVTL2.2D", 3, 2)
	f.op("FCVTL.2D", 2, 2)
	f.p("\tVFMLA V2.D2, V2.D2, V0.D2\n\tVFMLA V3.D2, V3.D2, V1.D2\n\tSUB $1, R1\n\tCBNZ R1, %s\n%s:", loop, done)
	f.op("FADD.2D", 0, 0, 1)
	f.op("FADDP.2D", 0, 0, 0)
	f.p("\tFMOVD F0, %s\n\tRET", at["ret"])
}
