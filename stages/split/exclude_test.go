package split_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/stages/split"
	"itool/stages/split/format"
)

// TestExclude: a turn that is named is dropped with its reason, the others of the row stay, and a row that asks
// something else than the exclusion says stays, too, and is counted.
func TestExclude(t *testing.T) {
	row := format.Row{Number: 3, Messages: []format.Message{
		{Role: "user", Content: "first?"}, {Role: "assistant", Content: "one"},
		{Role: "user", Content: "second?"}, {Role: "assistant", Content: "two"},
	}}
	one := 1
	for _, c := range []struct {
		name string
		x    split.Exclusion
		want string // the reason of each turn
	}{
		{"a turn", split.Exclusion{Source: "a.jsonl", Row: 3, Turn: &one}, ",excluded"},
		{"all turns", split.Exclusion{Source: "a.jsonl", Row: 3}, "excluded,excluded"},
		{"by its question", split.Exclusion{Source: "a.jsonl", Row: 3, Turn: &one, Question: "sec"}, ",excluded"},
		{"another question", split.Exclusion{Source: "a.jsonl", Row: 3, Turn: &one, Question: "third"}, ","},
		{"another row", split.Exclusion{Source: "a.jsonl", Row: 4}, ","},
		{"another file", split.Exclusion{Source: "b.jsonl", Row: 3}, ","},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := split.Default()
			c.x.Note = "doubtful"
			cfg.Exclude = []split.Exclusion{c.x}
			var reasons []string
			for _, e := range split.NewReader("a.jsonl", cfg, toolcall.Pythonic).Examples(row) {
				reasons = append(reasons, e.Reason)
				if e.Reason != "" && !strings.Contains(e.Detail, "doubtful") {
					t.Errorf("detail %q does not say why", e.Detail)
				}
			}
			if got := strings.Join(reasons, ","); got != c.want {
				t.Errorf("%+v: got %q, want %q", c.x, got, c.want)
			}
		})
	}
}

func TestExcludeValidates(t *testing.T) {
	bad := -1
	for _, x := range []split.Exclusion{{Row: 1}, {Source: "a", Row: -1}, {Source: "a", Turn: &bad}} {
		cfg := split.Default()
		cfg.Exclude = []split.Exclusion{x}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "split.exclude") {
			t.Errorf("%+v: got %v", x, err)
		}
	}
}
