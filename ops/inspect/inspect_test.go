package inspect_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/broker"
	"itool/ops/dataset"
	"itool/ops/inspect"
	"itool/ops/whole"
	"itool/stages/judge"
)

func ids(e *inspect.Examples) (out []string) {
	for _, x := range e.Examples {
		out = append(out, x.ID)
	}
	return out
}

// TestExamples: every filter finds its examples.
func TestExamples(t *testing.T) {
	b := newFixture(t)
	fill(b)
	base := 0
	for _, c := range []struct {
		name string
		f    inspect.Filter
		want []string
	}{
		{"all", inspect.Filter{}, []string{"s1-00000", "s1-00001", "s1-00002", "s1-00003"}},
		{"won", inspect.Filter{Effect: inspect.Won}, []string{"s1-00000"}},
		{"lost", inspect.Filter{Effect: inspect.Lost}, []string{"s1-00001", "s1-00003"}},
		{"wrong", inspect.Filter{Wrong: true}, []string{"s1-00001", "s1-00002", "s1-00003"}},
		{"wrong before", inspect.Filter{Wrong: true, To: &base}, []string{"s1-00000", "s1-00002"}},
		{"type", inspect.Filter{ErrorType: "parameter value"}, []string{"s1-00002"}},
		{"tool", inspect.Filter{Tool: "book"}, []string{"s1-00003"}},
		{"parameter", inspect.Filter{Parameter: "city"}, []string{"s1-00002"}},
		{"part", inspect.Filter{Part: "validation"}, []string{"s1-00003"}},
		{"limit", inspect.Filter{Limit: 1}, []string{"s1-00000"}},
		{"searched", inspect.Filter{Part: "train"}, []string{"s0-00000", "s0-00001"}},
		{"by ID", inspect.Filter{IDs: []string{"s0-00001", "s1-00002"}}, []string{"s1-00002", "s0-00001"}},
		{"by ID, never asked", inspect.Filter{IDs: []string{"s0-00000"}, To: &base}, []string{"s0-00000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := b.open().Examples(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(ids(got), c.want) {
				t.Errorf("%+v: got %v, want %v", c.f, ids(got), c.want)
			}
		})
	}
}

// TestAnswers: an answer is laid beside the reference; one from a tree is the most probable one.
func TestAnswers(t *testing.T) {
	b := newFixture(t)
	fill(b)
	got, err := b.open().Examples(t.Context(), inspect.Filter{IDs: []string{"s0-00000", "s1-00000"}})
	if err != nil {
		t.Fatal(err)
	}
	held, searched := got.Examples[0], got.Examples[1]
	if len(held.Answers) != 3 || held.Question != "won" || held.Effect != inspect.Won ||
		held.Answers[0].Policy != "warm-up" {
		t.Fatalf("got %+v", held)
	}
	a := held.Answers[0]
	want := judge.Fault{Kind: judge.FaultValue, Tool: "weather", Param: "city", Want: "'Rome'", Got: "'Paris'"}
	if !slices.Equal(a.Faults, []judge.Fault{want}) || len(a.Parts) != 4 || a.Prob < 0.89 || a.Prob > 0.91 {
		t.Errorf("got %+v, want the fault %+v", a, want)
	}
	if s := searched.Answers[0]; s.From != inspect.FromSearch || s.Text != paris || s.Prob < 0.59 || s.Prob > 0.61 {
		t.Errorf("of the tree: got %+v, want %s with 0.8 · 0.75", s, paris)
	}
	if n := len(searched.Searches); n != 2 || searched.Searches[0].Pairs != 1 || searched.Searches[1].Filtered {
		t.Errorf("got %d searches: %+v", n, searched.Searches)
	}
}

// TestDeficiency: errors that are gone, that stayed and that are new, counted by hand.
func TestDeficiency(t *testing.T) {
	b := newFixture(t)
	fill(b)
	d, err := b.open().Deficiency(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.Rows != 4 || len(d.Changes) != 3 || len(d.Calling) != 3 {
		t.Fatalf("got %+v", d)
	}
	c := d.Changes[0]
	want := []inspect.TypeChange{
		{Type: "parameter value", Before: 2, After: 1, Change: -1, Stayed: 1, Gone: 1, Fixed: 1},
		{Type: "tools count", After: 2, Change: 2, New: 2, Broken: 2},
	}
	if c.Rows != 4 || c.Won != 1 || c.Lost != 2 || !slices.EqualFunc(want, byType(c.Types),
		func(a, b inspect.TypeChange) bool { return a == b }) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	for _, x := range c.Types {
		if x.After != x.Before-x.Gone+x.New || x.Before != x.Stayed+x.Gone || x.Change != x.After-x.Before {
			t.Errorf("%+v does not add up", x)
		}
	}
	if after := d.Calling[1]; after.WantNone != 1 || after.Called != 1 || after.WantCall != 3 || after.Silent != 1 {
		t.Errorf("calling: got %+v", after)
	}
	p := d.Places[0]
	if p.Tool != "weather" || p.Parameter != "city" || !slices.Equal(p.Counts, []int{2, 1, 1}) || p.Change != -1 {
		t.Errorf("places: got %+v", d.Places)
	}
}

func byType(all []inspect.TypeChange) []inspect.TypeChange {
	slices.SortFunc(all, func(a, b inspect.TypeChange) int { return strings.Compare(a.Type, b.Type) })
	return all
}

// TestTree: the pairs of a tree know their nodes, and why there is none.
func TestTree(t *testing.T) {
	b := newFixture(t)
	fill(b)
	r := b.open()
	got, err := r.Tree(t.Context(), "s0-00000", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Summary.Question != "rome?" || got.Nodes[3].ChosenIn != 1 || got.Nodes[4].RejectedIn != 1 ||
		got.Nodes[1].ChosenIn != -1 {
		t.Errorf("got %+v", got)
	}
	if len(got.Pairs) != 2 || got.Pairs[0].Why == "" || got.Pairs[1].Before != "[weather(city=" ||
		!got.Pairs[1].ChosenEnds {
		t.Errorf("pairs %+v", got.Pairs)
	}
	if got.Pairs[0].Trained || !got.Pairs[1].Trained {
		t.Errorf("which pairs were trained on: %+v", got.Pairs)
	}
	if len(got.Found) != 3 || got.Found[0].Text != paris || !got.Found[2].Pass && !got.Found[1].Pass {
		t.Errorf("found %+v", got.Found)
	}
	last, err := r.Tree(t.Context(), "s0-00000", inspect.LastRound)
	if err != nil || last.Summary.Round != 1 || last.Summary.Filtered {
		t.Errorf("the last tree: %+v, %v", last, err)
	}
	var missing *inspect.NotSearchedError
	if _, err := r.Tree(t.Context(), "s1-00000", inspect.LastRound); !errors.As(err, &missing) {
		t.Errorf("of a held-out example: %v", err)
	}
	for name, c := range map[string]struct {
		f    inspect.TreeFilter
		want int
	}{
		"all": {inspect.TreeFilter{}, 3}, "mixed": {inspect.TreeFilter{Mixed: true}, 3},
		"pairs": {inspect.TreeFilter{WithPairs: true}, 2}, "none": {inspect.TreeFilter{NoPairs: true}, 1},
		"reason": {inspect.TreeFilter{Reason: "rejected_viable"}, 2}, "kind": {inspect.TreeFilter{Kind: "value"}, 2},
	} {
		if all, err := r.Trees(t.Context(), c.f); err != nil || all.Total != c.want {
			t.Errorf("%s: %v, %v, want %d trees", name, all, err, c.want)
		}
	}
}

// TestTrace: from a policy to its pair, from the pair to its example, from the example to the policy.
func TestTrace(t *testing.T) {
	b := newFixture(t)
	fill(b)
	r := b.open()
	down, err := r.Trace(t.Context(), "round 1")
	if err != nil {
		t.Fatal(err)
	}
	if down.Kind != inspect.KindPolicy || len(down.Pairs) != 1 || down.Pairs[0].ID != "0/s0-00000/1" ||
		down.Pairs[0].Trained == false || len(down.Examples) != 1 || len(down.Policies) != 3 {
		t.Fatalf("got %+v", down)
	}
	if n := r.Policies[2].Rows; n != len(down.Pairs) {
		t.Errorf("%d pairs, the policy says %d", len(down.Pairs), n)
	}
	pair, err := r.Trace(t.Context(), down.Pairs[0].ID)
	if err != nil || pair.Kind != inspect.KindPair || pair.Examples[0].Source != "a.jsonl" ||
		len(pair.Policies) != 2 || pair.Policies[1].Digest != "p-1" || !pair.Examples[0].Selection[0].Selected {
		t.Errorf("got %+v, %v", pair, err)
	}
	up, err := r.Trace(t.Context(), pair.Examples[0].ID)
	if err != nil || up.Kind != inspect.KindExample || len(up.Trees) != 2 || len(up.Policies) != 3 {
		t.Errorf("got %+v, %v", up, err)
	}
	twin, err := r.Trace(t.Context(), "0/s0-00001")
	if err != nil || twin.Kind != inspect.KindTree || len(twin.Pairs) != 2 || twin.Pairs[1].Trained ||
		!strings.Contains(twin.Pairs[1].Untrained, "another tree") {
		t.Errorf("the same pair of another tree: got %+v, %v", twin, err)
	}
	for _, what := range []string{"nosuch", "7/s0-00000/1", "0/s0-00000/9", "x/y", "0/nosuch"} {
		if _, err := r.Trace(t.Context(), what); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestSuspects: policies that agree on another answer than the reference, and are sure of it.
func TestSuspects(t *testing.T) {
	b := newFixture(t)
	fill(b)
	got, err := b.open().Suspects(t.Context(), inspect.DefaultConfidence)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Suspects) != 2 || got.Suspects[0].ID != "s1-00002" || got.Suspects[1].ID != "s0-00000" {
		t.Fatalf("got %+v", got)
	}
	if s := got.Suspects[0]; s.Answer != paris || s.Confidence < 0.89 || s.Policies != 2 || len(s.Differences) != 1 {
		t.Errorf("got %+v", s)
	}
	if got, err = b.open().Suspects(t.Context(), 0.95); err != nil || len(got.Suspects) != 0 || got.Asked != 5 {
		t.Errorf("at 0.95: got %+v, %v", got, err)
	}
}

// TestNothingYet: a run that has not come so far says what to do.
func TestNothingYet(t *testing.T) {
	b := newFixture(t)
	r := b.open()
	for name, ask := range map[string]func() error{
		"examples":   func() error { _, err := r.Examples(t.Context(), inspect.Filter{}); return err },
		"trees":      func() error { _, err := r.Trees(t.Context(), inspect.TreeFilter{}); return err },
		"deficiency": func() error { _, err := r.Deficiency(t.Context()); return err },
		"suspects":   func() error { _, err := r.Suspects(t.Context(), 0.5); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "itool watch r1") {
			t.Errorf("%s: got %v, want what to do", name, err)
		}
	}
	if _, err := inspect.Open(t.Context(), b.c, "nosuch"); !errors.Is(err, broker.ErrNoRun) {
		t.Errorf("no such run: %v", err)
	}
}

// TestExclusions: what is written can be read again, and names the rows.
func TestExclusions(t *testing.T) {
	b := newFixture(t)
	fill(b)
	found, err := b.open().Suspects(t.Context(), 0.5)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.jsonl")
	if err := whole.File(file, found.Exclusions); err != nil {
		t.Fatal(err)
	}
	read, err := dataset.Exclusions(file)
	if err != nil || len(read) != len(found.Suspects) {
		t.Fatalf("got %+v, %v", read, err)
	}
	for i, x := range read {
		s := found.Suspects[i]
		if x.Source != s.Source || x.Row != s.Row || *x.Turn != s.Turn || x.Question != s.Question || x.Note == "" {
			t.Errorf("got %+v of %s", x, s.ID)
		}
	}
}

// TestWritePairs: a line is a pair with whole answers, their common beginning and the way back.
func TestWritePairs(t *testing.T) {
	b := newFixture(t)
	fill(b)
	var out bytes.Buffer
	n, err := b.open().WritePairs(t.Context(), &out, inspect.LastRound, true)
	if err != nil || n != (inspect.Written{Pairs: 2, Trained: 1, Rounds: 1}) {
		t.Fatalf("got %+v, %v", n, err)
	}
	first, _, _ := strings.Cut(out.String(), "\n")
	for _, want := range []string{
		`"prompt":[{"role":"system","content":"s"},{"role":"user","content":"rome?"}]`,
		`"chosen":[{"role":"assistant","content":"[weather(city='Rome')]"}]`,
		`"rejected":[{"role":"assistant","content":"[weather(city='Paris')]"}]`,
		`"shared":"[weather(city='"`, `"chosen_ends":true`, `"trained":true`, `"id":"0/s0-00000/1"`,
		`"prompt_ids":[1,2]`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no %s in\n%s", want, first)
		}
	}
	_, err = b.open().WritePairs(t.Context(), &out, 1, false)
	if err == nil || !strings.Contains(err.Error(), "no pairs") {
		t.Errorf("of a round without pairs: %v", err)
	}
}
