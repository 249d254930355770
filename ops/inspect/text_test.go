package inspect_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"itool/ops/inspect"
)

// texts prints everything that a run can show.
func texts(t *testing.T, r *inspect.Run, s inspect.Style) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(name string, text func(io.Writer) error, err error) {
		t.Helper()
		var b bytes.Buffer
		if err == nil {
			err = text(&b)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = b.String()
	}
	ex, err := r.Examples(t.Context(), inspect.Filter{})
	add("examples", func(w io.Writer) error { return ex.Text(w, s) }, err)
	searched, err := r.Examples(t.Context(), inspect.Filter{Part: "train"})
	add("searched", func(w io.Writer) error { return searched.Text(w, s) }, err)
	d, err := r.Deficiency(t.Context())
	add("deficiency", func(w io.Writer) error { return d.Text(w, s) }, err)
	sus, err := r.Suspects(t.Context(), 0.5)
	add("suspects", func(w io.Writer) error { return sus.Text(w, s) }, err)
	tree, err := r.Tree(t.Context(), "s0-00000", 0)
	add("tree", func(w io.Writer) error { return tree.Text(w, s) }, err)
	trees, err := r.Trees(t.Context(), inspect.TreeFilter{})
	add("trees", func(w io.Writer) error { return trees.Text(w, s) }, err)
	for _, what := range []string{"base", "warm-up", "1", "0/s0-00000/1", "0/s0-00000/0", "0/s0-00001", "s0-00000"} {
		trace, err := r.Trace(t.Context(), what)
		add("trace "+what, func(w io.Writer) error { return trace.Text(w, s, 20) }, err)
	}
	return out
}

// TestTexts: no text commands the terminal, and lines fit into 80 columns unless a word does not.
func TestTexts(t *testing.T) {
	b := newFixture(t)
	fill(b)
	for name, text := range texts(t, b.open(), inspect.Style{}) {
		for _, line := range strings.Split(text, "\n") {
			if n := utf8.RuneCountInString(line); n > 80 && len(strings.Fields(line)) > 1 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
		}); i >= 0 {
			t.Errorf("%s: a control character: %q", name, text[i:min(i+20, len(text))])
		}
	}
	colored := texts(t, b.open(), inspect.Style{Color: true})["examples"]
	if !strings.Contains(colored, "\x1b[32m'Rome'\x1b[0m\x1b[31m'Paris'\x1b[0m") {
		t.Errorf("no colours:\n%q", colored)
	}
	if strings.Contains(colored, "\x1b[2J") {
		t.Error("an answer commands the terminal")
	}
}

// TestTextOfTree: every node stands below its parent, with its pair.
func TestTextOfTree(t *testing.T) {
	b := newFixture(t)
	fill(b)
	got := texts(t, b.open(), inspect.Style{})["tree"]
	want := `example s0-00000, searched by warm-up: 5 nodes, prompt of 7 tokens
  from        a.jsonl row 5, turn 0
  question    rome?
  tools       weather(city, days?)
              book()
  reference   [weather(city='Rome')]

N visits, Q value, P prior; ▲ chosen, ▼ rejected in the pair of node #n
#0 root  N 5  V +0.20
├ #1 "[weather(city="  N 4  Q +0.50  P 0.80
│ ├ #3 "'Rome')]"  N 2  Q +1.00  P 0.25  ✓ right  ▲ #1
│ └ #4 "'Paris')]"  N 1  Q -1.00  P 0.75  ✗ parameter value  ▼ #1
└ #2 "<b>\x1b[2J\"'&\u202e"  N 1  Q -1.00  P 0.20  ✗ tools count

answers, the likeliest first ([-wanted-]{+given+})
  p 0.600  ✗ parameter value  #4
              [weather(city=[-'Rome'-]{+'Paris'+})]
  p 0.200  ✗ tools count  #2
              {+<b>�[2J"'&�+}
  p 0.200  ✓ right  #3
              [weather(city='Rome')]

pairs, by branching node
  #0 none     the worse side can lead to a right answer, too; Q +0.50 and -1.00
              (rejected_viable)
  #1 pair     0/s0-00000/1
  behind      [weather(city=
  chosen      "'Rome')]"  Q +1.00, the turn ends
  rejected    "'Paris')]"  Q -1.00, the turn ends
  because     the reference decides it: value; a right answer was found below
              the chosen side, none below the other
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStable: the same run gives the same JSON, with a version, every time.
func TestStable(t *testing.T) {
	b := newFixture(t)
	fill(b)
	ask := func() string {
		r := b.open()
		ex, _ := r.Examples(t.Context(), inspect.Filter{})
		d, _ := r.Deficiency(t.Context())
		s, _ := r.Suspects(t.Context(), 0.5)
		tree, _ := r.Tree(t.Context(), "s0-00000", 0)
		trees, _ := r.Trees(t.Context(), inspect.TreeFilter{})
		trace, _ := r.Trace(t.Context(), "1")
		text, err := json.Marshal([]any{ex, d, s, tree, trees, trace})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := ask()
	for range 3 {
		if again := ask(); again != first {
			t.Fatalf("got\n%s\nthen\n%s", first, again)
		}
	}
	for _, schema := range []string{
		inspect.SchemaExamples, inspect.SchemaDeficiency, inspect.SchemaSuspects, inspect.SchemaTree,
		inspect.SchemaTrees, inspect.SchemaTrace,
	} {
		if !strings.Contains(first, `"schema":"`+schema+`"`) {
			t.Errorf("no %s", schema)
		}
	}
	if strings.Contains(first, ":null") {
		t.Error("a list is null")
	}
}
