package split_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/stages/split"
	"itool/stages/split/format"
)

// TestExclude: a turn that is named is dropped with its reason, the others of the row stay, and a row that asks
// something else than the exclusion says stays, too.
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

// TestExcludeMoved: the stage counts the turns that ask something else than their exclusion says.
func TestExcludeMoved(t *testing.T) {
	row := messages(`{"role": "user", "content": "now"}`, `{"role": "assistant", "content": "x"}`)
	for question, want := range map[string]int{"before": 1, "no": 0} {
		got, n := learn(t, format.OpenAI, row, map[string]any{
			"exclude": []map[string]any{{"source": "x.jsonl", "row": 0, "question": question}},
		})
		if n.Moved != want || (got[0].reason == "") != (want == 1) {
			t.Errorf("question %q: reason %q, %d moved, want %d", question, got[0].reason, n.Moved, want)
		}
	}
}
