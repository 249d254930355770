package cuda_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folders have the sources that compile.py compiles.
var folders = []string{"kernels", "ptx/testdata"}

func glob(t *testing.T, pattern string) (paths []string) {
	t.Helper()
	for _, folder := range folders {
		found, err := filepath.Glob(folder + "/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	return paths
}

// TestPTXIsCurrent refuses PTX whose source or headers have changed since it was compiled, PTX without a
// source, and paths of the machine that compiled it.
func TestPTXIsCurrent(t *testing.T) {
	headers := glob(t, "*.cuh")
	sources := glob(t, "*.cu")
	if len(headers) == 0 || len(sources) == 0 {
		t.Fatal("no sources")
	}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.ToSlash(source), ".cu") + ".ptx"
		text, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%v: run task generate", err)
			continue
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if !strings.HasSuffix(first, "; source sha256 "+digest(t, source, headers)) ||
			!strings.HasPrefix(first, "// nvrtc 12.9 --gpu-architecture=compute_80 ") {
			t.Errorf("%s is stale: its first line is %q: run task generate", name, first)
		}
		if strings.Contains(string(text), "\"/") {
			t.Errorf("%s has a path of the machine that compiled it", name)
		}
	}
	for _, name := range glob(t, "*.ptx") {
		if !slices.Contains(sources, strings.TrimSuffix(name, "ptx")+"cu") {
			t.Errorf("%s has no source", name)
		}
	}
}

// digest is what compile.py writes: names, sizes and bytes of the source and all headers.
func digest(t *testing.T, source string, headers []string) string {
	t.Helper()
	h := sha256.New()
	for _, path := range append([]string{source}, headers...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(path), len(text), text)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestResourcesAreComplete: the table of ptxas has every kernel.
func TestResourcesAreComplete(t *testing.T) {
	table, err := os.ReadFile("RESOURCES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range glob(t, "*.ptx") {
		if !strings.HasPrefix(filepath.ToSlash(name), "kernels/") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range strings.Split(string(text), ".entry ")[1:] {
			kernel, _, _ := strings.Cut(entry, "(")
			if !strings.Contains(string(table), "| "+kernel+" |") {
				t.Errorf("%s is not in RESOURCES.md: run task gpu-resources", kernel)
			}
		}
	}
}
