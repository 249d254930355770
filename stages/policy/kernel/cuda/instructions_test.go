package cuda_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel/cuda/ptx"
)

var update = flag.Bool("update", false, "write ptx/INSTRUCTIONS.md")

// TestInstructions: the list of instructions that the interpreter runs is complete: those of the kernels, and those
// that only its probes have.
func TestInstructions(t *testing.T) {
	files, err := filepath.Glob("kernels/*.ptx")
	if err != nil {
		t.Fatal(err)
	}
	kernels, probes := opcodes(t, files...), opcodes(t, "ptx/testdata/probe.ptx")
	maps.DeleteFunc(probes, func(op string, _ int) bool { return kernels[op] > 0 })
	var b strings.Builder
	fmt.Fprintf(&b, "# Instructions of PTX that were run\n\nWritten by `go test ./stages/policy/kernel/cuda -run "+
		"Instructions -update`. The kernels use %d spellings of instructions; the interpreter's\nprobes have %d more. "+
		"Other types and modifiers of the same instructions are known, too (the doc of package ptx); what is\n"+
		"not known is an error that names it.\n", len(kernels), len(probes))
	for _, part := range []struct {
		title string
		ops   map[string]int
	}{{"In the kernels", kernels}, {"In the probes only", probes}} {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		for _, op := range slices.Sorted(maps.Keys(part.ops)) {
			fmt.Fprintf(&b, "- `%s`\n", op)
		}
	}
	const file = "ptx/INSTRUCTIONS.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != b.String() {
		t.Errorf("%s is not current: run this test with -update (%v)", file, err)
	}
}

func opcodes(t *testing.T, files ...string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ptx.Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for op, n := range m.Opcodes() {
			all[op] += n
		}
	}
	return all
}
