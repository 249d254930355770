package main

// Attention along paths of cache slots, for arm64. A path has the byte offset of each slot's row; fours is the
// number of slots by four, d the size of a head, a multiple of 16.

// neonAddress puts the address of the row of the path's next slot (path at R3, rows
// from R2) into reg.
func (f *file) neonAddress(reg string) {
	f.p("\tMOVD.P 8(R3), %s\n\tADD R2, %s", reg, reg)
}

// neonPathScores writes scores[j] = q · (row of k at path[j]), four slots at a time, one per accumulator.
func (f *file) neonPathScores() {
	at := f.begin("pathScores", "is described at type level.", "",
		args("scores, q, k *float32, path *int64, fours, d int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R1\n\tMOVD %s, R2\n\tMOVD %s, R3", at["scores"], at["q"], at["k"], at["path"])
	f.p("\tMOVD %s, R4\n\tMOVD %s, R6\n\tLSR $2, R6", at["fours"], at["d"])
	slots, chunk, done := f.label("p"), f.label("p"), f.label("p")
	f.p("\tCBZ R4, %s\n%s:", done, slots)
	rows := []string{"R8", "R9", "R10", "R11"}
	for _, r := range rows {
		f.neonAddress(r)
	}
	f.neonZero(0, 4)
	f.p("\tMOVD R1, R12\n\tMOVD R6, R13\n%s:\n\tFMOVQ.P 16(R12), F4", chunk)
	for i, r := range rows {
		f.p("\tFMOVQ.P 16(%s), F5\n\tVFMLA V4.S4, V5.S4, V%d.S4", r, i)
	}
	f.p("\tSUB $1, R13\n\tCBNZ R13, %s", chunk)
	f.op("FADDP.4S", 0, 0, 1)
	f.op("FADDP.4S", 2, 2, 3)
	f.op("FADDP.4S", 0, 0, 2)
	f.p("\tFMOVQ.P F0, 16(R0)\n\tSUB $1, R4\n\tCBNZ R4, %s\n%s:\n\tRET", slots, done)
}

// neonPathMix writes out = Σ p[j] · (row of v at path[j]), 16 columns at a time. Slots take turns between two
// sets of accumulators.
func (f *file) neonPathMix() {
	at := f.begin("pathMix", "is described at type level.", "",
		args("out, p, v *float32, path *int64, fours, d int"))
	f.p("\tMOVD %s, R0\n\tMOVD %s, R2\n\tMOVD %s, R6\n\tLSR $4, R6", at["out"], at["v"], at["d"])
	columns, slots, done := f.label("m"), f.label("m"), f.label("m")
	f.p("%s:\n\tMOVD %s, R1\n\tMOVD %s, R3\n\tMOVD %s, R4", columns, at["p"], at["path"], at["fours"])
	f.neonZero(0, 8)
	f.p("\tCBZ R4, %s\n%s:", done, slots)
	for i := range 4 {
		f.neonAddress("R8")
		f.p("\tVLD1 (R8), %s\n\tFMOVS.P 4(R1), F20", these(16, 4, "S4"))
		for j := range 4 {
			f.op("FMLA.4S.S[0]", i%2*4+j, 16+j, 20)
		}
	}
	f.p("\tSUB $1, R4\n\tCBNZ R4, %s\n%s:", slots, done)
	for j := range 4 {
		f.op("FADD.4S", j, j, 4+j)
	}
	f.p("\tVST1.P %s, 64(R0)\n\tADD $64, R2\n\tSUB $1, R6\n\tCBNZ R6, %s\n\tRET", these(0, 4, "S4"), columns)
}
