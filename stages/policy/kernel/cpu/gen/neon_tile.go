package main

import "fmt"

// neonTileRows fill 24 registers with sums; four are for b, four for a.
const neonTileRows = 6

// neonTile is tile with 16 columns. At every k it loads one value of each row of a, at any stride, into
// lane 0 of a register, and multiplies b by that lane. Loading the value into all lanes would cost one
// more vector operation on some cores.
func (f *file) neonTile(rows int) {
	f.frame = 64 * rows
	at := f.begin(fmt.Sprintf("tile%dx", rows), fmt.Sprintf("multiplies %d rows; strides in floats.", rows), "",
		args(tileArgs))
	f.frame = 0
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tMOVD %s, R7\n\tMOVD %s, R8", at["k"], at["a"], at["aRow"], at["aStep"])
	f.p("\tMOVD %s, R9\n\tMOVD %s, R10\n\tLSL $2, R7\n\tLSL $2, R8\n\tLSL $2, R10", at["b"], at["bStep"])
	for i := 1; i < rows; i++ {
		f.p("\tADD R7, R%d, R%d", i, i+1)
	}
	f.neonZero(0, 4*rows)
	loop, done := f.label("k"), f.label("k")
	f.p("\tMOVD ZR, R7\n\tCBZ R0, %s\n\tPCALIGN $32\n%s:\n\tVLD1.P (R9)(R10), %s", done, loop, these(24, 4, "S4"))
	for i := range rows {
		left := 28 + i%4
		f.p("\tFMOVS (R%d)(R7), F%d", 1+i, left)
		for j := range 4 {
			f.op("FMLA.4S.S[0]", 4*i+j, 24+j, left)
		}
	}
	f.p("\tADD R8, R7\n\tSUB $1, R0\n\tCBNZ R0, %s\n%s:", loop, done)
	f.neonStore(rows, at)
	f.p("\tRET")
}

// neonStore writes rows of 16 columns in whole registers. Rows with fewer columns go through the stack,
// value by value.
func (f *file) neonStore(rows int, at map[string]string) {
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tLSL $2, R1", at["c"], at["cRow"])
	f.p("\tMOVD %s, R2\n\tMOVD %s, R3\n\tFMOVS %s, F28", at["cols"], at["add"], at["alpha"])
	for r := range 4 * rows {
		f.op("FMUL.4S.S[0]", r, r, 28)
	}
	plain, edge := f.label("store"), f.label("store")
	f.p("\tCMP $16, R2\n\tBNE %s\n\tCBZ R3, %s\n\tMOVD R0, R4", edge, plain)
	for i := range rows {
		f.p("\tVLD1.P (R4)(R1), %s", these(24, 4, "S4"))
		for j := range 4 {
			f.op("FADD.4S", 4*i+j, 4*i+j, 24+j)
		}
	}
	f.p("%s:", plain)
	for i := range rows {
		f.p("\tVST1.P %s, (R0)(R1)", these(4*i, 4, "S4"))
	}
	f.p("\tRET\n%s:\n\tMOVD $sums-%d(SP), R4", edge, 64*rows)
	for i := range rows {
		f.p("\tVST1.P %s, 64(R4)", these(4*i, 4, "S4"))
	}
	row, column, over := f.label("store"), f.label("store"), f.label("store")
	f.p("\tMOVD $sums-%d(SP), R4\n\tMOVD $%d, R5", 64*rows, rows)
	f.p("%s:\n\tMOVD R0, R6\n\tMOVD R4, R7\n\tMOVD R2, R8", row)
	f.p("%s:\n\tFMOVS.P 4(R7), F0\n\tCBZ R3, %s\n\tFMOVS (R6), F1\n\tFADDS F1, F0", column, over)
	f.p("%s:\n\tFMOVS.P F0, 4(R6)\n\tSUB $1, R8\n\tCBNZ R8, %s", over, column)
	f.p("\tADD R1, R0\n\tADD $64, R4\n\tSUB $1, R5\n\tCBNZ R5, %s", row)
}
