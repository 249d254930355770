package dataset_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/dataset"
	"itool/stages/split"
)

// TestInputs: weights and validation files go into the settings by name; what cannot be meant
// is refused.
func TestInputs(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a.jsonl", "b.jsonl", "v.jsonl", "odd:3", "sub/a.jsonl"} {
		write(t, path(name), "{}")
	}
	for _, c := range []struct {
		name             string
		args, validation []string
		want             string // files, weights, validation files, or a part of the error
	}{
		{"plain", []string{path("a.jsonl"), path("b.jsonl")}, nil, "[a.jsonl b.jsonl] map[] []"},
		{"weights", []string{path("a.jsonl:2.5"), path("b.jsonl:0.5")}, nil,
			"[a.jsonl b.jsonl] map[a.jsonl:2.5 b.jsonl:0.5] []"},
		{"a name that ends like a weight", []string{path("odd:3")}, nil, "[odd:3] map[] []"},
		{"and one with a weight", []string{path("odd:3:2")}, nil, "[odd:3] map[odd:3:2] []"},
		{"validation", []string{path("a.jsonl")}, []string{path("v.jsonl")}, "[a.jsonl v.jsonl] map[] [v.jsonl]"},
		{"two of one name", []string{path("a.jsonl"), path("sub/a.jsonl")}, nil, "[a.jsonl a.jsonl] map[] []"},
		{"two of one name, one weighed", []string{path("a.jsonl:2"), path("sub/a.jsonl")}, nil, "has the same name"},
		{"two of one name, one to validate", []string{path("a.jsonl")}, []string{path("sub/a.jsonl")},
			"has the same name"},
		{"missing", []string{path("none.jsonl:2")}, nil, "none.jsonl: no such file"},
		{"missing, without a weight", []string{path("none.jsonl")}, nil, "none.jsonl: no such file"},
		{"weight 0", []string{path("a.jsonl:0")}, nil, "a weight is above 0"},
		{"weight below 0", []string{path("a.jsonl:-1")}, nil, "a weight is above 0"},
		{"not a number", []string{path("a.jsonl:NaN")}, nil, "a weight is above 0"},
		{"a huge weight", []string{path("a.jsonl:1e9")}, nil, "split.weights"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := split.Default()
			files, err := dataset.Inputs(c.args, c.validation, &cfg)
			var names []string
			for _, f := range files {
				names = append(names, filepath.Base(f))
			}
			got := fmt.Sprint(names, cfg.Weights, cfg.ValidationFiles)
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
