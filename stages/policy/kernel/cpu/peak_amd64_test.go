//go:build !purego

package cpu

import "time"

// measuredPeak is the fused multiply-add rate of one thread now, in GFLOP/s; 0 without
// AVX-512. It stands beside every benchmark because shared machines vary by the minute.
func measuredPeak() float64 {
	if levels()[0] != avx512Level {
		return 0
	}
	best := 0.0
	for range 20 {
		const rounds = 20_000
		start := time.Now()
		peakAVX512(rounds)
		best = max(best, 384*rounds/float64(time.Since(start).Nanoseconds()))
	}
	return best
}
