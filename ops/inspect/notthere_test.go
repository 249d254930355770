package inspect_test

import (
	"errors"
	"strings"
	"testing"

	"itool/ops/inspect"
)

// TestNotThere: a word that nothing in the run has is answered with those that there are.
func TestNotThere(t *testing.T) {
	b := newFixture(t)
	fill(b)
	r := b.open()
	list := func(f inspect.TreeFilter) error { _, err := r.Trees(t.Context(), f); return err }
	seven := 7
	show := func(f inspect.Filter) error { _, err := r.Examples(t.Context(), f); return err }
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"type", show(inspect.Filter{ErrorType: "parametervalue"}), `type "parametervalue"; there are: `},
		{"the types", show(inspect.Filter{ErrorType: "?"}), "parameter value ("},
		{"category", show(inspect.Filter{Category: "simple"}), `no category "simple"`},
		{"tool", show(inspect.Filter{Tool: "bok"}), `fault at the tool "bok"; there are: book (`},
		{"tool, narrow", show(inspect.Filter{Tool: "bok", Effect: inspect.Won}), `tool "bok"; there are: book (`},
		{"parameter", show(inspect.Filter{Parameter: "town"}), `fault at the parameter "town"; there are: `},
		{"round", list(inspect.TreeFilter{Round: &seven}), `policy of the round "7"; there are: 0 (`},
		{"kind of pair", list(inspect.TreeFilter{Kind: "tool"}), `kind "tool"; there are: value (2)`},
		{"reason", list(inspect.TreeFilter{Reason: "small"}), `dropped for "small"; there are: rejected_viable (`},
		{"type in trees", list(inspect.TreeFilter{ErrorType: "none"}), `"none"; there are: `},
	} {
		var missing *inspect.NotThereError
		if !errors.As(c.err, &missing) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, c.err, c.want)
		}
	}
	for _, f := range []inspect.Filter{
		{ErrorType: "parameter value", Wrong: true}, {Tool: "book", Effect: inspect.StayedRight},
	} {
		if err := show(f); err != nil {
			t.Errorf("%+v: a word that is there: %v", f, err)
		}
	}
}
