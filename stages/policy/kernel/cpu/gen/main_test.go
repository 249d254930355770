package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCommittedFilesAreCurrent(t *testing.T) {
	asm, decl := generate()
	for name, want := range map[string][]byte{"../kernels_amd64.s": asm, "../kernels_amd64.go": decl} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: run go generate in stages/policy/kernel/cpu", name)
		}
	}
}
