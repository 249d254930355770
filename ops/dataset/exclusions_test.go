package dataset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/dataset"
)

// TestExclusions: a file of exclusions is read line by line; what cannot be meant is an error with its line.
func TestExclusions(t *testing.T) {
	for _, c := range []struct{ name, text, err string }{
		{"whole", `{"source":"a.jsonl","row":3,"turn":0,"question":"q","note":"n",` +
			`"reference":"[f()]","answer":"[g()]","confidence":0.9}` + "\n\n" + `{"source":"b.jsonl","row":0}`, ""},
		{"empty", "", ""},
		{"no source", `{"row":3}`, "line 1: source is missing"},
		{"an unknown key", "\n" + `{"source":"a","row":1,"why":"?"}`, `line 2: json: unknown field "why"`},
		{"two on a line", `{"source":"a","row":1} {"source":"a","row":2}`, "line 1: more than one object"},
		{"no JSON", "a.jsonl 3", "line 1: "},
		{"a row below 0", `{"source":"a","row":-1}`, "line 1: row -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.jsonl")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := dataset.Exclusions(file)
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s: got %v, want %q", c.text, err, c.err)
			case c.name == "whole" && (len(all) != 2 || *all[0].Turn != 0 || all[1].Turn != nil ||
				all[0].Question != "q"):
				t.Errorf("got %+v", all)
			}
		})
	}
	if _, err := dataset.Exclusions("nosuch"); err == nil {
		t.Error("no error without a file")
	}
}
