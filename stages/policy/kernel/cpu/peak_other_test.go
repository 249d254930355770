//go:build !amd64 || purego

package cpu

func measuredPeak() float64 { return 0 }
