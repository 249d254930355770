package main

// paths emits decoding's attention over scattered cache slots. Both kernels take
// the path four slots at a time (the caller pads it) and rows of whole registers.
func (f *file) paths() {
	f.pathScores()
	f.pathMix()
}

// address puts the address of the row of slot i of the path (at R9) into reg.
func (f *file) address(i int, base, reg string) {
	f.p("\tMOVLQSX %d(R9), %s\n\tIMULQ R10, %s\n\tADDQ %s, %s", 4*i, reg, reg, base, reg)
}

// pathScores: scores[j] = q · k[path[j]].
func (f *file) pathScores() {
	at := f.begin("pathScores", "is described at type level.", "",
		param{"scores", "*float32"}, param{"q", "*float32"}, param{"k", "*float32"}, param{"path", "*int32"},
		param{"fours", "int"}, param{"slotStep", "int"}, param{"d", "int"})
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, DX\n\tMOVQ %s, R9", at["scores"], at["q"], at["k"], at["path"])
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, R10\n\tSHLQ $2, R10\n\tMOVQ %s, R8\n\tSHLQ $2, R8", at["fours"], at["slotStep"], at["d"])
	slots, chunk, done := f.label("p"), f.label("p"), f.label("p")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, slots)
	rows := []string{"R11", "R12", "R13", "R15"}
	for i, r := range rows {
		f.address(i, "DX", r)
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	f.p("\tXORQ AX, AX\n%s:\n\tVMOVUPS (SI)(AX*1), %s", chunk, f.r(4))
	for i, r := range rows {
		f.p("\tVFMADD231PS (%s)(AX*1), %s, %s", r, f.r(4), f.r(i))
	}
	f.p("\tADDQ $%d, AX\n\tCMPQ AX, R8\n\tJLT %s", 4*f.lanes, chunk)
	if f.wide() {
		for i := range rows {
			f.p("\tVEXTRACTF64X4 $1, Z%d, Y5\n\tVADDPS Y5, Y%d, Y%d", i, i, i)
		}
	}
	f.p("\tVHADDPS Y1, Y0, Y0\n\tVHADDPS Y3, Y2, Y2\n\tVHADDPS Y2, Y0, Y0\n\tVEXTRACTF128 $1, Y0, X1\n\tVADDPS X1, X0, X0")
	f.p("\tVMOVUPS X0, (DI)\n\tADDQ $16, DI\n\tADDQ $16, R9\n\tDECQ CX\n\tJNZ %s\n%s:", slots, done)
	f.end()
}

// pathMix: out = Σ p[j] · v[path[j]], one register of columns at a time, every
// fourth slot into the same accumulator.
func (f *file) pathMix() {
	at := f.begin("pathMix", "is described at type level.", "",
		param{"out", "*float32"}, param{"p", "*float32"}, param{"v", "*float32"}, param{"path", "*int32"},
		param{"fours", "int"}, param{"slotStep", "int"}, param{"d", "int"})
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, DX", at["out"], at["v"])
	f.p("\tMOVQ %s, R10\n\tSHLQ $2, R10\n\tMOVQ %s, R8\n\tSHLQ $2, R8\n\tADDQ DI, R8", at["slotStep"], at["d"])
	columns, slots, done := f.label("m"), f.label("m"), f.label("m")
	f.p("%s:\n\tMOVQ %s, SI\n\tMOVQ %s, R9\n\tMOVQ %s, CX", columns, at["p"], at["path"], at["fours"])
	for i := range 4 {
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, slots)
	for i := range 4 {
		f.address(i, "DX", "R11")
		f.p("\tVBROADCASTSS %d(SI), %s\n\tVFMADD231PS (R11), %s, %s", 4*i, f.r(4), f.r(4), f.r(i))
	}
	f.p("\tADDQ $16, SI\n\tADDQ $16, R9\n\tDECQ CX\n\tJNZ %s\n%s:", slots, done)
	f.p("\tVADDPS %s, %s, %s\n\tVADDPS %s, %s, %s\n\tVADDPS %s, %s, %s", f.r(1), f.r(0), f.r(0), f.r(3), f.r(2), f.r(2), f.r(2), f.r(0), f.r(0))
	f.p("\tVMOVUPS %s, (DI)\n\tADDQ $%d, DI\n\tADDQ $%d, DX\n\tCMPQ DI, R8\n\tJLT %s", f.r(0), 4*f.lanes, 4*f.lanes, columns)
	f.end()
}
