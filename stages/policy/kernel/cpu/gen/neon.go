package main

import (
	"fmt"
	"strings"
)

// neon emits the kernels of arm64, whose baseline NEON is: 32 registers V0 to V31 of
// four float32 values.
func (f *file) neon() {
	f.suffix = "NEON"
	f.p("\n// What exp and others need, in the order of constantBits.")
	for i, c := range constantBits {
		f.p("DATA ·constants<>+%d(SB)/4, $0x%08x // %s", 4*i, c.bits, c.name)
	}
	f.p("GLOBL ·constants<>(SB), RODATA|NOPTR, $%d", 4*len(constantBits))
	for rows := 1; rows <= neonTileRows; rows++ {
		f.neonTile(rows)
	}
	vectors(f.neonLoop)
	f.neonSumSquares()
	f.neonPathScores()
	f.neonPathMix()
	f.neonTranspose()
	f.neonTurn()
	f.neonWiden()
	f.neonLookup()
}

// neonBits are instructions that Go's assembler lacks, with all registers V0.
var neonBits = map[string]uint32{
	"FADD.4S":      0x4e20d400,
	"FSUB.4S":      0x4ea0d400,
	"FMUL.4S":      0x6e20dc00,
	"FDIV.4S":      0x6e20fc00,
	"FMAX.4S":      0x4e20f400, // NaN if either is
	"FMIN.4S":      0x4ea0f400,
	"FCMGT.4S":     0x6ea0e400, // all ones where the first is greater, 0 for NaN
	"FADDP.4S":     0x6e20d400, // sums of pairs: of the first register, then of the second
	"BIC.16B":      0x4e601c00, // the first and not the second
	"FMLA.4S.S[0]": 0x4f801000, // += first · lane 0 of the second
	"FMUL.4S.S[0]": 0x4f809000,
	"FADD.2D":      0x4e60d400,
	"FADDP.2D":     0x6e60d400,
	"FNEG.4S":      0x6ea0f800,
	"FSQRT.4S":     0x6ea1f800,
	"FMAXV.4S":     0x6e30f800, // the greatest lane, into the lowest
	"FCVTL.2D":     0x0e617800, // float64 of the low two lanes
	"FCVTL2.2D":    0x4e617800, // and of the high ones
}

// op emits one of them; the destination is first, as in Arm's manual.
func (f *file) op(name string, d, n int, m ...int) {
	bits, ok := neonBits[name]
	if !ok {
		panic("unknown instruction " + name)
	}
	bits |= uint32(d) | uint32(n)<<5
	list := fmt.Sprintf("V%d, V%d", d, n)
	if len(m) > 0 {
		bits |= uint32(m[0]) << 16
		list += fmt.Sprintf(", V%d", m[0])
	}
	f.p("\tWORD $0x%08x // %s %s", bits, name, list)
}

// these is a list of n registers from V<first> on, with an arrangement.
func these(first, n int, arrangement string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("V%d.%s", first+i, arrangement))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// neonZero clears n registers from V<first> on.
func (f *file) neonZero(first, n int) {
	for r := first; r < first+n; r++ {
		f.p("\tVEOR V%d.B16, V%d.B16, V%d.B16", r, r, r)
	}
}
