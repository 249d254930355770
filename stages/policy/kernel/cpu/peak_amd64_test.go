//go:build !purego

package cpu

import "time"

// measuredPeak is the fused multiply-add rate of one thread now, in GFLOP/s, at the
// machine's best level; 0 without one. It stands beside every benchmark because shared machines vary by the minute.
func measuredPeak() float64 {
	peak, operations := peakAVX2, 192
	switch levels()[0] {
	case avx512Level:
		peak, operations = peakAVX512, 384
	case goLevel:
		return 0
	}
	best := 0.0
	for range 20 {
		const rounds = 20_000
		start := time.Now()
		peak(rounds)
		best = max(best, float64(operations*rounds)/float64(time.Since(start).Nanoseconds()))
	}
	return best
}
