package main

import "slices"

// paths emits the kernels of paged attention over scattered cache slots. They take the path as byte
// offsets of the slots' rows, four slots at a time (the caller pads it), and rows of whole registers.
func (f *file) paths() {
	f.pathScores(1)
	f.pathScores(2)
	f.pathMix()
}

// pathScores: scores[j] = q · k[path[j]], of one head, or of two with the same keys.
func (f *file) pathScores(heads int) {
	name, params := "pathScores", args("scores, q, k *float32, path *int64, fours, d int")
	if heads == 2 {
		name, params = "pathScores2", slices.Insert(params, 1, args("step int")...)
	}
	at := f.begin(name, "is described at type level.", "", params)
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, DX\n\tMOVQ %s, R9", at["scores"], at["q"], at["k"], at["path"])
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, R8\n\tSHLQ $2, R8", at["fours"], at["d"])
	if heads == 2 {
		f.p("\tMOVQ %s, BX\n\tLEAQ (DI)(BX*4), BX\n\tLEAQ (SI)(R8*1), R10", at["step"]) // of the second
	}
	slots, chunk, done := f.label("p"), f.label("p"), f.label("p")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, slots)
	rows := []string{"R11", "R12", "R13", "R15"}
	for i, r := range rows {
		f.p("\tMOVQ %d(R9), %s\n\tADDQ DX, %s", 8*i, r, r)
	}
	for i := range 4 * heads {
		f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
	}
	f.p("\tXORQ AX, AX\n%s:\n\tVMOVUPS (SI)(AX*1), %s", chunk, f.r(8))
	if heads == 2 {
		f.p("\tVMOVUPS (R10)(AX*1), %s", f.r(9))
	}
	for i, r := range rows {
		if heads == 1 {
			f.p("\tVFMADD231PS (%s)(AX*1), %s, %s", r, f.r(8), f.r(i))
			continue
		}
		f.p("\tVMOVUPS (%s)(AX*1), %s\n\tVFMADD231PS %s, %s, %s", r, f.r(10), f.r(10), f.r(8), f.r(i))
		f.p("\tVFMADD231PS %s, %s, %s", f.r(10), f.r(9), f.r(4+i))
	}
	f.p("\tADDQ $%d, AX\n\tCMPQ AX, R8\n\tJLT %s", 4*f.lanes, chunk)
	for h, to := range []string{"DI", "BX"}[:heads] {
		f.sumLanes(4 * h)
		f.p("\tVMOVUPS X%d, (%s)\n\tADDQ $16, %s", 4*h, to, to)
	}
	f.p("\tADDQ $32, R9\n\tDECQ CX\n\tJNZ %s\n%s:", slots, done)
	f.end()
}

// sumLanes sums the lanes of registers a to a+3 into the four lanes of Xa. Two shuffles and a
// sum do the work of VHADDPS, and faster on the first Zen.
func (f *file) sumLanes(a int) {
	if f.wide() {
		for i := range 4 {
			f.p("\tVEXTRACTF64X4 $1, Z%d, Y11\n\tVADDPS Y11, Y%d, Y%d", a+i, a+i, a+i)
		}
	}
	pairs := func(x, y, to int) {
		f.p("\tVSHUFPS $0x88, Y%d, Y%d, Y11\n\tVSHUFPS $0xdd, Y%d, Y%d, Y12\n\tVADDPS Y12, Y11, Y%d", y, x, y, x, to)
	}
	pairs(a, a+1, a)
	pairs(a+2, a+3, a+2)
	pairs(a, a+2, a)
	f.p("\tVEXTRACTF128 $1, Y%d, X11\n\tVADDPS X11, X%d, X%d", a, a, a)
}

// pathMix: out = Σ p[j] · v[path[j]]. It takes two registers of columns at a time, and one at the end.
// Every fourth slot adds to the same accumulators.
func (f *file) pathMix() {
	at := f.begin("pathMix", "is described at type level.", "",
		args("out, p, v *float32, path *int64, fours, d int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, DX\n\tMOVQ %s, R8\n\tSHLQ $2, R8\n\tADDQ DI, R8", at["out"], at["v"], at["d"])
	last, done := f.label("m"), f.label("m")
	for _, registers := range []int{2, 1} {
		columns, slots, sum := f.label("m"), f.label("m"), f.label("m")
		width, next := 4*f.lanes*registers, last
		if registers == 1 {
			f.p("%s:", last)
			next = done
		}
		f.p("%s:\n\tLEAQ %d(DI), AX\n\tCMPQ AX, R8\n\tJGT %s", columns, width, next)
		f.p("\tMOVQ %s, SI\n\tMOVQ %s, R9\n\tMOVQ %s, CX", at["p"], at["path"], at["fours"])
		for i := range 4 * registers {
			f.p("\tVXORPS X%d, X%d, X%d", i, i, i)
		}
		f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", sum, slots)
		for i := range 4 {
			f.p("\tMOVQ %d(R9), R11\n\tVBROADCASTSS %d(SI), %s", 8*i, 4*i, f.r(8))
			for c := range registers {
				f.p("\tVFMADD231PS %d(DX)(R11*1), %s, %s", 4*f.lanes*c, f.r(8), f.r(4*c+i))
			}
		}
		f.p("\tADDQ $16, SI\n\tADDQ $32, R9\n\tDECQ CX\n\tJNZ %s\n%s:", slots, sum)
		for c := range registers {
			a := 4 * c
			f.p("\tVADDPS %s, %s, %s", f.r(a+1), f.r(a), f.r(a))
			f.p("\tVADDPS %s, %s, %s\n\tVADDPS %s, %s, %s", f.r(a+3), f.r(a+2), f.r(a+2), f.r(a+2), f.r(a), f.r(a))
			f.p("\tVMOVUPS %s, %d(DI)", f.r(a), 4*f.lanes*c)
		}
		f.p("\tADDQ $%d, DI\n\tADDQ $%d, DX\n\tJMP %s", width, width, columns)
	}
	f.p("%s:", done)
	f.end()
}
