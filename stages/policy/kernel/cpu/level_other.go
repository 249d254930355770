//go:build !(amd64 || arm64) || purego

package cpu

// levels: without assembly there is one.
func levels() []*level { return []*level{goLevel} }
