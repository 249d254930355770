package main

// zip interleaves two registers lane by lane: the low halves into low, the high ones
// into high.
func (f *file) zip(arrangement string, a, b, low, high int) {
	for i, d := range []int{low, high} {
		f.p("\tVZIP%d V%d.%s, V%d.%s, V%d.%s", i+1, b, arrangement, a, arrangement, d, arrangement)
	}
}

// neonTranspose turns four columns of four rows at a time.
func (f *file) neonTranspose() {
	at := f.begin("transpose", transposeDoc("four"), "",
		args("dst, src *float32, srcRow, fours int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R2", at["dst"], at["src"])
	f.p("\tMOVD %s, R1\n\tLSL $2, R1\n\tMOVD %s, R6", at["srcRow"], at["fours"])
	f.p("\tADD R1, R2, R3\n\tADD R1, R3, R4\n\tADD R1, R4, R5\n\tMOVD $64, R7")
	loop, done := f.label("t"), f.label("t")
	f.p("\tCBZ R6, %s\n%s:", done, loop)
	for i := range 4 {
		f.p("\tFMOVQ.P 16(R%d), F%d", 2+i, i)
	}
	f.zip("S4", 0, 2, 4, 5)
	f.zip("S4", 1, 3, 6, 7)
	f.zip("S4", 4, 6, 0, 1)
	f.zip("S4", 5, 7, 2, 3)
	for i := range 4 {
		f.p("\tVST1.P [V%d.S4], (R0)(R7)", i)
	}
	f.p("\tSUB $1, R6\n\tCBNZ R6, %s\n%s:\n\tRET", loop, done)
}

// neonTurn is turnBF16: eight columns of eight rows at a time, in 16 bits, widened at
// the end by putting a zero below each.
func (f *file) neonTurn() {
	at := f.begin("turnBF16", turnDoc("bf16"), "",
		args("dst *float32, dstStep int, src *byte, srcRow, eights, ahead int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tLSL $2, R1", at["dst"], at["dstStep"])
	f.p("\tMOVD %s, R8\n\tMOVD %s, R2\n\tLSL $1, R2", at["src"], at["srcRow"])
	f.p("\tMOVD %s, R3\n\tMOVD %s, R4\n\tADD R8, R4", at["eights"], at["ahead"])
	for r := 9; r < 16; r++ {
		f.p("\tADD R2, R%d, R%d", r-1, r)
	}
	f.neonZero(26, 1)
	loop, done := f.label("t"), f.label("t")
	f.p("\tCBZ R3, %s\n%s:", done, loop)
	for i := range 8 {
		f.p("\tFMOVQ.P 16(R%d), F%d", 8+i, i)
	}
	// Pairs of rows, the first four values of k in 8 to 11, the others in 12 to 15.
	for i := range 4 {
		f.zip("H8", 2*i, 2*i+1, 8+i, 12+i)
	}
	for _, first := range []int{8, 12} {
		f.zip("S4", first, first+1, 16, 17)   // rows 0 to 3 of two k, and of the next two
		f.zip("S4", first+2, first+3, 18, 19) // rows 4 to 7
		f.zip("D2", 16, 18, 20, 21)
		f.zip("D2", 17, 19, 22, 23)
		for k := 20; k < 24; k++ {
			f.zip("H8", 26, k, 24, 25)
			f.p("\tVST1.P %s, (R0)(R1)", these(24, 2, "S4"))
		}
	}
	f.p("\tPRFM (R4), PLDL1KEEP\n\tPRFM 64(R4), PLDL1KEEP\n\tADD $128, R4")
	f.p("\tSUB $1, R3\n\tCBNZ R3, %s\n%s:\n\tRET", loop, done)
}

// neonWiden puts 16 bits into the high half of 32.
func (f *file) neonWiden() {
	at := f.begin("widen", "is described at type level.", "", args("dst *float32, src *byte, sixteens int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tMOVD %s, R2", at["dst"], at["src"], at["sixteens"])
	f.neonZero(6, 1)
	loop, done := f.label("w"), f.label("w")
	f.p("\tCBZ R2, %s\n%s:\n\tVLD1.P 32(R1), %s", done, loop, these(4, 2, "H8"))
	f.zip("H8", 6, 4, 0, 1)
	f.zip("H8", 6, 5, 2, 3)
	f.p("\tVST1.P %s, 64(R0)\n\tSUB $1, R2\n\tCBNZ R2, %s\n%s:\n\tRET", these(0, 4, "H8"), loop, done)
}

// neonLookup looks sixteen codes up at a time. The table lies in four registers, one
// for each byte of its values; storing four registers interleaved puts the bytes
// together again.
func (f *file) neonLookup() {
	at := f.begin("lookup", "is described at type level.", "",
		args("dst *float32, codes *byte, table *float32, eights int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tMOVD %s, R2\n\tMOVD %s, R3", at["dst"], at["codes"], at["table"], at["eights"])
	loop, done := f.label("l"), f.label("l")
	f.p("\tVLD4 (R2), %s\n\tVMOVI $15, V6.B16\n\tCBZ R3, %s\n%s:\n\tFMOVD.P 8(R1), F4", these(16, 4, "B16"), done, loop)
	f.p("\tVUSHR $4, V4.B16, V5.B16\n\tVAND V6.B16, V4.B16, V4.B16\n\tVZIP1 V4.B16, V5.B16, V4.B16")
	for i := range 4 {
		f.p("\tVTBL V4.B16, [V%d.B16], V%d.B16", 16+i, i)
	}
	f.p("\tVST4.P %s, 64(R0)\n\tSUB $1, R3\n\tCBNZ R3, %s\n%s:\n\tRET", these(0, 4, "B16"), loop, done)
}
