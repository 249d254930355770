package main

import "fmt"

// tileArgs are the parameters of a tile, as level.tileFunc has them; steps count floats.
const tileArgs = "k int, a *float32, aRow, aStep int, b *float32, bStep int, " +
	"c *float32, cRow, cols int, alpha float32, add int"

// tile emits the micro-kernel of a register-blocked GEMM, which every matrix product uses:
//
//	c (rows, cols) = alpha · a (rows, k) · b (k, 2 registers) + (add ? c : 0)
//
// a is read element by element (broadcast) with any row and k stride, so that it
// needs no packing; b is read two registers wide at every step of k. All row counts
// sum over k in the same order, each product into its own accumulator.
func (f *file) tile(rows int) {
	at := f.begin(fmt.Sprintf("tile%dx", rows), fmt.Sprintf("multiplies %d rows; strides in floats.", rows), "",
		args(tileArgs))
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, SI\n\tMOVQ %s, R8\n\tMOVQ %s, AX", at["k"], at["a"], at["aRow"], at["aStep"])
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, BX\n\tMOVQ %s, DX", at["b"], at["bStep"], at["c"])
	f.p("\tSHLQ $2, R8\n\tSHLQ $2, AX\n\tSHLQ $2, BX")
	f.p("\tLEAQ (R8)(R8*2), R9\n\tLEAQ (R8)(R8*4), R10\n\tLEAQ (R9)(R8*4), R11")
	f.p("\tLEAQ (R8)(R8*8), R12\n\tLEAQ (R9)(R8*8), R13\n\tLEAQ (R10)(R8*8), R15")
	rowAt := []string{"(SI)", "(SI)(R8*1)", "(SI)(R8*2)", "(SI)(R9*1)", "(SI)(R8*4)", "(SI)(R10*1)", "(SI)(R9*2)",
		"(SI)(R11*1)", "(SI)(R8*8)", "(SI)(R12*1)", "(SI)(R10*2)", "(SI)(R13*1)", "(SI)(R9*4)", "(SI)(R15*1)"}
	left, right, spread := 2*f.tileRows, 2*f.tileRows+1, 2*f.tileRows+2
	for i := range 2 * rows {
		if i < 16 {
			f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
		} else {
			f.p("\tVPXORD Z%d, Z%d, Z%d", i, i, i)
		}
	}
	loop, done := f.label("k"), f.label("k")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n\tPCALIGN $64\n%s:", done, loop)
	f.p("\tVMOVUPS (DI), %s\n\tVMOVUPS %d(DI), %s", f.r(left), 4*f.lanes, f.r(right))
	f.p("\tADDQ BX, DI")
	for i := range rows {
		s := f.r(spread + i%2)
		f.p("\tVBROADCASTSS %s, %s", rowAt[i], s)
		f.p("\tVFMADD231PS %s, %s, %s\n\tVFMADD231PS %s, %s, %s", f.r(left), s, f.r(2*i), f.r(right), s, f.r(2*i+1))
	}
	f.p("\tADDQ AX, SI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.p("\tMOVQ %s, R8\n\tSHLQ $2, R8\n\tMOVQ %s, CX\n\tMOVQ %s, AX", at["cRow"], at["cols"], at["add"])
	f.p("\tVBROADCASTSS %s, %s", at["alpha"], f.r(spread))
	if f.wide() {
		f.store512(rows, left, right, spread)
	} else {
		f.store256(rows, left, right, spread)
	}
	f.end()
}

// pair256 is tile with one row and two whole panels: with four independent sums the latency of an
// addition matters less than with two. Every sum has the order of tile.
func (f *file) pair256() {
	at := f.begin("tilePair", "multiplies one row with two whole panels; c is 32 columns.", "",
		args("k int, a *float32, aStep int, b, b2, c *float32, alpha float32, add int"))
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, SI\n\tMOVQ %s, AX", at["k"], at["a"], at["aStep"])
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, BX\n\tMOVQ %s, DX\n\tSHLQ $2, AX", at["b"], at["b2"], at["c"])
	for i := range 4 {
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	loop, done, plain := f.label("k"), f.label("k"), f.label("store")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n\tPCALIGN $32\n%s:", done, loop)
	f.p("\tVBROADCASTSS (SI), Y4\n\tVFMADD231PS (DI), Y4, Y0\n\tVFMADD231PS 32(DI), Y4, Y1")
	f.p("\tVFMADD231PS (BX), Y4, Y2\n\tVFMADD231PS 32(BX), Y4, Y3")
	f.p("\tADDQ $64, DI\n\tADDQ $64, BX\n\tADDQ AX, SI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.p("\tVBROADCASTSS %s, Y4\n\tMOVQ %s, AX", at["alpha"], at["add"])
	for i := range 4 {
		f.p("\tVMULPS Y4, Y%d, Y%d", i, i)
	}
	f.p("\tTESTQ AX, AX\n\tJZ %s", plain)
	for i := range 4 {
		f.p("\tVADDPS %d(DX), Y%d, Y%d", 32*i, i, i)
	}
	f.p("%s:", plain)
	for i := range 4 {
		f.p("\tVMOVUPS Y%d, %d(DX)", i, 32*i)
	}
	f.end()
}

// store512 writes with two lane masks.
func (f *file) store512(rows, left, right, alpha int) {
	plain, done := f.label("store"), f.label("store")
	f.p("\tMOVQ $1, R9\n\tSHLQ CX, R9\n\tDECQ R9\n\tKMOVW R9, K1\n\tSHRQ $16, R9\n\tKMOVW R9, K2")
	f.p("\tTESTQ AX, AX\n\tJZ %s", plain)
	for i := range rows {
		f.p("\tVMOVUPS.Z (DX), K1, Z%d\n\tVMOVUPS.Z 64(DX), K2, Z%d", left, right)
		f.p("\tVFMADD231PS Z%d, Z%d, Z%d\n\tVFMADD231PS Z%d, Z%d, Z%d", alpha, 2*i, left, alpha, 2*i+1, right)
		f.p("\tVMOVUPS Z%d, K1, (DX)\n\tVMOVUPS Z%d, K2, 64(DX)\n\tADDQ R8, DX", left, right)
	}
	f.p("\tJMP %s\n%s:", done, plain)
	for i := range rows {
		f.p("\tVMULPS Z%d, Z%d, Z%d\n\tVMULPS Z%d, Z%d, Z%d", alpha, 2*i, 2*i, alpha, 2*i+1, 2*i+1)
		f.p("\tVMOVUPS Z%d, K1, (DX)\n\tVMOVUPS Z%d, K2, 64(DX)\n\tADDQ R8, DX", 2*i, 2*i+1)
	}
	f.p("%s:", done)
}

// store256 has a fast path for whole tiles: masked stores are slow on some machines.
func (f *file) store256(rows, left, right, alpha int) {
	for i := range 2 * rows {
		f.p("\tVMULPS Y%d, Y%d, Y%d", alpha, i, i)
	}
	tail, plain, done := f.label("store"), f.label("store"), f.label("store")
	f.p("\tCMPQ CX, $16\n\tJNE %s\n\tTESTQ AX, AX\n\tJZ %s\n\tMOVQ DX, R9", tail, plain)
	for i := range rows {
		f.p("\tVADDPS (R9), Y%d, Y%d\n\tVADDPS 32(R9), Y%d, Y%d\n\tADDQ R8, R9", 2*i, 2*i, 2*i+1, 2*i+1)
	}
	f.p("%s:", plain)
	for i := range rows {
		f.p("\tVMOVUPS Y%d, (DX)\n\tVMOVUPS Y%d, 32(DX)\n\tADDQ R8, DX", 2*i, 2*i+1)
	}
	f.p("\tJMP %s\n%s:", done, tail)
	f.masks256()
	skip := f.label("store")
	f.p("\tTESTQ AX, AX\n\tJZ %s\n\tMOVQ DX, R9", skip)
	for i := range rows {
		f.p("\tVMASKMOVPS (R9), Y14, Y%d\n\tVADDPS Y%d, Y%d, Y%d", left, left, 2*i, 2*i)
		f.p("\tVMASKMOVPS 32(R9), Y15, Y%d\n\tVADDPS Y%d, Y%d, Y%d\n\tADDQ R8, R9", right, right, 2*i+1, 2*i+1)
	}
	f.p("%s:", skip)
	for i := range rows {
		f.p("\tVMASKMOVPS Y%d, Y14, (DX)\n\tVMASKMOVPS Y%d, Y15, 32(DX)\n\tADDQ R8, DX", 2*i, 2*i+1)
	}
	f.p("%s:", done)
}

// masks256 makes two lane masks from the columns in CX: Y14 for min(cols, 8), Y15 for
// max(cols − 8, 0). Scratch: R10 to R13, AX left alone.
func (f *file) masks256() {
	f.p("\tMOVQ $8, R10\n\tMOVQ CX, R11\n\tCMPQ R11, R10\n\tCMOVQGT R10, R11\n\tMOVQ CX, R12\n\tSUBQ R11, R12")
	f.p("\tMOVQ R10, R13\n\tSUBQ R11, R13\n\tSUBQ R12, R10\n\tLEAQ ·lanes<>(SB), R11")
	f.p("\tVMOVUPS (R11)(R13*4), Y14\n\tVMOVUPS (R11)(R10*4), Y15")
}
