package main

// packing emits the two copies that bring a matrix into panels. AVX2 leaves them
// to Go: its gather gains nothing over scalar code.
func (f *file) packing() {
	at := f.begin("packRows", "is described at type level.", "",
		param{"dst", "*float32"}, param{"dstStep", "int"}, param{"src", "*float32"}, param{"srcStep", "int"}, param{"rows", "int"}, param{"width", "int"})
	masks := func() {
		f.p("\tMOVQ %s, CX\n\tMOVQ $1, AX\n\tSHLQ CX, AX\n\tDECQ AX\n\tKMOVW AX, K1\n\tSHRQ $16, AX\n\tKMOVW AX, K2", at["width"])
	}
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, R8\n\tMOVQ %s, SI\n\tMOVQ %s, R9\n\tMOVQ %s, DX", at["dst"], at["dstStep"], at["src"], at["srcStep"], at["rows"])
	masks()
	f.p("\tSHLQ $2, R8\n\tSHLQ $2, R9\n\tTESTQ DX, DX\n\tJZ packRowsDone\n\tCMPQ R8, $64\n\tJEQ packRowsNarrow")
	f.p("packRowsWide:\n\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS.Z 64(SI), K2, Z1\n\tVMOVUPS Z0, (DI)\n\tVMOVUPS Z1, 64(DI)")
	f.p("\tADDQ R9, SI\n\tADDQ R8, DI\n\tDECQ DX\n\tJNZ packRowsWide\n\tJMP packRowsDone")
	f.p("packRowsNarrow:\n\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS Z0, (DI)\n\tADDQ R9, SI\n\tADDQ R8, DI\n\tDECQ DX\n\tJNZ packRowsNarrow\npackRowsDone:")
	f.end()

	at = f.begin("packColumns", "is described at type level.", "",
		param{"dst", "*float32"}, param{"src", "*float32"}, param{"srcRow", "int"}, param{"k", "int"}, param{"width", "int"})
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

// peak emits the register-only loop benchmarks are measured against.
func (f *file) peak() {
	at := f.begin("peak", "runs n rounds of 12 fused multiply-adds: 384 n operations.", "", param{"n", "int"})
	f.p("\tMOVQ %s, CX", at["n"])
	for i := range 14 {
		f.p("\tVPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	f.p("peakLoop:")
	for i := range 12 {
		f.p("\tVFMADD231PS Z12, Z13, Z%d", i)
	}
	f.p("\tDECQ CX\n\tJNZ peakLoop")
	f.end()
}
