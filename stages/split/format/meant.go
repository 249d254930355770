package format

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// means refuses a key of no list whose name or value shows that it means something: a mark of
// what is learnt, or a list of tools.
func (f fields) means(of, key string) error {
	value := f.get(key)
	if of != "function" && marksLearning(of, key, value) && !(of == "turn" && f.notLearntAnyway(key)) {
		return fail(BadRow, f.at(shorten(key, 40)), "it seems to say what is learnt, and is not known: write weight, "+
			"train or loss; if it says nothing in this file, name it in split.ignore_keys")
	}
	if of == "row" && !f.hasTools() && listsTools(value) {
		return fail(BadRow, shorten(key, 40), "it seems to list tools, and prompts would not show them: name it "+
			"as tools in split.columns; if it says nothing in this file, name it in split.ignore_keys")
	}
	return nil
}

// hasTools reports whether the row has tools for its prompts, so that another list, such as all from which they were
// drawn, is not meant for them.
func (f fields) hasTools() bool {
	return slices.ContainsFunc([]string{"tools", "functions", "available_tools", "function"}, f.has)
}

// notLearntAnyway reports whether a mark says of a turn that it is not learnt, and another than the assistant speaks.
func (f fields) notLearntAnyway(key string) bool {
	who := f.get("role")
	if empty(who) {
		who = f.get("from")
	}
	name, err := text("", who)
	role := roles[name]
	leftOut := slices.ContainsFunc(wordsOf(key), func(w string) bool { // of the prompt, too
		return slices.Contains([]string{"ignore", "ignored", "skip"}, w)
	})
	return err == nil && !leftOut && slices.Contains([]string{"system", "user", "tool"}, role) &&
		slices.Contains([]string{"false", "0", "0.0"}, plain(f.get(key)))
}

// plain is a value without the quotes of a text, in lower case: some tables write "True".
func plain(value json.RawMessage) string { return strings.ToLower(strings.Trim(string(value), `"`)) }

// marksLearning looks at the words of a key, such as those of loss_weight and isTrained. A value
// that asks for what happens anyway, as is_train: true does, marks nothing.
func marksLearning(of, key string, value json.RawMessage) bool {
	marks := []string{"mask", "masks", "masked", "loss", "losses", "weight", "weights", "trainable"}
	if of != "row" { // rows have such keys for the split that they are from
		marks = append(marks, "train", "trained", "training", "learn", "learned", "learnt", "supervise", "supervised",
			"ignore", "ignored", "skip")
	}
	words := wordsOf(key)
	has := func(some ...string) bool {
		return slices.ContainsFunc(some, func(w string) bool { return slices.Contains(words, w) })
	}
	measured := has("loss", "losses", "weight", "weights") && has("eval", "val", "validation", "test", "avg", "average",
		"mean", "kg", "lb", "lbs", "grams", "pounds")
	if !has(marks...) || measured {
		return false
	}
	neutral := []string{"true", "1", "1.0"}
	if has("ignore", "ignored", "skip", "masked", "no", "not") {
		neutral = []string{"false", "0"}
	}
	return !slices.Contains(neutral, plain(value))
}

// wordsOf cuts a name such as loss_weight, loss-weight or lossWeight into words in lower case.
func wordsOf(name string) []string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// listsTools reports whether a value is a list of tools: the first has a name and parameters.
func listsTools(raw json.RawMessage) bool {
	if kind(raw) == "a text" {
		s, err := text("", raw)
		if err != nil || !strings.HasPrefix(strings.TrimSpace(s), "[") {
			return false
		}
		raw = json.RawMessage(s)
	}
	var all []json.RawMessage
	if kind(raw) != "a list" || json.Unmarshal(raw, &all) != nil || len(all) == 0 {
		return false
	}
	tool, err := object("", all[0])
	if err == nil && kind(tool.get("function")) == "an object" {
		tool, err = object("", tool.get("function"))
	}
	if err != nil || kind(tool.get("name")) != "a text" {
		return false
	}
	return slices.ContainsFunc([]string{"parameters", "inputSchema", "input_schema"}, func(key string) bool {
		return describes(tool.get(key))
	})
}

// describes reports whether a value is a schema or describes parameters by name, in place of giving them values.
func describes(parameters json.RawMessage) bool {
	if kind(parameters) != "an object" {
		return false
	}
	p, err := object("", parameters)
	if err != nil || kind(p.get("type")) == "a text" {
		return err == nil
	}
	return !slices.ContainsFunc(p.keys, func(key string) bool {
		return !empty(p.get(key)) && kind(p.get(key)) != "an object" && key != "required"
	})
}
