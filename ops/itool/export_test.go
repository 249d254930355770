package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
)

// writeBF16 writes the base of writeBase as most are published.
func writeBF16(t *testing.T, dir string) string {
	t.Helper()
	half := policytest.BF16(t, policytest.Tiny(1))
	return writeBase(t, dir, func(name string, _ []byte) []byte {
		data, err := fs.ReadFile(half, name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	})
}

// TestMergeChangesNothing: an adapter that is empty, and one that a merge in bf16 would
// round away, are not merged without a word. In float32 the second one counts.
func TestMergeChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in processes of its own")
	}
	dir, wide := t.TempDir(), t.TempDir()
	file, base, fp32 := writeRows(t, dir, 40), writeBF16(t, dir), writeBase(t, wide, nil)
	for name, c := range map[string]struct {
		rate  string // of the warm-up: the first is 0 in float32
		empty bool
	}{"empty": {"1e-60", true}, "small": {"1e-11", false}} {
		args := append([]string{"run", file, "--base", base, "--name", name, "--dir", name}, small...)
		args = append(args, "--set", "warmup.rate="+c.rate, "--set", "line.rounds=0")
		if code, out, errs := itool(t, dir, args...); code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		if code, out, errs := itool(t, dir, "export", name, "--dir", name, "--out", name+"-adapter"); code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		if got := emptyAdapter(t, filepath.Join(dir, name+"-adapter")); got != c.empty {
			t.Fatalf("%s: all B are zero: %v", name, got)
		}
		for _, args := range [][]string{{"--out", "m"}, {"--out", "m.gguf", "--gguf"}} {
			expect(t, dir, exitError, "merging changes no weight of the base: the adapter is empty, or below the "+
				"rounding of BF16: nothing was written; export the adapter instead",
				append([]string{"export", name, "--dir", name, "--merged"}, args...)...)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "[.m]*")); err != nil || len(left) > 0 {
			t.Errorf("%s: a refused export left something: %v", name, left)
		}
		want := map[bool]int{true: exitError, false: 0}[c.empty]
		expect(t, dir, want, "", "export", name, "--dir", name, "--merged", "--base", fp32, "--out", name+"-fp32")
		// The base's own weights in float32 can hold what was learnt, too; so can the base of another run.
		said := map[bool]string{true: "below the rounding of F32", false: "model in " + name + "-f32, F32, "}[c.empty]
		expect(t, dir, want, said, "export", name, "--dir", name, "--merged", "--dtype", "f32", "--out", name+"-f32")
		said = map[bool]string{true: "warm-up has learnt nothing", false: "the base is run small's warm-up"}[c.empty]
		expect(t, dir, want, said, "quantize", "--model", name, "--cache", "cache", "--out", name+"-four")
	}
}

// emptyAdapter tells whether every B of an exported adapter is zero.
func emptyAdapter(t *testing.T, dir string) bool {
	t.Helper()
	f, err := safetensors.Read(os.DirFS(dir), "adapter_model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	maps := 0
	for _, name := range f.Names() {
		if !strings.Contains(name, "lora_B") {
			continue
		}
		maps++
		shape, _ := f.Shape(name)
		b, err := f.Float32(name, shape...)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range b {
			if v != 0 {
				return false
			}
		}
	}
	if maps == 0 {
		t.Fatal("no adapter")
	}
	return true
}
