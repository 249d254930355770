package search_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"itool/stages/expand/search"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden trees in testdata")

// TestGolden compares whole trees with stored ones. TestEquations works one of them
// (fork) out by hand and TestTwin recomputes such trees; this test notices any change.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name  string
		world world
		edit  func(*search.Params)
	}{
		{"fork", fork(), func(p *search.Params) { p.Width, p.Gamma, p.Iterations = 2, 0.5, 3 }},
		{"paper", binary(4), func(p *search.Params) { *p = search.Paper() }},
		{"call", call(), func(p *search.Params) { p.Width, p.Iterations, p.Seed = 3, 4, 41 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := search.Default()
			c.edit(&p)
			got := mustSearch(t, c.world.oracle(), p)
			path := filepath.Join("testdata", c.name+".json")
			if *update {
				writeGolden(t, path, got)
			}
			want := readGolden(t, path)
			// exp and log can differ in the last bit between kinds of CPU.
			nearly := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(a)) })
			if diff := cmp.Diff(want, got, nearly); diff != "" {
				t.Errorf("-want +got (go test -run Golden -update rewrites %s):\n%s", path, diff)
			}
		})
	}
}

func writeGolden(t *testing.T, path string, tree *search.Tree) {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`{"parent"`), []byte("\n{\"parent\"")) // one node a line, for people
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T, path string) *search.Tree {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tree search.Tree
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &tree
}
