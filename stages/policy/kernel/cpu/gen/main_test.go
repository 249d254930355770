package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCommittedFilesAreCurrent(t *testing.T) {
	for name, want := range generate() {
		got, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: run go generate in stages/policy/kernel/cpu", name)
		}
	}
}
