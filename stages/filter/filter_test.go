package filter_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/filter"
	"itool/stages/stagetest"
)

// node is a candidate in short: its parent, its words (one token each) and Q.
type node struct {
	parent int
	text   string
	q      float64
	end    string // "pass" | "fail" | "": not terminal
}

// tree makes the rows of a candidate batch. A token is the sum of a word's bytes
// with its length on top: different enough here.
func tree(nodes ...node) []schemas.Candidate {
	rows := []schemas.Candidate{{Parent: -1, Tokens: []int32{1, 2, 3}, ExampleID: "s-00001"}}
	for i, n := range nodes {
		rows = append(rows, schemas.Candidate{
			Node: int32(i + 1), Parent: int32(n.parent), Tokens: tokens(n.text), Text: n.text, Q: n.q, Visits: 1,
			Terminal: n.end != "", Pass: n.end == "pass", ExampleID: "s-00001",
		})
	}
	return rows
}

func tokens(text string) (ids []int32) {
	for _, word := range strings.SplitAfter(text, " ") {
		id := int32(len(word)) << 16
		for _, b := range []byte(word) {
			id = id*31 + int32(b)
		}
		if word != "" {
			ids = append(ids, id&0xFFFFFF)
		}
	}
	return ids
}

func run(t *testing.T, config any, rows []schemas.Candidate) []schemas.Pair {
	t.Helper()
	return stagetest.Rows[schemas.Pair](t, filter.New(), item(t, config, rows))
}

func item(t *testing.T, config any, rows []schemas.Candidate) stagetest.Item {
	return stagetest.Item{Config: config, Batches: []schemas.Batch{stagetest.Batch(t, "s-00001", rows...)}}
}

func TestContract(t *testing.T) {
	rows := tree(node{0, "[f( ", 0.5, ""}, node{0, "Sorry, no.", -1, "fail"}, node{1, "a=1)]", 1, "pass"}, node{1, "a=2)]", -1, "fail"})
	stagetest.Run(t, filter.New(), stagetest.Case{Item: item(t, nil, rows)})
}

// TestRules: each case is the two children of the root. Where the fragment is not
// terminal, one terminal stands below it.
func TestRules(t *testing.T) {
	long := strings.Repeat("word ", 40)
	cases := []struct {
		name             string
		a, b             node
		reason, otherwas string // in mode proven, and what mode paper says
	}{
		{"a good pair", node{0, "[f(a=1)]", 0.9, "pass"}, node{0, "[f(a=2)]", -1, "fail"}, "", ""},
		{"the better one stands second", node{0, "[f(a=2)]", -1, "fail"}, node{0, "[f(a=1)]", 0.9, "pass"}, "", ""},
		{"common prefix", node{0, "[f( a=1, ", 0.9, "pass"}, node{0, "[f( a=2)]", 0, "fail"}, "", ""},
		{"one is the other's beginning", node{0, "[f( ", 0.9, "pass"}, node{0, "[f( a=2)]", -1, "fail"}, "empty_side", "empty_side"},
		{"empty fragment", node{0, "", 0.9, "pass"}, node{0, "[f(a=2)]", -1, "fail"}, "empty_side", "empty_side"},
		{"40 of 41 tokens alike: 0.976", node{0, long + "x", 0.9, "pass"}, node{0, long + "y", -1, "fail"}, "similar", "similar"},
		{"19 of 20 tokens alike: exactly 0.95", node{0, strings.Repeat("word ", 19) + "x", 0.9, "pass"}, node{0, strings.Repeat("word ", 19) + "y", -1, "fail"}, "", ""},
		{"quotes differ", node{0, `[f(a='x')]`, 0.9, "pass"}, node{0, `[f(a="x")]`, -1, "fail"}, "equal_after_parsing", "equal_after_parsing"},
		{"order of arguments differs", node{0, `[f(a=1, b=2)]`, 0.9, "pass"}, node{0, `[f(b=2, a=1)]`, -1, "fail"}, "equal_after_parsing", "equal_after_parsing"},
		{"the same call of Hermes", node{0, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1,", 0.9, ""}, node{0, "<tool_call>\n{\"name\":  \"f\", \"arguments\": {\"a\": 1,", -1, ""}, "equal_after_parsing", "equal_after_parsing"},
		{"the same call of Llama", node{0, `{"name": "f", "parameters": {"a": 1}`, 0.9, ""}, node{0, `{"parameters": {"a": 1}, "name": "f"`, -1, ""}, "equal_after_parsing", "equal_after_parsing"},
		{"fragments differ in blanks", node{0, `[f(a=1,`, 0.9, ""}, node{0, `[f(a=1 , `, -1, ""}, "equal_after_parsing", "equal_after_parsing"},
		{"to end here or to go on is a choice", node{0, "[f(a=1)]", 0.9, "pass"}, node{0, "[f(a=1)] ", -1, ""}, "", ""},
		{"fragments of two arguments", node{0, `[f(a='x',`, 0.9, ""}, node{0, `[f(a='y',`, -1, ""}, "chosen_unproven", ""},
		{"to go on or to stop is a choice", node{0, `[f(a=1,`, 0.9, ""}, node{0, `[f(a=1)`, -1, ""}, "chosen_unproven", ""},
		{"kind of value differs", node{0, `[f(a=1)]`, 0.9, "pass"}, node{0, `[f(a=1.0)]`, -1, "fail"}, "", ""},
		{"too close in Q", node{0, "[f(a=1)]", 0.5, "pass"}, node{0, "[f(a=2)]", 0.45, "fail"}, "small_q_difference", "small_q_difference"},
		{"exactly the least difference", node{0, "[f(a=1)]", 0.5, "pass"}, node{0, "[f(a=2)]", 0.375, "fail"}, "", ""},
		{"low Q, yet proven", node{0, "[f(a=1)]", 0.2, "pass"}, node{0, "[f(a=2)]", -1, "fail"}, "", "chosen_low_q"},
		{"the worse one passes as well", node{0, "[f(a=1)]", 0.9, "pass"}, node{0, "[f(a=2)]", -1, "pass"}, "rejected_viable", ""},
		{"neither passes", node{0, "[f(a=1)]", 0.9, "fail"}, node{0, "[f(a=2)]", -1, "fail"}, "chosen_unproven", ""},
		{"neither passes and low Q", node{0, "[f(a=1)]", -0.5, "fail"}, node{0, "[f(a=2)]", -1, "fail"}, "chosen_unproven", "chosen_low_q"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			nodes := []node{c.a, c.b}
			for i, n := range nodes {
				if n.end == "" {
					nodes = append(nodes, node{i + 1, "…", 0, "fail"})
				}
			}
			for mode, want := range map[string][2]string{"proven": {c.reason, c.otherwas}, "paper": {c.otherwas, c.reason}} {
				pairs := run(t, map[string]any{"mode": mode, "min_q_difference": 0.125}, tree(nodes...))
				if len(pairs) != 1 {
					t.Fatalf("%s: %d rows, want 1: %+v", mode, len(pairs), pairs)
				}
				p := pairs[0]
				if got := [2]string{p.Reason, p.OtherMode}; got != want {
					t.Errorf("%s: reason and other mode's %q, want %q", mode, got, want)
				}
				if p.ChosenQ < p.RejectedQ {
					t.Errorf("%s: chosen Q %g is below rejected Q %g", mode, p.ChosenQ, p.RejectedQ)
				}
			}
		})
	}
}

// TestPair: prompt = prompt + path + what both fragments begin with; both sides
// are what is left. The fragments joined again are the nodes' own tokens.
func TestPair(t *testing.T) {
	rows := tree(
		node{0, "[f( ", 0.5, ""},
		node{1, "a=1, b='x')]", 1, "pass"},
		node{1, "a=1, b='y')]", -1, "fail"},
	)
	pairs := run(t, nil, rows)
	if len(pairs) != 1 {
		t.Fatalf("%d rows, want 1: only node 1 branches", len(pairs))
	}
	p := pairs[0]
	wantPrompt := slices.Concat([]int32{1, 2, 3}, tokens("[f( "), tokens("a=1, "))
	if !slices.Equal(p.PromptIDs, wantPrompt) {
		t.Errorf("prompt %v, want %v", p.PromptIDs, wantPrompt)
	}
	if !slices.Equal(p.ChosenIDs, tokens("b='x')]")) || !slices.Equal(p.RejectedIDs, tokens("b='y')]")) {
		t.Errorf("sides %v and %v", p.ChosenIDs, p.RejectedIDs)
	}
	if p.Node != 1 || p.ExampleID != "s-00001" || p.ChosenText != "a=1, b='x')]" || p.Similarity != 0.5 {
		t.Errorf("pair %+v", p)
	}
}

// TestPath: what stands before the fragments and what comes after them count. Below
// node 1 the same argument is written in two ways; the pair at the root is proven by
// a terminal two fragments further down.
func TestPath(t *testing.T) {
	rows := tree(
		node{0, "[f(", 0.5, ""}, node{0, "No.", -1, "fail"},
		node{1, "a='x',", 0.6, ""}, node{1, `a="x",`, 0.2, ""},
		node{3, "b=1)]", 1, "pass"}, node{4, "b=2)]", -1, "fail"},
	)
	var got []string
	for _, p := range run(t, nil, rows) {
		got = append(got, fmt.Sprintf("%d:%s", p.Node, p.Reason))
	}
	if want := []string{"0:", "1:equal_after_parsing"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestSameText: other tokens of the same prose are no choice.
func TestSameText(t *testing.T) {
	rows := tree(node{0, "No idea.", 1, "pass"}, node{0, "No idea.", -1, "fail"})
	rows[2].Tokens = []int32{7, 8, 9}
	if p := run(t, nil, rows)[0]; p.Reason != "equal_after_parsing" {
		t.Errorf("reason %q, want equal_after_parsing", p.Reason)
	}
}

// TestBranching: only children with a finished roll-out count; of more than two
// the best and the worst make the pair; the earlier of equals.
func TestBranching(t *testing.T) {
	rows := tree(
		node{0, "[f(a=0)]", 9, ""}, // best Q, but nothing below it ever ended
		node{0, "[f(a=1)]", 0.9, "pass"},
		node{0, "[f(a=2)]", 0, "fail"},
		node{0, "[f(a=3)]", -1, "fail"},
		node{0, "[g()]", -1, "fail"},
	)
	pairs := run(t, nil, rows)
	if len(pairs) != 1 || pairs[0].ChosenText != "[f(a=1)]" || pairs[0].RejectedText != "[f(a=3)]" {
		t.Errorf("pairs %+v, want a=1 over a=3", pairs)
	}
	if pairs := run(t, nil, tree()); len(pairs) != 0 {
		t.Errorf("a root alone gave %d rows", len(pairs))
	}
	if pairs := run(t, nil, tree(node{0, "[f()]", 1, "pass"})); len(pairs) != 0 {
		t.Errorf("a single child gave %d rows", len(pairs))
	}
}

// TestDuplicate: two paths of the same tokens give one pair; the dropped row
// carries no ids.
func TestDuplicate(t *testing.T) {
	under := func(parent int) []node {
		return []node{{parent, "x)]", 1, "pass"}, {parent, "y)]", -1, "fail"}}
	}
	rows := tree(slices.Concat([]node{{0, "[f( a= ", 0, ""}, {0, "[f( ", 0, ""}, {2, "a= ", 0, ""}}, under(1), under(3))...)
	var got []string
	for _, p := range run(t, nil, rows) {
		got = append(got, fmt.Sprintf("%d:%s:%s:%d", p.Node, p.Reason, p.OtherMode, len(p.PromptIDs)))
	}
	// At the root one side is the other's beginning.
	if want := []string{"0:empty_side:empty_side:0", "1:::5", "3:duplicate:duplicate:0"}; !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestForeignPolicy(t *testing.T) {
	it := item(t, nil, tree(node{0, "[f(a=1)]", 0.9, "pass"}, node{0, "[f(a=2)]", -1, "fail"}))
	it.Batches[0].Header.Policy = "other"
	it.Digest = "this"
	pairs := stagetest.Rows[schemas.Pair](t, filter.New(), it)
	if len(pairs) != 1 || pairs[0].Reason != "foreign_policy" {
		t.Errorf("pairs %+v, want one dropped as foreign_policy", pairs)
	}
}

func TestOverLength(t *testing.T) {
	rows := tree(node{0, "[f(a=1)]", 0.9, "pass"}, node{0, "[f( a= 2)]", -1, "fail"})
	for limit, want := range map[int]string{0: "", 6: "", 5: "over_length"} { // 3 of prompt, 3 of the longer side
		if p := run(t, map[string]any{"max_tokens": limit}, rows); p[0].Reason != want {
			t.Errorf("max_tokens %d: reason %q, want %q", limit, p[0].Reason, want)
		}
	}
	huge := strings.Repeat("a ", 5000)
	if p := run(t, nil, tree(node{0, huge + "x", 0.9, "pass"}, node{0, huge + "y", -1, "fail"})); p[0].Reason != "over_length" {
		t.Errorf("sides of 5,001 tokens: reason %q, want over_length", p[0].Reason)
	}
}

func TestBrokenTree(t *testing.T) {
	good := func() []schemas.Candidate { return tree(node{0, "a", 0, "fail"}, node{1, "b", 0, "fail"}) }
	for name, spoil := range map[string]func([]schemas.Candidate){
		"row 2: parent 2":  func(r []schemas.Candidate) { r[2].Parent = 2 },
		"row 2: parent -1": func(r []schemas.Candidate) { r[2].Parent = -1 },
		"row 0: parent 0":  func(r []schemas.Candidate) { r[0].Parent = 0 },
		"row 1: node 5":    func(r []schemas.Candidate) { r[1].Node = 5 },
		"row 1: q: NaN":    func(r []schemas.Candidate) { r[1].Q = math.NaN() },
		"row 2: example":   func(r []schemas.Candidate) { r[2].ExampleID = "s-00002" },
	} {
		t.Run(name, func(t *testing.T) {
			rows := good()
			spoil(rows)
			_, err := stagetest.Process(t.Context(), t, filter.New(), item(t, nil, rows))
			if !stages.IsReject(err) || !strings.Contains(err.Error(), name) {
				t.Errorf("err = %v, want a Reject that says %q", err, name)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for want, config := range map[string]filter.Config{
		"filter.similarity: 1.5":        {Similarity: 1.5, Mode: "paper"},
		"filter.min_q_difference: -0.1": {MinQDifference: -0.1, Mode: "paper"},
		"filter.min_q_difference: NaN":  {MinQDifference: math.NaN(), Mode: "paper"},
		"filter.max_tokens: -1":         {MaxTokens: -1, Mode: "paper"},
		`filter.mode: "best"`:           {Mode: "best"},
	} {
		if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: err = %v, want %s", config, err, want)
		}
	}
	if err := filter.Default().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
