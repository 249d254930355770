package bfcltest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
)

// MadeUp makes n questions of a category of BFCL, with tools and possible answers of its own, so that answers to them
// may lie in this repository.
func MadeUp(r *rand.Rand, category string, n int) []Question {
	questions := make([]Question, n)
	for i := range questions {
		questions[i] = madeUp(r, category, i)
	}
	return questions
}

func madeUp(r *rand.Rand, category string, number int) Question {
	q := Question{ID: fmt.Sprintf("%s_%d", category, number), Category: category}
	calls := 1
	if q.parallel() {
		calls = 2 + r.IntN(2)
	}
	var tools []map[string]any
	var truth []map[string]any
	for i := range calls {
		name := pick(r, "get_weather", "bank.transfer", "Calendar.addEvent",
			"image_resize") + fmt.Sprintf("_%d%d", number%10, i)
		schema, accept := parameters(r, languageOf(category))
		tools = append(tools, map[string]any{"name": name, "description": "Made up.", "parameters": schema})
		truth = append(truth, map[string]any{name: accept})
	}
	q.Function = marshal(tools)
	if categories[category] {
		q.GroundTruth = marshal(truth)
	}
	return q
}

func (q Question) parallel() bool {
	return q.Category == "parallel" || q.Category == "parallel_multiple" || q.Category == "live_parallel"
}

// typeOf is a declared type with its acceptable values.
type typeOf struct {
	name, element string
	values        [][]any // one list of acceptable values is chosen
}

var texts = [][]any{
	{"New York, NY", "NYC"}, {"it's \"quoted\""}, {"2024-03-01"}, {"Größe", "groesse"}, {"a/b_c*d"}, {"true"},
	{"5"}, {"日本"},
}

var types = map[language][]typeOf{
	python: {
		{"string", "", texts}, {"string", "", texts}, {"integer", "", [][]any{{5, 6}, {-3}, {0}, {1000000}, {"count"}}},
		{"float", "", [][]any{{0.5}, {10.0, 10}, {-2.25e10}}}, {"boolean", "", [][]any{{true}, {false}, {true, "x"}}},
		{"array", "string", [][]any{{list("a b", "c")}, {list("X."), list("x", "y")}, {list()}}},
		{"array", "integer", [][]any{{list(1, 2, 3), list(3, 2, 1)}}}, {"tuple", "float", [][]any{{list(1.5, 2.0)}}},
		{"dict", "", [][]any{{map[string]any{"k": list("v", "w"), "n": list(1, "")}}}},
		{"array", "dict", [][]any{{list(map[string]any{"k": list(1)}, map[string]any{"k": list(2), "o": list("x")})}}},
		{"any", "", texts},
	},
	java: {
		{"String", "", texts}, {"any", "", [][]any{{"mapController"}, {"new Point(1, 2)"}, {"Mode.XYZ"}}},
		{"integer", "", [][]any{{5}, {-3, 7}, {"size"}}}, {"long", "", [][]any{{5000000000}, {12}}},
		{"boolean", "", [][]any{{true}, {false}}}, {"float", "", [][]any{{2.5}}}, {"double", "", [][]any{{0.25},
			{-1e9}}},
		{"Array", "String", [][]any{{list("a", "b")}}}, {"Array", "integer", [][]any{{list(1, 2)}}},
		{"ArrayList", "String", [][]any{{list("a", "b c")}}}, {"ArrayList", "long", [][]any{{list(1, 2)}}},
		{"ArrayList", "any", [][]any{{list("x", 1)}}}, {"HashMap", "", [][]any{{map[string]any{"k": list(1)}}}},
		{"char", "", [][]any{{"c"}}}, {"byte", "", [][]any{{7}}},
	},
	javaScript: {
		{"String", "", texts}, {"any", "", [][]any{{"handler"}, {"() => 1"}, {"document.body"}}},
		{"integer", "", [][]any{{5}, {-3}}}, {"float", "", [][]any{{2.5}, {4.0}}}, {"Bigint", "", [][]any{{123}}},
		{"Boolean", "", [][]any{{true}, {false}}}, {"array", "String", [][]any{{list("a", "b")}}},
		{"array", "float", [][]any{{list(1.0, 2.5)}}}, {"array", "integer", [][]any{{list(list(1, 2), list(3, 4))}}},
		{"dict", "", [][]any{{map[string]any{"k": list("v"), "n": list(list(1, 2))}},
			{map[string]any{"ok": list(true)}}}},
	},
}

func list(items ...any) []any { return append([]any{}, items...) }

// parameters makes a schema of some parameters, and what each of them accepts.
func parameters(r *rand.Rand, lang language) (schema, accept map[string]any) {
	names := []string{"city", "count", "user_id", "origin", "unit", "size", "options", "x"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	properties, required := map[string]any{}, []string{}
	accept = map[string]any{}
	for _, name := range names[:1+r.IntN(4)] {
		t := types[lang][r.IntN(len(types[lang]))]
		property := map[string]any{"type": t.name, "description": "Made up."}
		if t.element != "" {
			property["items"] = map[string]any{"type": t.element}
		}
		properties[name] = property
		values := slices.Clone(t.values[r.IntN(len(t.values))])
		if r.IntN(3) == 0 {
			values = append(values, "")
		} else {
			required = append(required, name)
		}
		accept[name] = values
	}
	return map[string]any{"type": "dict", "properties": properties, "required": required}, accept
}

func pick(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

func marshal(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // it holds nothing but maps, lists and scalars
	}
	return raw
}
