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
	if of != "function" && marksLearning(of, key, value) {
		return fail(BadRow, f.at(shorten(key, 40)), "it seems to say what is learnt, and is not known: write weight, "+
			"train or loss; if it says nothing in this file, name it in split.ignore_keys")
	}
	if of == "row" && listsTools(value) {
		return fail(BadRow, shorten(key, 40), "it seems to list tools, and prompts would not show them: name it "+
			"as tools in split.columns; if it says nothing in this file, name it in split.ignore_keys")
	}
	return nil
}

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
	if !has(marks...) {
		return false
	}
	neutral := []string{"true", "1", "1.0"}
	if has("ignore", "ignored", "skip", "masked", "no", "not") {
		neutral = []string{"false", "0"}
	}
	return !slices.Contains(neutral, string(value))
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
		return kind(tool.get(key)) == "an object"
	})
}
