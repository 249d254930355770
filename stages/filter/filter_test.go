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

// passes, fails and goesOn are children of the root: two terminals, and one that is none.
func passes(text string, q float64) node { return node{0, text, q, "pass"} }
func fails(text string, q float64) node  { return node{0, text, q, "fail"} }
func goesOn(text string, q float64) node { return node{0, text, q, ""} }

// tree makes the rows of a candidate batch. A token is a hash of a word.
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
	rows := tree(
		goesOn("[f( ", 0.5), fails("Sorry, no.", -1), node{1, "a=1)]", 1, "pass"}, node{1, "a=2)]", -1, "fail"},
	)
	stagetest.Run(t, filter.New(), stagetest.Case{Item: item(t, nil, rows)})
}

// TestRules: the sides of each case are the two children of the root. A child that is
// not terminal gets a failing terminal below it.
func TestRules(t *testing.T) {
	long, almost := strings.Repeat("word ", 40), strings.Repeat("word ", 19)
	const equal = "equal_after_parsing"
	const hermes = "<tool_call>\n" + `{"name": "f", "arguments": {"a": 1,`
	cases := []struct {
		name          string
		a, b          node
		proven, paper string // the reason in each mode
	}{
		{"a good pair", passes("[f(a=1)]", 0.9), fails("[f(a=2)]", -1), "", ""},
		{"the better one is second", fails("[f(a=2)]", -1), passes("[f(a=1)]", 0.9), "", ""},
		{"common prefix", passes("[f( a=1, ", 0.9), fails("[f( a=2)]", 0), "", ""},
		{"one is a prefix of the other", passes("[f( ", 0.9), fails("[f( a=2)]", -1), "empty_side", "empty_side"},
		{"empty fragment", passes("", 0.9), fails("[f(a=2)]", -1), "empty_side", "empty_side"},
		{"40 of 41 tokens equal: 0.976", passes(long+"x", 0.9), fails(long+"y", -1), "similar", "similar"},
		{"19 of 20 tokens equal: exactly 0.95", passes(almost+"x", 0.9), fails(almost+"y", -1), "", ""},
		{"quotes differ", passes(`[f(a='x')]`, 0.9), fails(`[f(a="x")]`, -1), equal, equal},
		{"order of arguments differs", passes(`[f(a=1, b=2)]`, 0.9), fails(`[f(b=2, a=1)]`, -1), equal, equal},
		{
			"the same call of Hermes", goesOn(hermes, 0.9),
			goesOn(strings.Replace(hermes, ": ", ":  ", 1), -1), equal, equal,
		},
		{
			"the same call of Llama", goesOn(`{"name": "f", "parameters": {"a": 1}`, 0.9),
			goesOn(`{"parameters": {"a": 1}, "name": "f"`, -1), equal, equal,
		},
		{"fragments differ in blanks", goesOn(`[f(a=1,`, 0.9), goesOn(`[f(a=1 , `, -1), equal, equal},
		{"one ends the answer", passes("[f(a=1)]", 0.9), goesOn("[f(a=1)] ", -1), "", ""},
		{"fragments of two arguments", goesOn(`[f(a='x',`, 0.9), goesOn(`[f(a='y',`, -1), "chosen_unproven", ""},
		{"one ends the arguments", goesOn(`[f(a=1,`, 0.9), goesOn(`[f(a=1)`, -1), "chosen_unproven", ""},
		{"kind of value differs", passes(`[f(a=1)]`, 0.9), fails(`[f(a=1.0)]`, -1), "", ""},
		{"close in Q", passes("[f(a=1)]", 0.5), fails("[f(a=2)]", 0.45), "small_q_difference", "small_q_difference"},
		{"exactly the least difference", passes("[f(a=1)]", 0.5), fails("[f(a=2)]", 0.375), "", ""},
		{"low Q but proven", passes("[f(a=1)]", 0.2), fails("[f(a=2)]", -1), "", "chosen_low_q"},
		{"the worse one passes as well", passes("[f(a=1)]", 0.9), passes("[f(a=2)]", -1), "rejected_viable", ""},
		{"neither passes", fails("[f(a=1)]", 0.9), fails("[f(a=2)]", -1), "chosen_unproven", ""},
		{"neither passes and low Q", fails("[f(a=1)]", -0.5), fails("[f(a=2)]", -1), "chosen_unproven", "chosen_low_q"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			nodes := []node{c.a, c.b}
			for i, n := range nodes {
				if n.end == "" {
					nodes = append(nodes, node{i + 1, "…", 0, "fail"})
				}
			}
			wants := map[string][2]string{"proven": {c.proven, c.paper}, "paper": {c.paper, c.proven}}
			for mode, want := range wants {
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

// TestPair: the pair's prompt is the prompt, the path and the common prefix of both
// fragments; the sides are the rest of the fragments.
func TestPair(t *testing.T) {
	rows := tree(
		goesOn("[f( ", 0.5),
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

// TestPath: what comes before and after the fragments counts. Below node 1 the same
// argument is written in two ways; the pair at the root is proven by a terminal two
// fragments further down.
func TestPath(t *testing.T) {
	rows := tree(
		goesOn("[f(", 0.5), fails("No.", -1),
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

// TestSameText: the same prose in other tokens is no difference to learn.
func TestSameText(t *testing.T) {
	rows := tree(passes("No idea.", 1), fails("No idea.", -1))
	rows[2].Tokens = []int32{7, 8, 9}
	if p := run(t, nil, rows)[0]; p.Reason != "equal_after_parsing" {
		t.Errorf("reason %q, want equal_after_parsing", p.Reason)
	}
}

// TestBranching: only children with a finished roll-out count. If there are more than two,
// the best and the worst make the pair; of equal children the earlier one is taken.
func TestBranching(t *testing.T) {
	rows := tree(
		goesOn("[f(a=0)]", 9), // best Q, but without a finished roll-out
		passes("[f(a=1)]", 0.9),
		fails("[f(a=2)]", 0),
		fails("[f(a=3)]", -1),
		fails("[g()]", -1),
	)
	pairs := run(t, nil, rows)
	if len(pairs) != 1 || pairs[0].ChosenText != "[f(a=1)]" || pairs[0].RejectedText != "[f(a=3)]" {
		t.Errorf("pairs %+v, want a=1 over a=3", pairs)
	}
	if pairs := run(t, nil, tree()); len(pairs) != 0 {
		t.Errorf("a root alone gave %d rows", len(pairs))
	}
	if pairs := run(t, nil, tree(passes("[f()]", 1))); len(pairs) != 0 {
		t.Errorf("a single child gave %d rows", len(pairs))
	}
}

// TestDuplicate: two paths of the same tokens give one pair; the dropped row has no
// token ids.
func TestDuplicate(t *testing.T) {
	under := func(parent int) []node {
		return []node{{parent, "x)]", 1, "pass"}, {parent, "y)]", -1, "fail"}}
	}
	paths := []node{goesOn("[f( a= ", 0), goesOn("[f( ", 0), {2, "a= ", 0, ""}}
	rows := tree(slices.Concat(paths, under(1), under(3))...)
	var got []string
	for _, p := range run(t, nil, rows) {
		got = append(got, fmt.Sprintf("%d:%s:%s:%d", p.Node, p.Reason, p.OtherMode, len(p.PromptIDs)))
	}
	// At the root one side is a prefix of the other.
	if want := []string{"0:empty_side:empty_side:0", "1:::5", "3:duplicate:duplicate:0"}; !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestForeignPolicy(t *testing.T) {
	it := item(t, nil, tree(passes("[f(a=1)]", 0.9), fails("[f(a=2)]", -1)))
	it.Batches[0].Header.Policy = "other"
	it.Digest = "this"
	pairs := stagetest.Rows[schemas.Pair](t, filter.New(), it)
	if len(pairs) != 1 || pairs[0].Reason != "foreign_policy" {
		t.Errorf("pairs %+v, want one dropped as foreign_policy", pairs)
	}
}

func TestOverLength(t *testing.T) {
	rows := tree(passes("[f(a=1)]", 0.9), fails("[f( a= 2)]", -1))
	for limit, want := range map[int]string{0: "", 6: "", 5: "over_length"} { // 3 of prompt, 3 of the longer side
		if p := run(t, map[string]any{"max_tokens": limit}, rows); p[0].Reason != want {
			t.Errorf("max_tokens %d: reason %q, want %q", limit, p[0].Reason, want)
		}
	}
	huge := strings.Repeat("a ", 5000)
	if p := run(t, nil, tree(passes(huge+"x", 0.9), fails(huge+"y", -1))); p[0].Reason != "over_length" {
		t.Errorf("sides of 5,001 tokens: reason %q, want over_length", p[0].Reason)
	}
}

func TestBrokenTree(t *testing.T) {
	good := func() []schemas.Candidate { return tree(fails("a", 0), node{1, "b", 0, "fail"}) }
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
