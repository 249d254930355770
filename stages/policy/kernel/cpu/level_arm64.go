//go:build !purego

package cpu

import "unsafe"

// levels: every arm64 has NEON.
func levels() []*level { return []*level{neonLevel, goLevel} }

// 24 accumulators, four registers of b, four of a: all 32 registers. lanes is four
// registers, the columns of one step of pathMix.
var neonLevel = &level{
	name: "neon", tileRows: 6, tileCols: 16, lanes: 16,
	tiles:    []tileFunc{1: tile1xNEON, 2: tile2xNEON, 3: tile3xNEON, 4: tile4xNEON, 5: tile5xNEON, 6: tile6xNEON},
	packRows: packRowsNEON, packStep: 8, packColumns: packColumnsBy(4, transposeNEON),
	exp: expNEON, max: maxNEON, dot: dotNEON, dot3: dot3NEON, scale: scaleNEON, add: addNEON,
	norm: normNEON, normGrad: normGradNEON, mulAdd: mulAddNEON, softmaxGrad: softmaxGradNEON,
	silu: siluNEON, siluGrad: siluGradNEON, rope: ropeNEON, adamw: adamwNEON, sumSquares: sumSquaresNEON,
	pathScores: pathScoresNEON, pathMix: pathMixNEON,
	widen: widenNEON, lookup: lookupNEON, turnBF16: turnBF16NEON,
}

// packRowsNEON is plain Go: steps of a whole panel and of a whole tile are copies of a
// fixed size, which the compiler makes of the loads and stores that assembly would have.
func packRowsNEON(dst *float32, dstStep int, src *float32, srcStep, rows, width int) {
	if rows == 0 {
		return
	}
	to, from := unsafe.Slice(dst, rows*dstStep), unsafe.Slice(src, (rows-1)*srcStep+width)
	switch {
	case width == 16 && dstStep == 16:
		for r := range rows {
			*(*[16]float32)(to[r*16:]) = *(*[16]float32)(from[r*srcStep:])
		}
	case width == 6 && dstStep == 8:
		for r := range rows {
			row := (*[6]float32)(from[r*srcStep:])
			*(*[8]float32)(to[r*8:]) = [8]float32{row[0], row[1], row[2], row[3], row[4], row[5]}
		}
	default:
		goPackRows(dst, dstStep, src, srcStep, rows, width)
	}
}
