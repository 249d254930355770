package report_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"itool/ops/config"
	"itool/schemas"
)

// searched writes a run with two trees, under settings that are given as flags.
func searched(b fixture, judgeCounts bool, sets ...string) {
	cfg, err := config.Load(config.Default(), "", sets)
	if err != nil {
		b.Fatal(err)
	}
	text, digest, err := cfg.Freeze()
	if err != nil {
		b.Fatal(err)
	}
	write(b, "run", 0, "run", schemas.Run{
		Name: run, Config: text, ConfigDigest: digest, Dataset: `[{"Key":"s0","Name":"a.jsonl","Rows":3}]`,
	})
	write(b, "example", 0, "s0", schemas.Example{ID: "e1", Part: "train", Replay: true})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "policy", 0, "policy", schemas.Policy{Checkpoint: "p-0", Status: "trained", Metrics: "{}", Curve: "[]"})
	write(b, "score", 0, "b0", schemas.Score{ExampleID: "e1", Perplexity: 4})
	weight := map[bool]float64{true: 1}[judgeCounts]
	write(b, "selection", 0, "selection", schemas.Selection{
		ExampleID: "e1", Selected: true, JudgeWeight: weight, JudgeAUC: 0.4, JudgeMass: 0.9,
	})
	write(b, "candidate", 0, "e1",
		schemas.Candidate{Parent: -1}, schemas.Candidate{Node: 1}, schemas.Candidate{Node: 2},
		schemas.Candidate{Node: 3, Parent: 1}, schemas.Candidate{Node: 4, Parent: 1, Terminal: true})
	write(b, "candidate", 0, "e2", schemas.Candidate{Parent: -1}, schemas.Candidate{Node: 1, Terminal: true})
	write(b, "pair", 0, "e1",
		schemas.Pair{ExampleID: "e1", Kind: "value", Proven: true}, schemas.Pair{ExampleID: "e1", Kind: "value"},
		schemas.Pair{ExampleID: "e1", Kind: "end"}, schemas.Pair{ExampleID: "e1", Proven: true},
		schemas.Pair{ExampleID: "e1", Kind: hostile}, schemas.Pair{ExampleID: "e1", Kind: "tool", Reason: "similar"})
	write(b, "pair", 0, "e2", schemas.Pair{ExampleID: "e2", Kind: "call", Reason: "undecided"})
}

// cells finds the row of a table by the beginning of its head.
func cells(t *testing.T, text, head string) []string {
	t.Helper()
	_, rest, found := strings.Cut(text, head)
	if !found {
		t.Fatalf("no table %q in\n%s", head, text)
	}
	return strings.Fields(strings.Split(rest, "\n")[1])
}

// TestPairsByKind: the funnel says how many pairs a tree gives, what they are about, and which of them an
// answer proves.
func TestPairsByKind(t *testing.T) {
	b := newFixture(t)
	searched(b, false, "filter.mode=fragment")
	r := gather(b)
	rd := r.Rounds[0]
	if rd.Pairs != 5 || rd.PairTrees != 1 || rd.PairsPerTree() != 2.5 || rd.Proven != 2 || rd.Mode != "fragment" {
		t.Errorf("round %+v", rd)
	}
	if got := fmt.Sprint(rd.Kinds, rd.KindsProven); got != "map[end:1 other:2 value:2] map[other:1 value:1]" {
		t.Errorf("kinds %s", got)
	}
	text, html := render(t, r)
	got := strings.Join(cells(t, text, "to make   pairs per tree"), " ")
	if want := "round 1 2.50 1 2 (1) – – 1 (0) – 2 (1) 2"; got != want {
		t.Errorf("row %q, want %q\n%s", got, want, text)
	}
	if !strings.Contains(html, "2 (1)") || strings.Contains(html, "<script>alert") {
		t.Error("the page lacks the pairs by kind, or holds text of a record as it is")
	}
	var back map[string]any
	if out, err := json.Marshal(rd); err != nil || json.Unmarshal(out, &back) != nil || back["pair_trees"] != 1.0 {
		t.Errorf("as JSON: %v, %v", back, err)
	}
}

// TestBranchingWithUnfinished: with filter.unfinished every node with two children gives a pair or a reason.
func TestBranchingWithUnfinished(t *testing.T) {
	for set, want := range map[string]int{"filter.unfinished=true": 2, "filter.unfinished=false": 0} {
		b := newFixture(t)
		searched(b, false, set)
		if got := gather(b).Rounds[0].Branching; got != want {
			t.Errorf("%s: %d branching nodes, want %d", set, got, want)
		}
	}
}

// TestNoSignal: where roll-outs end before their answers and C does not count, nothing rewards them. The
// report says so.
func TestNoSignal(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts bool
		sets   []string
		want   string
	}{
		{"the preset", false, []string{"preset=paper"}, "the preset paper has no signal at depth 3: 2 of 4 roll-outs"},
		{"that of the search", false, []string{"expand.preset=paper"}, "the preset paper has no signal at depth 3"},
		{"without a preset", false, []string{"expand.simulation=4"}, "the search has no signal there"},
		{"C counts", true, []string{"preset=paper"}, ""},
		{"roll-outs to the end", false, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t)
			searched(b, c.counts, c.sets...)
			text, html := render(t, gather(b))
			for _, page := range []string{text, html} {
				has := strings.Contains(page, "has no signal")
				if has != (c.want != "") || !strings.Contains(page, c.want) {
					t.Errorf("want %q in\n%s", c.want, page)
				}
			}
		})
	}
}

// TestDeparturesInTheReport: the report has the guide's table, of the run's own settings.
func TestDeparturesInTheReport(t *testing.T) {
	b := newFixture(t)
	searched(b, false, "preset=paper", "expand.width=8")
	r := gather(b)
	text, html := render(t, r)
	for _, d := range r.Departures() {
		if !strings.Contains(text, d.Why) || !strings.Contains(text, d.Setting) {
			t.Errorf("the text lacks %+v", d)
		}
	}
	row := strings.Join(cells(t, text, "C of Eq. 7"), " ")
	if !strings.HasPrefix(row, "expand.width 8 3 ") || strings.Contains(text, "expand.depth  ") {
		t.Errorf("row %q", row)
	}
	if !strings.Contains(html, "Where the run departs from the paper") {
		t.Error("the page lacks the table")
	}
}
