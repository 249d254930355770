package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"itool/schemas/toolcall"
)

// fields is a JSON object. Its keys are compared exactly, unlike encoding/json's.
type fields struct {
	place  string // such as messages[2]; "" for the row
	keys   []string
	values map[string]json.RawMessage
	unread []string // keys with a value that no list has
}

// get returns the value of a key; nil: it is missing.
func (f fields) get(key string) json.RawMessage { return f.values[key] }

// at is the place of a key, for errors.
func (f fields) at(key string) string {
	if f.place == "" {
		return key
	}
	return f.place + "." + key
}

// has reports whether a key is there with a value that is neither null nor blank.
func (f fields) has(key string) bool { return !empty(f.values[key]) }

// empty reports whether a value says nothing, as padding of a merged table does.
func empty(raw json.RawMessage) bool {
	switch compact := strings.Join(strings.Fields(string(raw[:min(len(raw), 64)])), ""); compact {
	case "", "null", `""`, "[]", "{}":
		return len(raw) <= 64
	}
	return false
}

// object reads a JSON object. A key that stands there twice refuses the row, because one of
// its values would be lost.
func object(place string, raw json.RawMessage) (fields, error) {
	f := fields{place: place, values: map[string]json.RawMessage{}}
	if kind(raw) != "an object" {
		return f, fail(BadRow, place, "want an object, got %s", kind(raw))
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return f, fail(BadRow, place, "%v", err)
	}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		var value json.RawMessage
		if err == nil && ok {
			err = d.Decode(&value)
		}
		if err != nil {
			return f, fail(BadRow, place, "%v", err)
		}
		if _, twice := f.values[key]; twice {
			return f, fail(BadRow, f.at(shorten(key, 40)), "it stands there twice")
		}
		f.keys = append(f.keys, key)
		f.values[key] = value
	}
	return f, nil
}

// text writes the object again, with the keys in their order.
func (f fields) text() json.RawMessage {
	var b bytes.Buffer
	for i, key := range f.keys {
		b.WriteString([]string{"{", ", "}[min(i, 1)])
		b.Write(asText(key))
		b.WriteString(": ")
		b.Write(f.values[key])
	}
	if len(f.keys) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes()
}

// importer reads one row.
type importer struct {
	Options
	layout    Layout
	unknown   []string        // keys that no list has, such as turn.foo; each once
	turnTools json.RawMessage // those that a system turn lists
	toolsAt   string          // its place
}

// fields reads an object and holds its keys against the lists of its kind.
func (im *importer) fields(of, place string, raw json.RawMessage) (fields, error) {
	f, err := object(place, raw)
	if err != nil {
		return f, err
	}
	if err := im.rename(of, &f); err != nil {
		return f, err
	}
	i := slices.IndexFunc(im.layout.Keys, func(k Keys) bool { return k.Of == of })
	keys := im.layout.Keys[i]
	for _, key := range f.keys {
		switch {
		case slices.Contains(im.Ignore, key) && !slices.Contains(keys.Used, key),
			slices.Contains(keys.Used, key), slices.Contains(keys.Silent, key):
		case slices.Contains(keys.Refused, key):
			if !empty(f.values[key]) && !neutral(key, f.values[key]) && !(of == "turn" && f.notLearnt(key)) {
				return f, fail(BadRow, f.at(key), "it means something that cannot be used here; "+
					"if it does not in this file, name it in split.ignore_keys")
			}
		default:
			if !empty(f.values[key]) {
				f.unread = append(f.unread, shorten(key, 40))
				if twin := keys.twin(key); twin != "" && !f.has(twin) {
					return f, fail(BadRow, f.at(shorten(key, 40)), "keys are compared exactly: %s would be read; "+
						"if this one says nothing in this file, name it in split.ignore_keys", twin)
				}
				if err := f.means(of, key); err != nil {
					return f, err
				}
			}
			if name := of + "." + shorten(key, 60); !slices.Contains(im.unknown, name) && len(im.unknown) < 100 {
				im.unknown = append(im.unknown, strings.ToValidUTF8(name, "�"))
			}
		}
	}
	return f, nil
}

// twin returns the key that means something and is written almost like key, or "".
func (k Keys) twin(key string) string {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	for _, known := range slices.Concat(k.Used, k.Refused) {
		if plain(known) == plain(key) {
			return known
		}
	}
	return ""
}

// eachOnce refuses JSON that has a key twice, at any depth: one of its values would be lost.
func eachOnce(problem Problem, field string, raw json.RawMessage) error {
	if key := toolcall.RepeatedKey(raw); key != "" {
		return fail(problem, field, "%q stands there twice", shorten(key, 40))
	}
	return nil
}

// notLearnt reports whether a refused key says of a turn of the prompt that it is not learnt, which it is not anyway.
// mask is not among them: some write 0 for what is learnt.
func (f fields) notLearnt(key string) bool {
	return slices.Contains([]string{"loss_mask", "trainable", "training"}, key) && f.notLearntAnyway(key)
}

// neutral knows the values of refused keys that ask for what happens anyway.
func neutral(key string, value json.RawMessage) bool {
	switch key + " " + string(value) {
	case `tool_choice "auto"`, "weight 1", "weight 1.0", "train true", "loss true", "loss 1", "prefix false",
		`channel "final"`, "loss_scale 1", "loss_scale 1.0":
		return true
	}
	return false
}

// checkTools wants a list of objects; what is in them is toolcall's business.
func checkTools(field string, raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fail(BadTools, field, "want a JSON array of tools, got %s", kind(raw))
	}
	for i, tool := range list {
		place := fmt.Sprintf("%s[%d]", field, i)
		if kind(tool) != "an object" {
			return fail(BadTools, place, "a tool must be an object, got %s", kind(tool))
		}
		if err := eachOnce(BadTools, place, tool); err != nil {
			return err
		}
	}
	return nil
}

// text reads a JSON string that must be there.
func text(field string, raw json.RawMessage) (string, error) {
	var s *string
	if len(raw) == 0 {
		return "", fail(BadRow, field, "missing")
	}
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fail(BadRow, field, "want a text, got %s", kind(raw))
	}
	return *s, nil
}

// optional reads a JSON string that may be null or missing.
func optional(field string, raw json.RawMessage) (string, error) {
	if k := kind(raw); k == "nothing" || k == "null" {
		return "", nil
	}
	return text(field, raw)
}

// list reads a JSON list, also one that stands in a text, as tables of one type have it.
func list(field string, raw json.RawMessage) ([]json.RawMessage, error) {
	if kind(raw) == "a text" {
		s, err := text(field, raw)
		if err != nil {
			return nil, err
		}
		if err := embedded(field, s); err != nil {
			return nil, err
		}
		raw = json.RawMessage(s)
	}
	if kind(raw) != "a list" {
		return nil, fail(BadRow, field, "want a list, got %s", kind(raw))
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fail(BadRow, field, "%v", err)
	}
	return all, nil
}

// embedded checks JSON that stood in a text, as checkShape does for the row itself.
func embedded(field, s string) error {
	if at := toolcall.LoneSurrogate([]byte(s)); at >= 0 {
		return fail(BadRow, field, "byte %d of the text: half of a surrogate pair is no character", at)
	}
	var row *RowError
	if err := checkJSON([]byte(s)); errors.As(err, &row) {
		return fail(BadRow, field, "the JSON in the text: %s", row.What)
	}
	return nil
}

// kind names a JSON value for an error.
func kind(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a bool"
	case 'n':
		return "null"
	}
	return "a number"
}
