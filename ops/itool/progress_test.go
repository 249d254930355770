package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"itool/ops/line"
	"itool/schemas"
)

// TestBoard: rates and times to go come from what was seen, and nothing is printed
// twice or too often.
func TestBoard(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	b := newBoard("r1")
	round := line.RoundView{Round: 0, Record: "pair", Title: "search with", OfPolicy: true, Total: 100, Done: 10}
	b.see(line.View{Rounds: []line.RoundView{round}}, at(0))
	round.Done = 30
	b.see(line.View{Rounds: []line.RoundView{round}, Failed: 1}, at(10))
	b.hear(schemas.Progress{Stage: "warmup", Key: "policy", Done: 2, Total: 8, Unit: "steps", Detail: "loss\x1b[2J"}, at(10))
	b.hear(schemas.Progress{Stage: "expand", Key: "e1", Done: 1, Total: 8}, at(10))
	table := strings.Join(b.table(at(10)), "\n")
	for _, want := range []string{"search with warm-up", "30/100", "2/s ETA 35s", "1 failed (itool failed r1)", "warmup", "2/8"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	for _, bad := range []string{"\x1b", "expand"} { // one tree of many is no news
		if strings.Contains(table, bad) {
			t.Errorf("the table holds %q:\n%s", bad, table)
		}
	}
	var out bytes.Buffer
	b.lines(&out, at(20))
	if out.Len() > 0 {
		t.Errorf("a line after 20 s:\n%s", &out)
	}
	b.lines(&out, at(61))
	if want := "12:01:01 r1: search with warm-up 30/100 0.328/s ETA 3m34s  1 failed (itool failed r1)\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
	out.Reset()
	round.Done, round.Gathered = 100, true
	b.see(line.View{Rounds: []line.RoundView{round}}, at(62))
	b.lines(&out, at(62))
	b.lines(&out, at(63))
	if want := "12:01:02 r1: search with warm-up done (100)\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

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
	for _, broken := range [][]schemas.Candidate{nil, {{Parent: 0}}, {{Parent: -1}, {Parent: 1}}, {{Parent: -1}, {Parent: -7}}} {
		if err := drawTree(&out, broken); err == nil {
			t.Errorf("no error for %+v", broken)
		}
	}
}
