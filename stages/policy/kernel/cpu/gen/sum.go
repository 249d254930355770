package main

const sumSquaresDoc = "adds x² over whole registers of x; the caller adds the rest."

// sumSquares writes a function that returns Σ x². It adds in float64: the low halves of the registers into one
// accumulator, the high halves into another.
func (f *file) sumSquares() {
	at := f.begin("sumSquares", sumSquaresDoc, "float64", args("x []float32"))
	f.p("\tMOVQ %s, SI\n\tMOVQ %s, CX\n\tSHRQ $%d, CX", at["x"], at["x.len"], map[int]int{16: 4, 8: 3}[f.lanes])
	f.p("\tVXORPS X0, X0, X0\n\tVXORPS X1, X1, X1\n\tTESTQ CX, CX")
	loop, done := f.label("q"), f.label("q")
	f.p("\tJZ %s\n%s:", done, loop)
	for half := range 2 {
		f.p("\tVCVTPS2PD %d(SI), %s", half*2*f.lanes, f.r(2+half))
		f.p("\tVFMADD231PD %s, %s, %s", f.r(2+half), f.r(2+half), f.r(half))
	}
	f.p("\tADDQ $%d, SI\n\tDECQ CX\n\tJNZ %s\n%s:", 4*f.lanes, loop, done)
	f.p("\tVADDPD %s, %s, %s", f.r(1), f.r(0), f.r(0))
	if f.wide() {
		f.p("\tVEXTRACTF64X4 $1, Z0, Y1\n\tVADDPD Y1, Y0, Y0")
	}
	f.p("\tVEXTRACTF128 $1, Y0, X1\n\tVADDPD X1, X0, X0\n\tVPERMILPD $1, X0, X1\n\tVADDPD X1, X0, X0")
	f.p("\tVMOVSD X0, %s", at["ret"])
	f.end()
}
