package kernel

import (
	"fmt"
	"strings"
)

// Limited is a device with memory of its own, which a job can exceed: a GPU. The memory of a CPU is the host's, and
// is not counted here.
type Limited interface {
	// Room returns the bytes that are free, and all. If fewer than need are free, it first frees what nothing refers
	// to any more.
	Room(need int64) (free, total int64, err error)
	// WeightBytes is what Wrap takes for a weight, or Pack for a Dense one. That of an embedding includes its rows,
	// for Embed.
	WeightBytes(w Weight, embedding bool) int64
}

// Need is the memory that a job takes on a device, by what it is for.
type Need []Part

// Part is memory for one purpose, such as the KV cache.
type Part struct {
	For   string
	Bytes int64
}

// Sum is in bytes.
func (n Need) Sum() (sum int64) {
	for _, p := range n {
		sum += p.Bytes
	}
	return sum
}

// String is the sum with its parts, such as "weights 1.2 GB + KV cache 0.3 GB = 1.5 GB".
func (n Need) String() string {
	var parts []string
	for _, p := range n {
		if p.Bytes > 0 {
			parts = append(parts, p.For+" "+gigabytes(p.Bytes))
		}
	}
	return strings.Join(parts, " + ") + " = " + gigabytes(n.Sum())
}

// Fits refuses what a device has no room for. The error is a *Failure: another device may have it. A device that is
// not Limited fits everything.
func (n Need) Fits(dev Device) error {
	limited, ok := dev.(Limited)
	if !ok {
		return nil
	}
	free, total, err := limited.Room(n.Sum())
	if err != nil {
		return &Failure{err}
	}
	if n.Sum() <= free {
		return nil
	}
	return &Failure{fmt.Errorf("%s: %s of memory are needed, and %s of %s are free: take a quantized model "+
		"(itool quantize), fewer tokens at a time, or a GPU with more memory", dev.Name(), n, gigabytes(free),
		gigabytes(total))}
}

// gigabytes prints bytes; small models take megabytes.
func gigabytes(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
