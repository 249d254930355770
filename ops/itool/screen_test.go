package main

import (
	"bytes"
	"testing"

	"itool/schemas"
)

// TestScreen: logs go above the status lines, which are drawn again.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, true)
	s.show([]string{"one", "two"})
	if _, err := s.Write([]byte("log\n")); err != nil {
		t.Fatal(err)
	}
	s.show(nil)
	if want := "one\ntwo\n\x1b[2A\x1b[Jlog\none\ntwo\n\x1b[2A\x1b[J"; out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

// TestTree: every node stands below its parent; a broken tree is an error.
func TestTree(t *testing.T) {
	nodes := []schemas.Candidate{
		{Parent: -1, Visits: 4, V: 0.5, ExampleID: "e1", Tokens: []int32{1, 2}},
		{Parent: 0, Text: "[f(", Visits: 3, Q: 0.5, Prior: 0.75},
		{Parent: 1, Text: "a=1)]", Visits: 1, Q: 1, Prior: 1, Terminal: true, Pass: true},
		{Parent: 0, Text: "no\x1b", Visits: 1, Q: -1, Prior: 0.25, Terminal: true, ErrorType: "tool name"},
	}
	var out bytes.Buffer
	if err := drawTree(&out, nodes); err != nil {
		t.Fatal(err)
	}
	want := `example e1: 4 nodes, prompt of 2 tokens
N visits, Q value, P prior
root  N 4  V +0.50
├ "[f("  N 3  Q +0.50  P 0.75
│ └ "a=1)]"  N 1  Q +1.00  P 1.00  ✓ pass
└ "no\x1b"  N 1  Q -1.00  P 0.25  ✗ tool name
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	for _, broken := range [][]schemas.Candidate{
		nil, {{Parent: 0}}, {{Parent: -1}, {Parent: 1}}, {{Parent: -1}, {Parent: -7}},
	} {
		if err := drawTree(&out, broken); err == nil {
			t.Errorf("no error for %+v", broken)
		}
	}
}
