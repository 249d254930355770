package filter_test

import (
	"fmt"
	"slices"
	"testing"

	"itool/schemas"
	"itool/stages/filter"
	"itool/stages/stagetest"
)

// judged puts a reference with two calls at the root.
func judged(rows []schemas.Candidate) []schemas.Candidate {
	rows[0].Tools = `[{"name":"g","parameters":{"type":"dict","properties":{}}},{"name":"f","parameters":{"type":"dict",
		"properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}}]`
	rows[0].Reference, rows[0].Calls = "[f(a=1, b='x'), g()]", 2
	return rows
}

// decisions are the pairs in short: node, chosen > rejected, kind, proven, reason.
func decisions(pairs []schemas.Pair) (all []string) {
	for _, p := range pairs {
		s := fmt.Sprintf("%d: %s > %s", p.Node, p.ChosenText, p.RejectedText)
		for _, word := range []string{p.Kind, map[bool]string{true: "proven"}[p.Proven], p.Reason} {
			if word != "" {
				s += " " + word
			}
		}
		all = append(all, s)
	}
	return all
}

// TestFragment: in mode fragment the reference decides between two children of a node, however their answers
// go on. Each child of the root has an answer below it, which fails unless "pass" stands there.
func TestFragment(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []node
		want  []string
	}{
		{"where no answer passes, and no Q differs", []node{goesOn("[f(", -1), goesOn("[h(", -1)},
			[]string{"0: [f( > [h( tool"}},
		{"against Q", []node{goesOn("[f(", -1), goesOn("[h(", 0.5)}, []string{"0: [f( > [h( tool"}},
		{"the best and the worst of several", []node{
			goesOn("[f(", -0.5), goesOn("[g(", -0.2), goesOn("[h(", -0.9), goesOn("No. ", -0.95), goesOn("[i(", 0.9),
		}, []string{"0: [g( > No.  call"}},
		{"an answer that passes proves more", []node{goesOn("[f(", 0.5), {0, "No.", -1, "fail"}, {1, "…", 1, "pass"}},
			[]string{"0: [f( > No. call proven"}},
		{"but not against the reference", []node{goesOn("[f(", -1), goesOn("[h(", 0.5), {2, "…", 1, "pass"}},
			[]string{"0: [h( > [f( proven"}},
		{"an answer decides where the reference does not",
			[]node{goesOn("[f(", 0.9), goesOn("[g(", -1), {1, "…", 1, "pass"}}, []string{"0: [f( > [g( proven"}},
		{"neither does", []node{goesOn("[f(", 0.9), goesOn("[g(", -1)}, []string{"0: [f( > [g( undecided"}},
		{"both are wrong", []node{goesOn("[h(", 0.9), goesOn("[i(", -1)}, []string{"0: [h( > [i( undecided"}},
		{"Q does not differ either", []node{goesOn("[h(", 0), goesOn("[i(", 0)},
			[]string{"0: [h( > [i( small_q_difference"}},
		{"the rules of all modes", []node{
			goesOn("[f( ", 0.9), goesOn("[f( c=", -1), {2, "1)", -1, "fail"}, {2, "2)", -1, "fail"},
		},
			[]string{"0: [f(  > [f( c= empty_side", "2: 1) > 2) small_q_difference"}},
		{"further down", []node{
			goesOn("[f(", 0), {1, "a=1,", -1, ""}, {1, "a=2,", 0, ""},
			{2, " b='x')", -1, ""}, {2, " b='y')", -1, ""}, {3, " b='x')", -1, ""}, {3, ")", 1, ""},
		}, []string{"1: a=1, > a=2, value", "2:  b='x') >  b='y') value", "3:  b='x') > ) end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := slices.Clone(c.nodes)
			for i, n := range c.nodes {
				leaf := !slices.ContainsFunc(c.nodes, func(m node) bool { return m.parent == i+1 })
				if n.end == "" && leaf {
					nodes = append(nodes, node{i + 1, "…", 0, "fail"})
				}
			}
			got := decisions(run(t, map[string]any{"mode": "fragment"}, judged(tree(nodes...))))
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestEndsOfAnswers: an answer that is cut does not end.
func TestEndsOfAnswers(t *testing.T) {
	rows := judged(tree(
		goesOn("[f(a=1, b='x')", 0), node{1, ", g()]", -1, "fail"}, node{1, "]", -1, "fail"}, node{1, ", ", -1, "fail"},
	))
	config := map[string]any{"mode": "fragment"}
	if got := decisions(run(t, config, rows)); !slices.Equal(got, []string{"1: , g()] > ] end"}) {
		t.Errorf("got %q", got)
	}
	cut := judged(tree(goesOn("[f(", 0.5), fails("No.", -1), node{1, "…", -1, "fail"}))
	cut[2].Cut = true
	if got := decisions(run(t, config, cut)); !slices.Equal(got, []string{"0: [f( > No. undecided"}) {
		t.Errorf("got %q", got)
	}
}

// TestEveryModeNamesKinds: what the reference decides is known of a pair in every mode.
func TestEveryModeNamesKinds(t *testing.T) {
	rows := judged(tree(goesOn("[f(", 0.9), goesOn("[h(", -1), node{1, "…", 1, "pass"}, node{2, "…", -1, "fail"}))
	for _, mode := range []string{"proven", "paper"} {
		got := decisions(run(t, map[string]any{"mode": mode}, rows))
		if !slices.Equal(got, []string{"0: [f( > [h( tool proven"}) {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

// TestNoReference: a tree of an earlier worker has no reference. Then only answers prove pairs, and the
// others are counted under a reason of their own.
func TestNoReference(t *testing.T) {
	rows := tree(goesOn("[f(", 0.9), goesOn("[h(", -1), node{1, "…", 1, "fail"}, node{2, "…", -1, "fail"})
	broken := slices.Clone(rows)
	broken[0].Reference, broken[0].Calls = "[f(", 1
	for name, rows := range map[string][]schemas.Candidate{"none": rows, "broken": broken} {
		got := decisions(run(t, map[string]any{"mode": "fragment"}, rows))
		if !slices.Equal(got, []string{"0: [f( > [h( no_reference"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	rows[3].Pass = true
	got := decisions(run(t, map[string]any{"mode": "fragment"}, rows))
	if !slices.Equal(got, []string{"0: [f( > [h( proven"}) {
		t.Errorf("proven: %q", got)
	}
}

// TestUnfinished: sides without an answer below them count only if that is wanted.
func TestUnfinished(t *testing.T) {
	rows := judged(tree(goesOn("[f(", 0.5), goesOn("[h(", -0.5)))
	for mode, want := range map[string]string{
		"paper": "0: [f( > [h( tool", "fragment": "0: [f( > [h( tool", "proven": "0: [f( > [h( tool chosen_unproven",
	} {
		if pairs := run(t, map[string]any{"mode": mode}, rows); len(pairs) != 0 {
			t.Errorf("%s: %q", mode, decisions(pairs))
		}
		got := decisions(run(t, map[string]any{"mode": mode, "unfinished": true}, rows))
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
}

// TestEqualQ: of two sides with the same Q none is better, even if no difference is asked for.
func TestEqualQ(t *testing.T) {
	rows := tree(fails("[f(a=1)]", 0.25), fails("[f(a=2)]", 0.25))
	config := map[string]any{"mode": "paper", "min_q_difference": 0, "min_chosen_q": 0}
	if p := run(t, config, rows); len(p) != 1 || p[0].Reason != "small_q_difference" {
		t.Errorf("pairs %q", decisions(p))
	}
}

func TestContractOfFragments(t *testing.T) {
	rows := judged(tree(goesOn("[f(", -1), goesOn("[h(", -1), node{1, "a=1)]", -1, "fail"}, node{2, ")]", -1, "fail"}))
	stagetest.Run(t, filter.New(), stagetest.Case{Item: item(t, map[string]any{"mode": "fragment"}, rows)})
}
