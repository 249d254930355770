package main

// packing emits the kernels that copy a matrix, or convert a weight, into packed panels.
func (f *file) packing() {
	if f.wide() {
		f.packing512()
	} else {
		f.packRows256()
		f.transpose256()
		f.widen256("widen", "\tVPMOVZXWD (SI), Y0\n\tVPMOVZXWD 16(SI), Y1\n\tVPSLLD $16, Y0, Y0\n\tVPSLLD $16, Y1, Y1")
		f.widen256("widenF16", "\tVCVTPH2PS (SI), Y0\n\tVCVTPH2PS 16(SI), Y1")
		f.turn256("turnBF16", "bf16")
		f.turn256("turnF16", "half")
		f.lookup256()
		f.widenInt8()
		f.rowInt8()
	}
}

func (f *file) packing512() {
	at := f.begin("packRows", "is described at type level.", "",
		args("dst *float32, dstStep int, src *float32, srcStep, rows, width int"))
	masks := func() {
		f.p("\tMOVQ %s, CX", at["width"])
		f.masks512()
	}
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, R8\n\tMOVQ %s, SI", at["dst"], at["dstStep"], at["src"])
	f.p("\tMOVQ %s, R9\n\tMOVQ %s, DX", at["srcStep"], at["rows"])
	masks()
	f.p("\tSHLQ $2, R8\n\tSHLQ $2, R9\n\tTESTQ DX, DX\n\tJZ packRowsDone\n\tCMPQ R8, $64\n\tJEQ packRowsNarrow")
	f.p("packRowsWide:\n\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS.Z 64(SI), K2, Z1\n\tVMOVUPS Z0, (DI)\n\tVMOVUPS Z1, 64(DI)")
	f.p("\tADDQ R9, SI\n\tADDQ R8, DI\n\tDECQ DX\n\tJNZ packRowsWide\n\tJMP packRowsDone")
	f.p("packRowsNarrow:\n\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS Z0, (DI)")
	f.p("\tADDQ R9, SI\n\tADDQ R8, DI\n\tDECQ DX\n\tJNZ packRowsNarrow\npackRowsDone:")
	f.end()

	at = f.begin("packColumns", "is described at type level.", "",
		args("dst, src *float32, srcRow, k, width int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, AX\n\tMOVQ %s, DX", at["dst"], at["src"], at["srcRow"], at["k"])
	// Lane j reads row j: its index is j·srcRow.
	f.p("\tVPBROADCASTD AX, Z2\n\tVPMULLD ·iota<>(SB), Z2, Z0\n\tVPSLLD $4, Z2, Z2\n\tVPADDD Z2, Z0, Z1")
	masks()
	f.p("\tTESTQ DX, DX\n\tJZ packColumnsDone\npackColumnsLoop:")
	f.p("\tKMOVW K1, K3\n\tKMOVW K2, K4\n\tVPXORD Z3, Z3, Z3\n\tVPXORD Z4, Z4, Z4")
	f.p("\tVGATHERDPS (SI)(Z0*4), K3, Z3\n\tVGATHERDPS (SI)(Z1*4), K4, Z4\n\tVMOVUPS Z3, (DI)\n\tVMOVUPS Z4, 64(DI)")
	f.p("\tADDQ $4, SI\n\tADDQ $128, DI\n\tDECQ DX\n\tJNZ packColumnsLoop\npackColumnsDone:")
	f.end()
}

// packRows256 has three cases: one register per step, two whole registers, and two registers with masks.
func (f *file) packRows256() {
	at := f.begin("packRows", "is described at type level.", "",
		args("dst *float32, dstStep int, src *float32, srcStep, rows, width int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, R8\n\tMOVQ %s, SI", at["dst"], at["dstStep"], at["src"])
	f.p("\tMOVQ %s, R9\n\tMOVQ %s, DX\n\tMOVQ %s, CX", at["srcStep"], at["rows"], at["width"])
	f.masks256()
	wide, masked, narrow, done := f.label("pack"), f.label("pack"), f.label("pack"), f.label("pack")
	f.p("\tSHLQ $2, R9\n\tTESTQ DX, DX\n\tJZ %s\n\tCMPQ R8, $8", done)
	f.p("\tJEQ %s\n\tCMPQ CX, $16\n\tJNE %s", narrow, masked)
	next := func(step int, again string) {
		f.p("\tADDQ R9, SI\n\tADDQ $%d, DI\n\tDECQ DX\n\tJNZ %s\n\tJMP %s", 4*step, again, done)
	}
	f.p("%s:\n\tVMOVUPS (SI), Y0\n\tVMOVUPS 32(SI), Y1\n\tVMOVUPS Y0, (DI)\n\tVMOVUPS Y1, 32(DI)", wide)
	next(16, wide)
	f.p("%s:\n\tVMASKMOVPS (SI), Y14, Y0\n\tVMASKMOVPS 32(SI), Y15, Y1", masked)
	f.p("\tVMOVUPS Y0, (DI)\n\tVMOVUPS Y1, 32(DI)")
	next(16, masked)
	f.p("%s:\n\tVMASKMOVPS (SI), Y14, Y0\n\tVMOVUPS Y0, (DI)", narrow)
	next(8, narrow)
	f.p("%s:", done)
	f.end()
}

// transposeDoc documents the kernels that transpose float32 values.
func transposeDoc(group string) string {
	return "writes 4·fours steps of " + group + " values, 16 apart: value j of step p is src[j·srcRow + p]."
}

// transpose256 transposes four columns of eight rows at a time. Each register takes four values of a row
// and of the fourth row after it: permuting whole halves instead costs eight micro-operations on Zen 1.
func (f *file) transpose256() {
	at := f.begin("transpose", transposeDoc("eight"), "",
		args("dst, src *float32, srcRow, fours int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, R8\n\tMOVQ %s, CX", at["dst"], at["src"], at["srcRow"], at["fours"])
	f.p("\tSHLQ $2, R8\n\tLEAQ (R8)(R8*2), R9\n\tLEAQ (SI)(R8*4), R10")
	loop, done := f.label("t"), f.label("t")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, loop)
	for i, row := range []string{"", "(R8*1)", "(R8*2)", "(R9*1)"} {
		f.p("\tVMOVUPS (SI)%s, X%d\n\tVINSERTF128 $1, (R10)%s, Y%d, Y%d", row, i, row, i, i)
	}
	f.p("\tVUNPCKLPS Y1, Y0, Y4\n\tVUNPCKHPS Y1, Y0, Y5\n\tVUNPCKLPS Y3, Y2, Y6\n\tVUNPCKHPS Y3, Y2, Y7")
	f.p("\tVSHUFPS $0x44, Y6, Y4, Y0\n\tVSHUFPS $0xee, Y6, Y4, Y1")
	f.p("\tVSHUFPS $0x44, Y7, Y5, Y2\n\tVSHUFPS $0xee, Y7, Y5, Y3")
	for i := range 4 {
		f.p("\tVMOVUPS Y%d, %d(DI)", i, 64*i)
	}
	f.p("\tADDQ $16, SI\n\tADDQ $16, R10\n\tADDQ $256, DI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.end()
}

// widen256 converts sixteen values of 16 bits to float32, in Y0 and Y1.
func (f *file) widen256(name, sixteen string) {
	at := f.begin(name, "is described at type level.", "", args("dst *float32, src *byte, sixteens int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, CX", at["dst"], at["src"], at["sixteens"])
	loop, done := f.label("w"), f.label("w")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n\tPCALIGN $32\n%s:", done, loop)
	f.p("%s\n\tVMOVDQU Y0, (DI)\n\tVMOVDQU Y1, 32(DI)", sixteen)
	f.p("\tADDQ $32, SI\n\tADDQ $64, DI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.end()
}

// turnDoc documents the kernels that transpose and widen values of 16 bits.
func turnDoc(kind string) string {
	return "writes 8·eights steps of eight values, dstStep floats apart: value j of step p is the " + kind +
		" src[j·srcRow + p]. Every eight steps prefetch two more cache lines, beginning ahead bytes behind src."
}

// turn256 transposes eight columns of eight rows of values of 16 bits, and converts them to float32 at the
// end (bf16 by a zero in the low half): that takes half the shuffles of transposing float32. Registers
// have 128 bits, the width of Zen 1's units.
func (f *file) turn256(name, kind string) {
	at := f.begin(name, turnDoc(kind), "",
		args("dst *float32, dstStep int, src *byte, srcRow, eights, ahead int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, DX\n\tMOVQ %s, SI", at["dst"], at["dstStep"], at["src"])
	f.p("\tMOVQ %s, R8\n\tMOVQ %s, CX", at["srcRow"], at["eights"])
	f.p("\tMOVQ %s, R11\n\tADDQ SI, R11", at["ahead"])
	f.p("\tSHLQ $2, DX\n\tSHLQ $1, R8\n\tLEAQ (R8)(R8*2), R9\n\tLEAQ (SI)(R8*4), R10")
	if kind == "bf16" {
		f.p("\tVPXOR X15, X15, X15")
	}
	loop, done := f.label("t"), f.label("t")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, loop)
	for i, row := range []string{"", "(R8*1)", "(R8*2)", "(R9*1)"} {
		f.p("\tVMOVDQU (SI)%s, X%d\n\tVMOVDQU (R10)%s, X%d", row, i, row, i+4)
	}
	unpack := func(width string, a, b, low, high int) {
		f.p("\tVPUNPCKL%s X%d, X%d, X%d\n\tVPUNPCKH%s X%d, X%d, X%d", width, b, a, low, width, b, a, high)
	}
	// Pairs of rows, the first four values of k in 8 to 11, the others in 12 to 14 and 0.
	unpack("WD", 0, 1, 8, 12)
	unpack("WD", 2, 3, 9, 13)
	unpack("WD", 4, 5, 10, 14)
	unpack("WD", 6, 7, 11, 0)
	for _, four := range [][4]int{{8, 9, 10, 11}, {12, 13, 14, 0}} {
		unpack("DQ", four[0], four[1], 1, 2) // rows 0 to 3 of two k, and of the next two
		unpack("DQ", four[2], four[3], 3, 4) // rows 4 to 7
		for _, two := range [][2]int{{1, 3}, {2, 4}} {
			unpack("QDQ", two[0], two[1], 5, 6)
			for _, r := range []int{5, 6} {
				if kind == "bf16" {
					f.p("\tVPUNPCKLWD X%d, X15, X7\n\tVMOVDQU X7, (DI)", r)
					f.p("\tVPUNPCKHWD X%d, X15, X7\n\tVMOVDQU X7, 16(DI)\n\tADDQ DX, DI", r)
				} else {
					f.p("\tVCVTPH2PS X%d, Y7\n\tVMOVUPS Y7, (DI)\n\tADDQ DX, DI", r)
				}
			}
		}
	}
	f.p("\tPREFETCHT0 (R11)\n\tPREFETCHT0 64(R11)\n\tADDQ $128, R11")
	f.p("\tADDQ $16, SI\n\tADDQ $16, R10\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.end()
}

// lookup256 looks up the codes of eight bytes at a time, the NF4 codebook for example: first the high
// halves, then the low ones; they are interleaved at the end. The table of sixteen values is in two
// registers. The low three bits of a code choose a value of each; bit 3, moved to the sign, chooses
// between the two.
func (f *file) lookup256() {
	at := f.begin("lookup", "is described at type level.", "",
		args("dst *float32, codes *byte, table *float32, eights int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, AX\n\tMOVQ %s, CX", at["dst"], at["codes"], at["table"], at["eights"])
	f.p("\tVMOVUPS (AX), Y8\n\tVMOVUPS 32(AX), Y9")
	loop, done := f.label("l"), f.label("l")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n\tPCALIGN $32\n%s:", done, loop)
	f.p("\tVPMOVZXBD (SI), Y0\n\tVPSRLD $4, Y0, Y1\n\tVPSLLD $28, Y0, Y2\n\tVPSLLD $24, Y0, Y3")
	f.p("\tVPERMPS Y8, Y0, Y4\n\tVPERMPS Y9, Y0, Y5\n\tVPERMPS Y8, Y1, Y6\n\tVPERMPS Y9, Y1, Y7")
	f.p("\tVBLENDVPS Y2, Y5, Y4, Y4\n\tVBLENDVPS Y3, Y7, Y6, Y6\n\tVUNPCKLPS Y4, Y6, Y0\n\tVUNPCKHPS Y4, Y6, Y1")
	f.p("\tVMOVUPS X0, (DI)\n\tVMOVUPS X1, 16(DI)\n\tVEXTRACTF128 $1, Y0, 32(DI)\n\tVEXTRACTF128 $1, Y1, 48(DI)")
	f.p("\tADDQ $8, SI\n\tADDQ $64, DI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.end()
}

// Weights in eight bits: the value of a code q is computed by one exact multiply-add. The bits of the
// code make the number 1 + (q + 128)·2⁻¹⁵; times 2¹⁵ times the scale, minus (2¹⁵ + 128) times the scale,
// that is q times the scale. Registers have 128 bits, the width of Zen 1's units: there the plain way
// (extend, convert, multiply) takes a sixth longer, also in wider registers.

// scalesInt8 computes both factors from sixteen halves, in registers from 4 and from 8 on, and clears
// X13. A shifted half may be subnormal; the product is exact nevertheless.
func (f *file) scalesInt8() {
	for i := range 4 {
		f.p("\tVPMOVZXWD %d(R8), X%d\n\tVPSLLD $13, X%d, X%d", 8*i, 4+i, 4+i, 4+i)
		f.p("\tVMULPS %s, X%d, X%d", constant("codeUp"), 4+i, 4+i)
		f.p("\tVMULPS %s, X%d, X%d", constant("codeBias"), 4+i, 8+i)
	}
	f.p("\tADDQ $32, R8\n\tVPXOR X13, X13, X13")
}

// codesInt8 converts sixteen codes to float32 and calls then for every four of them.
func (f *file) codesInt8(then func(register, four int)) {
	for i, half := range []string{"L", "H"} {
		f.p("\tVPUNPCK%sBW (DI), X13, X14", half)
		f.p("\tVPUNPCKLWD %s, X14, X15\n\tVFMADD213PS X%d, X%d, X15", constant("codeOne"), 8+2*i, 4+2*i)
		then(15, 2*i)
		f.p("\tVPUNPCKHWD %s, X14, X14\n\tVFMADD213PS X%d, X%d, X14", constant("codeOne"), 9+2*i, 5+2*i)
		then(14, 2*i+1)
	}
	f.p("\tADDQ $16, DI")
}

// blocks256 loops over the k in CX, one block of 32 at a time.
func (f *file) blocks256(scales, step func()) {
	block, loop, last, done := f.label("b"), f.label("b"), f.label("b"), f.label("b")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, block)
	scales()
	f.p("\tMOVQ $32, R10\n\tCMPQ CX, R10\n\tJGE %s\n\tMOVQ CX, R10", last)
	f.p("%s:\n\tSUBQ R10, CX\n\tPCALIGN $32\n%s:", last, loop)
	step()
	f.p("\tDECQ R10\n\tJNZ %s\n\tTESTQ CX, CX\n\tJNZ %s\n%s:", loop, block, done)
}

// widenInt8 converts sixteen columns of a panel.
func (f *file) widenInt8() {
	at := f.begin("widenInt8", "is described at type level.", "",
		args("dst *float32, dstStep int, codes *byte, scales *uint16, k int"))
	f.p("\tMOVQ %s, DX\n\tMOVQ %s, AX\n\tMOVQ %s, DI", at["dst"], at["dstStep"], at["codes"])
	f.p("\tMOVQ %s, R8\n\tMOVQ %s, CX\n\tSHLQ $2, AX", at["scales"], at["k"])
	f.blocks256(f.scalesInt8, func() {
		f.codesInt8(func(register, four int) { f.p("\tVMOVUPS X%d, %d(DX)", register, 16*four) })
		f.p("\tADDQ AX, DX")
	})
	f.end()
}

// rowInt8 is a product of one row with dequantization on the fly. Every sum has the order of tile with
// the converted weight.
func (f *file) rowInt8() {
	at := f.begin("rowInt8", "is described at type level.", "",
		args("k int, a *float32, codes *byte, scales *uint16, c *float32, add int"))
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, SI\n\tMOVQ %s, DI", at["k"], at["a"], at["codes"])
	f.p("\tMOVQ %s, R8\n\tMOVQ %s, DX", at["scales"], at["c"])
	for i := range 4 {
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	f.blocks256(func() {
		f.scalesInt8()
		for i := range 8 {
			f.p("\tPREFETCHT0 %d(DI)", 2048+64*i)
		}
	}, func() {
		f.p("\tVBROADCASTSS (SI), X12")
		f.codesInt8(func(register, four int) { f.p("\tVFMADD231PS X12, X%d, X%d", register, four) })
		f.p("\tADDQ $4, SI")
	})
	plain := f.label("store")
	f.p("\tMOVQ %s, AX\n\tTESTQ AX, AX\n\tJZ %s", at["add"], plain)
	for i := range 4 {
		f.p("\tVADDPS %d(DX), X%d, X%d", 16*i, i, i)
	}
	f.p("%s:", plain)
	for i := range 4 {
		f.p("\tVMOVUPS X%d, %d(DX)", i, 16*i)
	}
	f.end()
}

// peak emits a loop without memory access that measures the machine's peak rate for benchmarks.
func (f *file) peak() {
	at := f.begin("peak", "runs n rounds of 12 fused multiply-adds.", "", args("n int"))
	f.p("\tMOVQ %s, CX", at["n"])
	for i := range 14 {
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	loop := f.label("peak")
	f.p("%s:", loop)
	for i := range 12 {
		f.p("\tVFMADD231PS %s, %s, %s", f.r(12), f.r(13), f.r(i))
	}
	f.p("\tDECQ CX\n\tJNZ %s", loop)
	f.end()
}
