package gguf_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"itool/stages/policy/gguf"
	"itool/stages/policy/model/safetensors"
)

// FuzzRead: no file makes the reader panic, hang, or allocate much more than its size; and a model that it
// accepts can be written.
func FuzzRead(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join(data, "hostile", "*.gguf"))
	if err != nil || len(seeds) == 0 {
		f.Skipf("the test data is not here: %v", err)
	}
	for _, name := range append(seeds, filepath.Join(data, "tiny_q4_1.gguf"), filepath.Join(data, "tiny_q5_0.gguf")) {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(20*len(b)+1<<20) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(b))
		}
		if err != nil {
			return
		}
		_, _ = file.Tokenizer()
		_, _ = file.Generation()
		c, err := file.Checkpoint()
		if err != nil {
			return
		}
		for _, w := range c.Weights {
			_ = w.Stream(io.Discard, safetensors.BF16) // not finite: an error
		}
	})
}
