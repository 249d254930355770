package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// isa is an instruction set and the shape of its matrix tile.
type isa struct {
	suffix   string // of function names
	reg      string // register prefix
	lanes    int    // float32 values in a register
	tileRows int    // rows of accumulators: two registers each
}

var (
	avx512 = isa{"AVX512", "Z", 16, 14}
	avx2   = isa{"AVX2", "Y", 8, 6}
)

func (i isa) wide() bool     { return i.lanes == 16 }
func (i isa) r(n int) string { return fmt.Sprintf("%s%d", i.reg, n) }

// param is an argument of an assembly function.
type param struct{ name, typ string }

// args reads parameters in Go's notation: "dst, src *float32, k int".
func args(list string) []param {
	var all []param
	untyped := 0 // from here on, names that wait for their type
	for item := range strings.SplitSeq(list, ", ") {
		name, typ, typed := strings.Cut(item, " ")
		all = append(all, param{name: name})
		for ; typed && untyped < len(all); untyped++ {
			all[untyped].typ = typ
		}
	}
	return all
}

// sizes are the bytes of an argument of each type.
var sizes = map[string]int{
	"[]float32": 24, "[]int32": 24,
	"*float32": 8, "*int32": 8, "*int64": 8, "*byte": 8, "*int8": 8, "*uint16": 8,
	"int": 8, "float32": 4,
}

// begin opens a function, declares it in Go and returns where each argument lies.
func (f *file) begin(name, doc, result string, params []param) map[string]string {
	at := map[string]string{}
	offset := 0
	var list []string
	for _, p := range params {
		size := sizes[p.typ]
		if size == 0 {
			panic("unknown type " + p.typ)
		}
		if size > 4 {
			offset = (offset + 7) &^ 7
		}
		if size == 24 {
			at[p.name] = fmt.Sprintf("%s_base+%d(FP)", p.name, offset)
			at[p.name+".len"] = fmt.Sprintf("%s_len+%d(FP)", p.name, offset+8)
		} else {
			at[p.name] = fmt.Sprintf("%s+%d(FP)", p.name, offset)
		}
		offset += size
		list = append(list, p.name+" "+p.typ)
	}
	total := offset // go vet counts the last value unpadded
	if result != "" {
		total = (offset + 7) &^ 7
		at["ret"] = fmt.Sprintf("ret+%d(FP)", total)
		total += map[string]int{"float32": 4, "float64": 8}[result]
	}
	name += f.suffix
	f.declare(name, doc, result, params)
	f.p("\n// %s", strings.TrimSpace(fmt.Sprintf("func %s(%s) %s", name, strings.Join(list, ", "), result)))
	f.p("TEXT ·%s(SB), NOSPLIT, $%d-%d", name, f.frame, total)
	return at
}

// declare writes the function's Go declaration, with its documentation.
func (f *file) declare(name, doc, result string, params []param) {
	var list []string
	for i, p := range params {
		if i+1 < len(params) && params[i+1].typ == p.typ {
			list = append(list, p.name)
		} else {
			list = append(list, p.name+" "+p.typ)
		}
	}
	signature := fmt.Sprintf("func %s(%s) %s", name, strings.Join(list, ", "), result)
	fmt.Fprintf(&f.decl, "\n// %s\n//\n//go:noescape\n%s\n",
		wrap(name+" "+doc, " ", "\n// "), wrap(signature, ", ", ",\n\t"))
}

// wrap breaks lines at gaps, so that none is wider than 120 columns. The first line of the
// text and those behind a break begin with at most four columns.
func wrap(text, gap, lineBreak string) string {
	var all strings.Builder
	column := 4
	for i, word := range strings.Split(text, gap) {
		width := utf8.RuneCountInString(word + gap)
		switch {
		case i == 0:
		case column+width > 120:
			all.WriteString(lineBreak)
			column = 4
		default:
			all.WriteString(gap)
		}
		all.WriteString(word)
		column += width
	}
	return all.String()
}

func (f *file) end() { f.p("\tVZEROUPPER\n\tRET") }

type constantOf struct {
	name string
	bits uint32
}

// constantBits are vectors of one repeated value, in memory so that they need no register. exp is Cephes'
// expf: range reduction by ln 2 and a polynomial, exact to about one unit in the last place.
var constantBits = []constantOf{
	{"expLow", 0xc2700000},  // −60: below it e^x is replaced by 0
	{"expHigh", 0x42ae0000}, // 87
	{"log2e", 0x3fb8aa3b},   // 1/ln 2
	{"magic", 0x4b400000},   // 1.5·2²³: adding it rounds to an integer
	{"ln2Hi", 0x3f318000},   // 0.693359375
	{"ln2Lo", 0xb95e8083},   // −2.12194440e-4
	{"exp5", 0x39506967},    // 1.9875691500e-4
	{"exp4", 0x3ab743ce},    // 1.3981999507e-3
	{"exp3", 0x3c088908},    // 8.3334519073e-3
	{"exp2", 0x3d2aa9c1},    // 4.1665795894e-2
	{"exp1", 0x3e2aaaaa},    // 1.6666665459e-1
	{"exp0", 0x3f000000},    // 5.0000001201e-1
	{"one", 0x3f800000},     // 1
	{"bias", 127 << 23},     // exponent of 1
	{"lowest", 0xff7fffff},  // −MaxFloat32
	{"signBit", 0x80000000}, // −0
}

// codeBits are further constants, for weights in eight bits.
var codeBits = []constantOf{
	{"codeUp", 0x7f000000},   // 2¹²⁷: a half's bits, shifted to a float32's, times this are 2¹⁵ times its value
	{"codeBias", 0xbf808000}, // −(1 + 128·2⁻¹⁵)
	{"codeOne", 0x3f803f80},  // the upper half of a 1, twice
}

func (f *file) constants() {
	for _, c := range slices.Concat(constantBits, codeBits) {
		for i := range 8 {
			f.p("DATA ·%s<>+%d(SB)/8, $0x%08x%08x", c.name, 8*i, c.bits, c.bits)
		}
		f.p("GLOBL ·%s<>(SB), RODATA|NOPTR, $64", c.name)
	}
	// Eight ones, then eight zeros: the mask for n lanes starts at 8 − n.
	for i := range 8 {
		v := uint64(0)
		if i < 4 {
			v = 1<<64 - 1
		}
		f.p("DATA ·lanes<>+%d(SB)/8, $0x%016x", 8*i, v)
	}
	f.p("GLOBL ·lanes<>(SB), RODATA|NOPTR, $64")
	for i := range 16 {
		f.p("DATA ·iota<>+%d(SB)/4, $%d", 4*i, i)
	}
	f.p("GLOBL ·iota<>(SB), RODATA|NOPTR, $64")
}

func constant(name string) string { return "·" + name + "<>(SB)" }

// exp replaces register x by e^x; t, u, and 15 or K3, are scratch. NaN stays NaN, because it is the second
// operand of the clamps and the scaling by 2ⁿ is a multiplication.
//
// Below e^−60 the result is 0. It would vanish in any sum with 1, but its products
// with small gradients would be subnormal, and those cost a hundred cycles each: a
// sharp softmax made the attention gradient 14 times slower.
func (f *file) exp(x, t, u int) {
	X, T, U := f.r(x), f.r(t), f.r(u)
	const notLess = 5 // the predicate: true for NaN
	f.p("\tVMOVUPS %s, %s", constant("expLow"), T)
	if f.wide() {
		f.p("\tVCMPPS $%d, %s, %s, K3", notLess, T, X)
	} else {
		f.p("\tVCMPPS $%d, %s, %s, Y15", notLess, T, X)
	}
	f.p("\tVMAXPS %s, %s, %s", X, T, X)
	f.p("\tVMOVUPS %s, %s\n\tVMINPS %s, %s, %s", constant("expHigh"), T, X, T, X)
	f.p("\tVMOVUPS %s, %s\n\tVFMADD213PS %s, %s, %s", constant("log2e"), T, constant("magic"), X, T)
	f.p("\tVSUBPS %s, %s, %s", constant("magic"), T, U)
	f.p("\tVFNMADD231PS %s, %s, %s", constant("ln2Hi"), U, X)
	f.p("\tVFNMADD231PS %s, %s, %s", constant("ln2Lo"), U, X)
	f.p("\tVPSLLD $23, %s, %s\n\tVPADDD %s, %s, %s", T, T, constant("bias"), T, T)
	f.p("\tVMOVUPS %s, %s", constant("exp5"), U)
	for _, c := range []string{"exp4", "exp3", "exp2", "exp1", "exp0"} {
		f.p("\tVFMADD213PS %s, %s, %s", constant(c), X, U)
	}
	f.p("\tVMULPS %s, %s, %s", X, U, U) // U = p·x, then e^r = 1 + x + p·x·x
	f.p("\tVFMADD213PS %s, %s, %s", X, X, U)
	f.p("\tVADDPS %s, %s, %s", constant("one"), U, U)
	if f.wide() {
		f.p("\tVMULPS.Z %s, %s, K3, %s", T, U, X)
	} else {
		f.p("\tVMULPS %s, %s, %s\n\tVANDPS Y15, %s, %s", T, U, X, X, X)
	}
}

// sum adds the lanes of register x into its lowest; t is scratch.
func (f *file) sum(x, t int) { f.fold("VADDPS", x, t) }

func (f *file) fold(op string, x, t int) {
	if f.wide() {
		f.p("\tVEXTRACTF64X4 $1, Z%d, Y%d\n\t%s Y%d, Y%d, Y%d", x, t, op, t, x, x)
	}
	f.p("\tVEXTRACTF128 $1, Y%d, X%d\n\t%s X%d, X%d, X%d", x, t, op, t, x, x)
	f.p("\tVPERMILPS $0x4e, X%d, X%d\n\t%s X%d, X%d, X%d", x, t, op, t, x, x)
	f.p("\tVPERMILPS $0xb1, X%d, X%d\n\t%s X%d, X%d, X%d", x, t, op, t, x, x)
}
