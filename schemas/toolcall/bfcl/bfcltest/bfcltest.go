// Package bfcltest makes answers at random on which readers and checkers of BFCL may differ, for tests that
// compare this project's with the original.
//
// Questions are rows of BFCL, which lie beside the repository ([Questions]), or made up ([MadeUp]). [Cases] answers
// them: rightly, with mutations of the values, of the arguments and of the text, and with literals of a random grammar
// of the row's language. The same seed gives the same cases. The package judges nothing.
package bfcltest

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

// A Question is what the checker needs of a row of BFCL.
type Question struct {
	ID          string          `json:"id"`
	Category    string          `json:"category"`     // as in BFCL, such as "live_parallel"
	Function    json.RawMessage `json:"function"`     // the tools
	GroundTruth json.RawMessage `json:"ground_truth"` // null for irrelevance and relevance
}

// A Case is a question with a raw answer.
type Case struct {
	Question
	Raw string `json:"raw"`
}

// categories are those of BFCL v3 with a single turn; the value tells whether there are possible answers.
var categories = map[string]bool{
	"simple": true, "multiple": true, "parallel": true, "parallel_multiple": true, "java": true, "javascript": true,
	"live_simple": true, "live_multiple": true, "live_parallel": true, "live_parallel_multiple": true,
	"irrelevance": false, "live_irrelevance": false, "live_relevance": false,
}

// Questions reads all rows of BFCL v3 with a single turn, by category. Without them it skips the test.
func Questions(t testing.TB) map[string][]Question {
	t.Helper()
	all := map[string][]Question{}
	for category, answered := range categories {
		file := "BFCL_v3_" + category + ".json"
		rows := toolcalltest.Rows[Question](t, "bfcl_v3/"+file)
		if answered {
			for i, row := range toolcalltest.Rows[Question](t, "bfcl_v3/possible_answer/"+file) {
				if row.ID != rows[i].ID {
					t.Fatalf("%s: row %d: answer %s to question %s", file, i, row.ID, rows[i].ID)
				}
				rows[i].GroundTruth = row.GroundTruth
			}
		}
		for i := range rows {
			rows[i].Category = category
		}
		all[category] = rows
	}
	return all
}

// Cases makes n cases from questions of one category.
func Cases(r *rand.Rand, questions []Question, n int) []Case {
	w := writer{Rand: r, lang: languageOf(questions[0].Category), alphabet: lines("alphabet")}
	w.atoms = lines(w.lang.String())
	cases := make([]Case, n)
	for i := range cases {
		q := questions[r.IntN(len(questions))]
		cases[i] = Case{Question: q, Raw: w.answer(q)}
	}
	return cases
}

// answer writes one answer. Most are near the right one, because the checker sees only those.
func (w writer) answer(q Question) string {
	if len(q.GroundTruth) == 0 || string(q.GroundTruth) == "null" || w.rarely(40) {
		return w.mutateText(w.anything())
	}
	calls := w.calls(q)
	for range w.IntN(3) * w.IntN(2) {
		w.mutateCalls(&calls)
	}
	text := w.print(calls)
	if w.rarely(3) {
		text = w.mutateText(text)
	}
	return text
}

// language is the language of an answer.
type language int

const (
	python language = iota
	java
	javaScript
)

func (l language) String() string { return [...]string{"python", "java", "javascript"}[l] }

func languageOf(category string) language {
	switch {
	case strings.Contains(category, "javascript"):
		return javaScript
	case strings.Contains(category, "java"):
		return java
	}
	return python
}

// A writer makes random things in one language.
type writer struct {
	*rand.Rand
	lang     language
	atoms    []string // literals of the language
	alphabet []string // what mutations of a text insert
}

// call is a call whose values are source text.
type call struct {
	name string
	args []arg
}

type arg struct{ name, value string }

func (w writer) pick(all ...string) string { return all[w.IntN(len(all))] }

func (w writer) rarely(n int) bool { return w.IntN(n) == 0 }

// calls makes right calls: one acceptable value for each argument that may not be left out, and for some that may.
func (w writer) calls(q Question) []call {
	truth, err := toolcall.FromJSON(q.GroundTruth)
	if err != nil {
		panic(err)
	}
	tools, err := toolcall.ParseTools(q.Function)
	if err != nil {
		panic(err)
	}
	var all []call
	for _, item := range truth.Items {
		function := item.Pairs[0]
		made := call{name: function.Key.Text}
		for _, p := range function.Value.Pairs {
			v, given := w.acceptable(p.Value.Items)
			if !given {
				continue
			}
			made.args = append(made.args, arg{p.Key.Text, w.value(v, paramOf(tools, made.name, p.Key.Text))})
		}
		all = append(all, made)
	}
	if w.rarely(4) {
		w.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

func paramOf(tools []toolcall.Tool, tool, name string) toolcall.Param {
	for _, t := range tools {
		if t.Name == tool {
			p, _ := t.Param(name)
			return p
		}
	}
	return toolcall.Param{}
}

// acceptable chooses a value; none if the argument is left out. A dict's entries have lists of acceptable values.
func (w writer) acceptable(values []toolcall.Value) (toolcall.Value, bool) {
	if len(values) == 0 {
		return toolcall.Value{}, false
	}
	v := values[w.IntN(len(values))]
	if v.Kind == toolcall.String && v.Text == "" && w.IntN(4) > 0 {
		return v, false
	}
	return w.settle(v), true
}

func (w writer) settle(v toolcall.Value) toolcall.Value {
	switch v.Kind {
	case toolcall.List:
		items := make([]toolcall.Value, len(v.Items))
		for i := range items {
			items[i] = w.settle(v.Items[i])
		}
		return toolcall.ListOf(items...)
	case toolcall.Dict:
		dict := toolcall.Value{Kind: toolcall.Dict}
		for _, p := range v.Pairs {
			inner, given := p.Value, true
			if p.Value.Kind == toolcall.List {
				inner, given = w.acceptable(p.Value.Items)
			}
			if given {
				dict.Pairs = append(dict.Pairs, toolcall.Pair{Key: p.Key, Value: inner})
			}
		}
		return dict
	}
	return v
}
