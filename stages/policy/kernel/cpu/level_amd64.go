//go:build !purego

package cpu

import "golang.org/x/sys/cpu"

// levels lists the levels of this machine, the best first; those that must be chosen by name are last.
func levels() []*level {
	var all []*level
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL && x.HasFMA {
		all = append(all, avx512Level)
	}
	if x.HasAVX2 && x.HasFMA {
		all = append(all, avx2Level)
	}
	all = append(all, goLevel)
	if all[0] == avx512Level && x.HasAVX512BF16 {
		all = append(all, avx512bf16Level)
		if x.HasAMXTile && x.HasAMXBF16 && tilesSupported() {
			all = append(all, amxLevel)
		}
	}
	return all
}

// 28 accumulators, two registers of b, two broadcasts: all 32 registers.
var avx512Level = &level{
	name: "avx512", tileRows: 14, tileCols: 32, lanes: 16,
	tiles: []tileFunc{1: tile1xAVX512, 2: tile2xAVX512, 3: tile3xAVX512, 4: tile4xAVX512, 5: tile5xAVX512,
		6: tile6xAVX512, 7: tile7xAVX512, 8: tile8xAVX512, 9: tile9xAVX512, 10: tile10xAVX512,
		11: tile11xAVX512, 12: tile12xAVX512, 13: tile13xAVX512, 14: tile14xAVX512},
	packRows: packRowsAVX512, packStep: 16, packColumns: packColumnsAVX512,
	exp: expAVX512, max: maxAVX512, dot: dotAVX512, dot3: dot3AVX512, scale: scaleAVX512, add: addAVX512,
	norm: normAVX512, normGrad: normGradAVX512, mulAdd: mulAddAVX512, softmaxGrad: softmaxGradAVX512,
	silu: siluAVX512, siluGrad: siluGradAVX512, rope: ropeAVX512, adamw: adamwAVX512, sumSquares: sumSquaresAVX512,
	pathScores: pathScoresAVX512, pathScores2: pathScores2AVX512, pathMix: pathMixAVX512,
	// Wider registers would not read memory faster.
	widen: widenAVX2, widenF16: widenF16AVX2, lookup: lookupAVX2, turnBF16: turnBF16AVX2, turnF16: turnF16AVX2,
	widenInt8: widenInt8AVX2, rowInt8: rowInt8AVX2,
}

// avx2Level also uses F16C: every processor with AVX2 has it.
var avx2Level = &level{
	name: "avx2", tileRows: 6, tileCols: 16, lanes: 8, pair: tilePairAVX2,
	tiles:    []tileFunc{1: tile1xAVX2, 2: tile2xAVX2, 3: tile3xAVX2, 4: tile4xAVX2, 5: tile5xAVX2, 6: tile6xAVX2},
	packRows: packRowsAVX2, packStep: 8, packColumns: packColumnsBy(8, transposeAVX2),
	exp: expAVX2, max: maxAVX2, dot: dotAVX2, dot3: dot3AVX2, scale: scaleAVX2, add: addAVX2,
	norm: normAVX2, normGrad: normGradAVX2, mulAdd: mulAddAVX2, softmaxGrad: softmaxGradAVX2,
	silu: siluAVX2, siluGrad: siluGradAVX2, rope: ropeAVX2, adamw: adamwAVX2, sumSquares: sumSquaresAVX2,
	pathScores: pathScoresAVX2, pathScores2: pathScores2AVX2, pathMix: pathMixAVX2,
	widen: widenAVX2, widenF16: widenF16AVX2, lookup: lookupAVX2, turnBF16: turnBF16AVX2, turnF16: turnF16AVX2,
	widenInt8: widenInt8AVX2, rowInt8: rowInt8AVX2,
}

// avx512bf16Level is AVX-512 with matrix products in bf16, two in one instruction. It changes the results of training,
// so it must be chosen by name.
var avx512bf16Level = func() *level {
	l := *avx512Level
	l.name, l.note = "avx512bf16", "opt-in: bf16 products"
	l.bf16 = &bf16Kernels{row: bf16RowAVX512BF16, pairs: bf16PairsAVX512BF16, turn: bf16TurnAVX512BF16,
		tiles: bf16TilesAVX512BF16, out: bf16OutAVX512BF16}
	return &l
}()

// amxLevel is avx512bf16Level with the products on the tile unit.
var amxLevel = func() *level {
	l, b := *avx512bf16Level, *avx512bf16Level.bf16
	b.tiles = bf16TilesAMX
	l.name, l.permit, l.bf16 = "amx", permitTiles, &b
	return &l
}()
