package main

import (
	"fmt"
	"strings"
)

// Products in bf16, in two ways: the tile unit (AMX) multiplies 16×32 by 32×16 values in one
// instruction, and VDPBF16PS of AVX512_BF16 multiplies 16 pairs and adds each to a sum. Go's
// assembler knows none of these instructions, nor the conversion to bf16, so they are emitted as
// bytes; the encodings are in Intel's manual, volume 2.
//
// Everything packed is in tiles of 1 KiB: 16 rows of 16 words, a word being two bf16
// values of neighbouring k. A step of k is 32 values of 32 rows (or columns): two
// tiles, the first 16 rows and the last.

var registers = map[string]byte{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13}

// bytes emits one instruction.
func (f *file) bytes(comment string, code ...byte) {
	var list []string
	for _, b := range code {
		list = append(list, fmt.Sprintf("BYTE $0x%02x", b))
	}
	f.p("\t%s // %s", strings.Join(list, "; "), comment)
}

// tileMemory is VEX.128.pp.0F38.W0 4B with a tile and offset(base)(stride·1).
func (f *file) tileMemory(name string, pp byte, tile int, base, stride string, offset int32) {
	b, x := registers[base], registers[stride]
	inverted := byte(1<<7) | (1-x>>3)<<6 | (1-b>>3)<<5
	f.bytes(fmt.Sprintf("%s TMM%d, %d(%s)(%s*1)", name, tile, offset, base, stride),
		0xc4, inverted|0x02, 0x78|pp, 0x4b, 0x84|byte(tile)<<3, (x&7)<<3|b&7,
		byte(offset), byte(offset>>8), byte(offset>>16), byte(offset>>24))
}

func (f *file) tileLoad(tile int, base, stride string, offset int32) {
	f.tileMemory("TILELOADD", 3, tile, base, stride, offset)
}

func (f *file) tileStore(tile int, base, stride string, offset int32) {
	f.tileMemory("TILESTORED", 2, tile, base, stride, offset)
}

func (f *file) tileZero(tile int) {
	f.bytes(fmt.Sprintf("TILEZERO TMM%d", tile), 0xc4, 0xe2, 0x7b, 0x49, 0xc0|byte(tile)<<3)
}

// tileMultiply: d += a·b.
func (f *file) tileMultiply(d, a, b int) {
	f.bytes(fmt.Sprintf("TDPBF16PS TMM%d += TMM%d · TMM%d", d, a, b),
		0xc4, 0xe2, (^byte(b)&15)<<3|2, 0x5c, 0xc0|byte(d)<<3|byte(a))
}

// toBF16 rounds low and high (16 values each) to the nearest even into d.
func (f *file) toBF16(low, high, d int) {
	f.bytes(fmt.Sprintf("VCVTNE2PS2BF16 Z%d, Z%d, Z%d", low, high, d),
		0x62, 0xf2, 0x07|(^byte(high)&15)<<3, 0x48, 0x72, 0xc0|byte(d)<<3|byte(low))
}

// toHalfBF16 rounds 16 values into the half register d.
func (f *file) toHalfBF16(x, d int) {
	f.bytes(fmt.Sprintf("VCVTNEPS2BF16 Z%d, Y%d", x, d), 0x62, 0xf2, 0x7e, 0x48, 0x72, 0xc0|byte(d)<<3|byte(x))
}

// dot: d, 16 sums in float32, += a·b, 16 pairs of bf16 values each.
func (f *file) dot(a, b, d int) {
	inverted := byte(1-d>>3&1)<<7 | byte(1-a>>4&1)<<6 | byte(1-a>>3&1)<<5 | byte(1-d>>4&1)<<4
	f.bytes(fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", a, b, d),
		0x62, inverted|0x02, 0x06|(^byte(b)&15)<<3, 0x40|byte(1-b>>4&1)<<3, 0x52, 0xc0|byte(d&7)<<3|byte(a&7))
}

// masks512 makes two lane masks from the number of lanes in CX: K1 for the first 16,
// K2 for those behind. Scratch: AX.
func (f *file) masks512() {
	f.p("\tMOVQ $1, AX\n\tSHLQ CX, AX\n\tDECQ AX\n\tKMOVW AX, K1\n\tSHRQ $16, AX\n\tKMOVW AX, K2")
}

func (f *file) bf16() {
	f.suffix = "AVX512BF16"
	f.bf16Row()
	f.bf16Pairs()
	f.bf16Turn()
	f.bf16Dots()
	f.bf16Out()
	f.suffix = "AMX"
	f.p("\n// Palette 1: eight tiles of 16 rows of 64 bytes.")
	for i, v := range []uint64{1, 0, 0x40004000400040, 0x40004000400040, 0, 0, 0x1010101010101010, 0} {
		f.p("DATA ·tileConfig<>+%d(SB)/8, $0x%016x", 8*i, v)
	}
	f.p("GLOBL ·tileConfig<>(SB), RODATA|NOPTR, $64")
	f.bf16Tiles()
}

func (f *file) bf16Row() {
	at := f.begin("bf16Row", "is described at type bf16Kernels.", "", args("dst, src *float32, k int"))
	loop, rest, done := f.label("row"), f.label("row"), f.label("row")
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI\n\tMOVQ %s, CX", at["dst"], at["src"], at["k"])
	f.p("\tMOVQ CX, BX\n\tSHRQ $5, BX\n\tJZ %s\n%s:", rest, loop)
	convert := func() {
		f.toBF16(0, 1, 2)
		f.p("\tVMOVUPS Z2, (DI)")
	}
	f.p("\tVMOVUPS (SI), Z0\n\tVMOVUPS 64(SI), Z1")
	convert()
	f.p("\tADDQ $128, SI\n\tADDQ $2048, DI\n\tDECQ BX\n\tJNZ %s\n%s:\n\tANDQ $31, CX\n\tJZ %s", loop, rest, done)
	f.masks512()
	f.p("\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS.Z 64(SI), K2, Z1")
	convert()
	f.p("%s:", done)
	f.end()
}

func (f *file) bf16Pairs() {
	at := f.begin("bf16Pairs", "is described at type bf16Kernels.", "", args("dst, src *float32, srcRow, k, width int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, SI", at["dst"], at["src"])
	f.p("\tMOVQ %s, R8\n\tSHLQ $2, R8\n\tMOVQ %s, CX", at["srcRow"], at["width"])
	f.masks512()
	f.p("\tMOVQ %s, CX\n\tMOVQ CX, DX\n\tSHRQ $1, DX\n\tMOVQ $16, BX", at["k"])
	loop, rest, same, done := f.label("pairs"), f.label("pairs"), f.label("pairs"), f.label("pairs")
	f.p("\tTESTQ DX, DX\n\tJZ %s\n%s:", rest, loop)
	first := func() {
		f.p("\tVMOVUPS.Z (SI), K1, Z0\n\tVMOVUPS.Z 64(SI), K2, Z1")
		f.toHalfBF16(0, 4)
		f.toHalfBF16(1, 5)
		f.p("\tVPMOVZXWD Y4, Z4\n\tVPMOVZXWD Y5, Z5")
	}
	first()
	f.p("\tVMOVUPS.Z (SI)(R8*1), K1, Z2\n\tVMOVUPS.Z 64(SI)(R8*1), K2, Z3")
	f.toHalfBF16(2, 6)
	f.toHalfBF16(3, 7)
	f.p("\tVPMOVZXWD Y6, Z6\n\tVPMOVZXWD Y7, Z7\n\tVPSLLD $16, Z6, Z6")
	f.p("\tVPSLLD $16, Z7, Z7\n\tVPORD Z6, Z4, Z4\n\tVPORD Z7, Z5, Z5")
	f.p("\tVMOVUPS Z4, (DI)\n\tVMOVUPS Z5, 1024(DI)\n\tADDQ $64, DI")
	f.p("\tDECQ BX\n\tJNZ %s\n\tADDQ $1024, DI\n\tMOVQ $16, BX", same)
	f.p("%s:\n\tLEAQ (SI)(R8*2), SI\n\tDECQ DX\n\tJNZ %s\n%s:\n\tTESTQ $1, CX\n\tJZ %s", same, loop, rest, done)
	first()
	f.p("\tVMOVUPS Z4, (DI)\n\tVMOVUPS Z5, 1024(DI)\n%s:", done)
	f.end()
}

// bf16Turn transposes a tile: it exchanges words, then pairs of words, then quarters of the registers.
func (f *file) bf16Turn() {
	at := f.begin("bf16Turn", "is described at type bf16Kernels.", "", args("tiles *float32, n int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, CX", at["tiles"], at["n"])
	loop, done := f.label("turn"), f.label("turn")
	f.p("\tTESTQ CX, CX\n\tJZ %s\n%s:", done, loop)
	for i := range 16 {
		f.p("\tVMOVUPS %d(DI), Z%d", 64*i, i)
	}
	for i := 0; i < 16; i += 2 {
		f.p("\tVPUNPCKLDQ Z%d, Z%d, Z%d\n\tVPUNPCKHDQ Z%d, Z%d, Z%d", i+1, i, 16+i, i+1, i, 17+i)
	}
	for i := 0; i < 16; i += 4 { // register i + j: column j of each quarter, of rows i to i + 3
		f.p("\tVPUNPCKLQDQ Z%d, Z%d, Z%d\n\tVPUNPCKHQDQ Z%d, Z%d, Z%d", 18+i, 16+i, i, 18+i, 16+i, i+1)
		f.p("\tVPUNPCKLQDQ Z%d, Z%d, Z%d\n\tVPUNPCKHQDQ Z%d, Z%d, Z%d", 19+i, 17+i, i+2, 19+i, 17+i, i+3)
	}
	const even, odd = 0x88, 0xdd
	for j := range 4 {
		f.p("\tVSHUFI32X4 $%d, Z%d, Z%d, Z16\n\tVSHUFI32X4 $%d, Z%d, Z%d, Z17", even, 4+j, j, odd, 4+j, j)
		f.p("\tVSHUFI32X4 $%d, Z%d, Z%d, Z18\n\tVSHUFI32X4 $%d, Z%d, Z%d, Z19", even, 12+j, 8+j, odd, 12+j, 8+j)
		for i, s := range [][3]int{{even, 18, 16}, {even, 19, 17}, {odd, 18, 16}, {odd, 19, 17}} {
			f.p("\tVSHUFI32X4 $%d, Z%d, Z%d, Z20\n\tVMOVUPS Z20, %d(DI)", s[0], s[1], s[2], 64*(4*i+j))
		}
	}
	f.p("\tADDQ $1024, DI\n\tDECQ CX\n\tJNZ %s\n%s:", loop, done)
	f.end()
}

// bf16Dots is bf16Tiles without the unit. It takes 8 rows of the left factor at a time, as long as rows are wanted:
// their 8 × 32 sums are in registers 0 to 15, a row's in two that follow each other.
func (f *file) bf16Dots() {
	const rows, words, left = 8, 16, 18
	at := f.begin("bf16Tiles", "is described at type bf16Kernels.", "",
		args("a, b, acc *float32, steps, panels, bPanel, add, rows int"))
	f.p("\tMOVQ %s, DI\n\tMOVQ %s, DX", at["b"], at["acc"])
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, R10", at["steps"], at["panels"])
	f.p("\tMOVQ %s, R12\n\tSHLQ $2, R12\n\tMOVQ %s, R8", at["bPanel"], at["add"])
	panel, group, zero, ready, loop := f.label("panel"), f.label("panel"), f.label("panel"), f.label("panel"),
		f.label("panel")
	f.p("\tMOVQ %s, R11\n%s:\n\tMOVQ %s, SI\n\tMOVQ R11, R9", at["rows"], panel, at["a"])
	f.p("%s:\n\tTESTQ R8, R8\n\tJZ %s", group, zero)
	for i := range 2 * rows {
		f.p("\tVMOVUPS %d(DX), Z%d", 64*i, i)
	}
	f.p("\tJMP %s\n%s:", ready, zero)
	for i := range 2 * rows {
		f.p("\tVPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	f.p("%s:\n\tMOVQ SI, BX\n\tMOVQ DI, R13\n\tMOVQ CX, AX\n\tPCALIGN $32\n%s:", ready, loop)
	for p := range words {
		f.p("\tVMOVUPS %d(R13), Z16\n\tVMOVUPS %d(R13), Z17", 64*p, 1024+64*p)
		for r := range rows {
			f.p("\tVPBROADCASTD %d(BX), Z%d", 64*r+4*p, left+r)
			f.dot(16, left+r, 2*r)
			f.dot(17, left+r, 2*r+1)
		}
	}
	f.p("\tADDQ $2048, BX\n\tADDQ $2048, R13\n\tDECQ AX\n\tJNZ %s", loop)
	for i := range 2 * rows {
		f.p("\tVMOVUPS Z%d, %d(DX)", i, 64*i)
	}
	// The next 8 rows: of the same tile, or of the next one.
	f.p("\tADDQ $1024, DX\n\tADDQ $512, SI\n\tSUBQ $%d, R9\n\tJG %s", rows, group)
	f.p("\tMOVQ SI, AX\n\tSUBQ %s, AX\n\tSHLQ $1, AX\n\tSUBQ AX, DX\n\tADDQ $4096, DX", at["a"])
	f.p("\tADDQ R12, DI\n\tDECQ R10\n\tJNZ %s", panel)
	f.end()
}

// bf16Tiles configures the tile unit and releases it again, so that it is never in use outside of this function.
func (f *file) bf16Tiles() {
	at := f.begin("bf16Tiles", "is described at type bf16Kernels.", "",
		args("a, b, acc *float32, steps, panels, bPanel, add, rows int"))
	f.p("\tMOVQ %s, SI\n\tMOVQ %s, DI\n\tMOVQ %s, DX", at["a"], at["b"], at["acc"])
	f.p("\tMOVQ %s, CX\n\tMOVQ %s, R10", at["steps"], at["panels"])
	f.p("\tMOVQ %s, R12\n\tSHLQ $2, R12\n\tMOVQ %s, R8", at["bPanel"], at["add"])
	f.p("\tMOVQ $64, R9\n\tMOVQ $128, R11\n\tLEAQ ·tileConfig<>(SB), AX")
	f.bytes("LDTILECFG (AX)", 0xc4, 0xe2, 0x78, 0x49, 0x00)
	panel, zero, ready, loop := f.label("panel"), f.label("panel"), f.label("panel"), f.label("panel")
	quarters := []int32{0, 64, 2048, 2112} // of a block of 32×32 sums
	f.p("%s:\n\tTESTQ R8, R8\n\tJZ %s", panel, zero)
	for i, at := range quarters {
		f.tileLoad(i, "DX", "R11", at)
	}
	f.p("\tJMP %s\n%s:", ready, zero)
	for i := range quarters {
		f.tileZero(i)
	}
	f.p("%s:\n\tMOVQ SI, BX\n\tMOVQ DI, R13\n\tMOVQ CX, AX\n\tPCALIGN $32\n%s:", ready, loop)
	f.tileLoad(4, "BX", "R9", 0)
	f.tileLoad(6, "R13", "R9", 0)
	f.tileLoad(7, "R13", "R9", 1024)
	f.tileMultiply(0, 4, 6)
	f.tileLoad(5, "BX", "R9", 1024)
	f.tileMultiply(1, 4, 7)
	f.tileMultiply(2, 5, 6)
	f.tileMultiply(3, 5, 7)
	f.p("\tADDQ $2048, BX\n\tADDQ $2048, R13\n\tDECQ AX\n\tJNZ %s", loop)
	for i, at := range quarters {
		f.tileStore(i, "DX", "R11", at)
	}
	f.p("\tADDQ R12, DI\n\tADDQ $4096, DX\n\tDECQ R10\n\tJNZ %s", panel)
	f.bytes("TILERELEASE", 0xc4, 0xe2, 0x78, 0x49, 0xc0)
	f.p("\tRET")
}

func (f *file) bf16Out() {
	at := f.begin("bf16Out", "is described at type bf16Kernels.", "",
		args("c *float32, cRow int, acc *float32, rows, cols int, alpha float32, add int"))
	f.p("\tMOVQ %s, DX\n\tMOVQ %s, R8\n\tSHLQ $2, R8", at["c"], at["cRow"])
	f.p("\tMOVQ %s, SI\n\tMOVQ %s, BX\n\tMOVQ %s, CX", at["acc"], at["rows"], at["cols"])
	f.masks512()
	f.p("\tVBROADCASTSS %s, Z4\n\tMOVQ %s, R9", at["alpha"], at["add"])
	loop, plain, next := f.label("out"), f.label("out"), f.label("out")
	f.p("%s:\n\tVMOVUPS (SI), Z0\n\tVMOVUPS 64(SI), Z1\n\tTESTQ R9, R9\n\tJZ %s", loop, plain)
	f.p("\tVMOVUPS.Z (DX), K1, Z2\n\tVMOVUPS.Z 64(DX), K2, Z3")
	f.p("\tVFMADD213PS Z2, Z4, Z0\n\tVFMADD213PS Z3, Z4, Z1\n\tJMP %s", next)
	f.p("%s:\n\tVMULPS Z4, Z0, Z0\n\tVMULPS Z4, Z1, Z1", plain)
	f.p("%s:\n\tVMOVUPS Z0, K1, (DX)\n\tVMOVUPS Z1, K2, 64(DX)", next)
	f.p("\tADDQ R8, DX\n\tADDQ $128, SI\n\tDECQ BX\n\tJNZ %s", loop)
	f.end()
}
