package main

// x86Vector implements vector in AVX-512 and AVX2: whole registers first, then one pass with a mask for
// the rest.
type x86Vector struct {
	*file
	at   map[string]string
	ptr  map[string]string // slice → pointer register
	tail bool
}

var pointerRegisters = []string{"SI", "DI", "DX", "R8", "R9", "R10", "R11"}

// x86Loop emits a vector function, see vectors.
func (f *file) x86Loop(name, doc, result string, params []param, setup, body, finish func(v vector)) {
	v := &x86Vector{file: f, at: f.begin(name, doc, result, params), ptr: map[string]string{}}
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

func (v *x86Vector) scalar(name string, r int) { v.p("\tVBROADCASTSS %s, %s", v.at[name], v.r(r)) }
func (v *x86Vector) zero(r int)                { v.p("\tVXORPS X%d, X%d, X%d", r, r, r) }
func (v *x86Vector) constants()                {} // they are operands in memory
func (v *x86Vector) fill(name string, r int)   { v.p("\tVMOVUPS %s, %s", constant(name), v.r(r)) }

// load reads the current lanes of a slice; those past the end become 0.
func (v *x86Vector) load(slice string, r int) {
	switch {
	case !v.tail:
		v.p("\tVMOVUPS (%s), %s", v.ptr[slice], v.r(r))
	case v.wide():
		v.p("\tVMOVUPS.Z (%s), K1, Z%d", v.ptr[slice], r)
	default:
		v.p("\tVMASKMOVPS (%s), Y14, Y%d", v.ptr[slice], r)
	}
}

func (v *x86Vector) store(r int, slice string) {
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
func (v *x86Vector) keep(r int) {
	switch {
	case !v.tail:
	case v.wide():
		v.p("\tVMOVAPS.Z Z%d, K1, Z%d", r, r)
	default:
		v.p("\tVANDPS Y14, Y%d, Y%d", r, r)
	}
}

// blend replaces the lanes of r past the end by those of other.
func (v *x86Vector) blend(other, r int) {
	switch {
	case !v.tail:
	case v.wide():
		v.p("\tKNOTW K1, K2\n\tVMOVAPS Z%d, K2, Z%d", other, r)
	default:
		v.p("\tVBLENDVPS Y14, Y%d, Y%d, Y%d", r, other, r)
	}
}

// Go's operand order: destination last, and op b, a, d is d = a op b.
func (v *x86Vector) mul(a, b, d int) { v.p("\tVMULPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *x86Vector) add(a, b, d int) { v.p("\tVADDPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *x86Vector) sub(a, b, d int) { v.p("\tVSUBPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *x86Vector) div(a, b, d int) { v.p("\tVDIVPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }

// fma: d += a·b; fnma: d −= a·b.
func (v *x86Vector) fma(a, b, d int)  { v.p("\tVFMADD231PS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *x86Vector) fnma(a, b, d int) { v.p("\tVFNMADD231PS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }

func (v *x86Vector) max(a, b, d int) { v.p("\tVMAXPS %s, %s, %s", v.r(b), v.r(a), v.r(d)) }
func (v *x86Vector) neg(x, d int) {
	v.p("\tVXORPS %s, %s, %s", constant("signBit"), v.r(x), v.r(d))
}
func (v *x86Vector) sqrt(x, d int) { v.p("\tVSQRTPS %s, %s", v.r(x), v.r(d)) }

func (v *x86Vector) returnSum(r int) {
	v.sum(r, 15)
	v.p("\tVMOVSS X%d, %s", r, v.at["ret"])
}

func (v *x86Vector) returnMax(r int) {
	v.fold("VMAXPS", r, 15)
	v.p("\tVMOVSS X%d, %s", r, v.at["ret"])
}
