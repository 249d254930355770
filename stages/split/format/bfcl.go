package format

import (
	"encoding/json"
	"regexp"
	"slices"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

// Categories of BFCL by what can be done with their rows.
var (
	learnt = []string{ // possible answers in Python's notation
		"simple", "multiple", "parallel", "parallel_multiple",
		"live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
	}
	sourced = []string{"java", "javascript"} // possible answers in the notation of another language
	silent  = []string{"irrelevance", "live_irrelevance", "live_relevance"}
)

// BFCLCategory is the category in the ID of a BFCL row.
func BFCLCategory(id string) string { return idTail.ReplaceAllString(id, "") }

// idTail is the number behind the category: live_simple_12-3-0, parallel_7.
var idTail = regexp.MustCompile(`_\d+(-\d+)*$`)

func (im *importer) bfcl(in fields) (Row, error) {
	id, err := text("id", in.get("id"))
	if err != nil {
		return Row{}, err
	}
	row := Row{ID: id, Category: BFCLCategory(id)}
	row.OnlyAsked = slices.Contains(sourced, row.Category) || bfcl.Unanswered(row.Category)
	if !row.OnlyAsked && !slices.Contains(learnt, row.Category) {
		return row, fail(NoAnswer, "id", "%s: category %q has no answers that a row can hold; known are %v",
			shorten(id, 80), row.Category, slices.Concat(learnt, sourced, silent))
	}
	users, err := list("question", in.get("question"))
	if err != nil {
		return row, err
	}
	if len(users) != 1 {
		return row, fail(BadRow, "question", "%s: %d turns of the user, want one", shorten(id, 80), len(users))
	}
	turns, err := list("question[0]", users[0])
	if err != nil {
		return row, err
	}
	if row.Messages, err = im.turns(placed("question[0]", turns)); err != nil {
		return row, err
	}
	if err := checkTools("function", in.get("function")); err != nil {
		return row, err
	}
	row.Tools = in.get("function")
	if bfcl.Unanswered(row.Category) {
		if len(in.get("ground_truth")) > 0 {
			return row, fail(BadRow, "ground_truth", "%s: the category has no possible answers", shorten(id, 80))
		}
		return row, nil
	}
	if len(in.get("ground_truth")) == 0 {
		return row, fail(NoAnswer, "ground_truth", "%s: missing: publish the question file joined with "+
			"its file of possible answers", shorten(id, 80))
	}
	calls, err := reference(in.get("ground_truth"), in.get("function"))
	if err != nil {
		return row, err
	}
	row.Acceptable = in.get("ground_truth")
	if row.OnlyAsked { // what is acceptable is text that the judge converts
		return row, nil
	}
	row.Messages = append(row.Messages, Message{Role: "assistant", Calls: calls})
	return row, nil
}

// reference picks one of the possible answers to learn: the first acceptable value of
// every argument. It leaves out an argument that is optional ("" is among its values),
// because then the question does not ask for it, unless the tool's schema requires it.
func reference(truth, function json.RawMessage) ([]toolcall.Call, error) {
	expected, err := bfcl.ParseExpected(truth)
	if err != nil {
		return nil, fail(BadRow, "ground_truth", "%v", err)
	}
	if len(expected) == 0 {
		return nil, fail(NoAnswer, "ground_truth", "no call")
	}
	tools, err := toolcall.ParseTools(function)
	if err != nil {
		return nil, fail(BadTools, "function", "%v", err)
	}
	var calls []toolcall.Call
	for _, want := range expected {
		call := toolcall.Call{Name: want.Name}
		i := slices.IndexFunc(tools, func(t toolcall.Tool) bool { return t.Name == want.Name })
		for _, accept := range want.Args {
			var declared toolcall.Param
			if i >= 0 {
				declared, _ = tools[i].Param(accept.Name)
			}
			if accept.Optional && !declared.Required {
				continue
			}
			value, ok := pick(accept.Values)
			if !ok {
				continue // nothing is acceptable: the check of the reference finds it
			}
			if declared.Type == "tuple" && value.Kind == toolcall.List {
				value.Kind = toolcall.Tuple // JSON has no tuples, the checker does
			}
			call.Args = append(call.Args, toolcall.Arg{Name: accept.Name, Value: value})
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// pick returns the first acceptable value that is not "", else "" itself. Within
// dicts, also those in a list, every key holds again a list of acceptable values.
func pick(values []toolcall.Value) (toolcall.Value, bool) {
	for _, v := range values {
		if !isBlank(v) {
			return settle(v), true
		}
	}
	if len(values) > 0 {
		return values[0], true
	}
	return toolcall.Value{}, false
}

func settle(v toolcall.Value) toolcall.Value {
	switch v.Kind {
	case toolcall.Dict:
		dict := toolcall.Value{Kind: toolcall.Dict}
		for _, p := range v.Pairs {
			if p.Value.Kind != toolcall.List {
				dict.Pairs = append(dict.Pairs, p)
				continue
			}
			if slices.ContainsFunc(p.Value.Items, isBlank) {
				continue // may be left out
			}
			if inner, ok := pick(p.Value.Items); ok {
				dict.Pairs = append(dict.Pairs, toolcall.Pair{Key: p.Key, Value: inner})
			}
		}
		return dict
	case toolcall.List:
		list := toolcall.Value{Kind: toolcall.List}
		for _, item := range v.Items {
			list.Items = append(list.Items, settle(item))
		}
		return list
	}
	return v
}

func isBlank(v toolcall.Value) bool { return v.Kind == toolcall.String && v.Text == "" }
