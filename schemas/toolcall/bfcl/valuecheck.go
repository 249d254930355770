package bfcl

import (
	"strings"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// checkValue checks a value whose type has passed.
func checkValue(v toolcall.Value, want shape, variable bool, accept Accept) *Mismatch {
	switch {
	case variable:
	case want.kind == toolcall.Dict:
		return checkDict(v, accept.Values)
	case want.kind == toolcall.List && want.nested && want.element == toolcall.Dict:
		return checkDicts(v, accept.Values)
	case want.kind == toolcall.String:
		return checkString(v, accept.Values)
	case want.kind == toolcall.List:
		return checkList(v, accept.Values)
	}
	if !in(v, accept.Values) {
		return mismatch(valueOthers, "", "want one of %s, got %s", toolcall.ListOf(accept.Values...).Short(), v.Short())
	}
	return nil
}

var ignoredInText = strings.NewReplacer(
	" ", "", ",", "", ".", "", "/", "", "-", "", "_", "", "*", "", "^", "", "'", `"`)

// normalize removes the differences that BFCL ignores in a string: blanks, the characters
// , . / - _ * ^, upper case, and the kind of quotes.
func normalize(v toolcall.Value) toolcall.Value {
	if v.Kind == toolcall.String {
		v.Text = lower(ignoredInText.Replace(v.Text))
	}
	return v
}

func normalizeAll(values []toolcall.Value) []toolcall.Value {
	all := make([]toolcall.Value, len(values))
	for i, v := range values {
		all[i] = normalize(v)
	}
	return all
}

func checkString(v toolcall.Value, values []toolcall.Value) *Mismatch {
	if !in(normalize(v), normalizeAll(values)) {
		return mismatch(valueString, "", "want one of %s, got %s", toolcall.ListOf(values...).Short(), v.Short())
	}
	return nil
}

// elements returns what Python iterates over: the items of a list, the characters of a text. So
// "" is the same as an empty list.
func elements(v toolcall.Value) []toolcall.Value {
	if v.Kind != toolcall.String {
		return v.Items
	}
	var items []toolcall.Value
	for rest := v.Text; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		items = append(items, toolcall.Text(rest[:size]))
		rest = rest[size:]
	}
	return items
}

// checkList compares in order, with strings normalized one level deep.
func checkList(v toolcall.Value, values []toolcall.Value) *Mismatch {
	given := toolcall.Value{Kind: toolcall.List, Items: normalizeAll(v.Items)}
	for _, candidate := range values {
		if candidate.Kind != toolcall.List && candidate.Kind != toolcall.Tuple && candidate.Kind != toolcall.String {
			continue // the original raises an exception
		}
		if toolcall.PythonEqual(given, toolcall.Value{Kind: toolcall.List, Items: normalizeAll(elements(candidate))}) {
			return nil
		}
	}
	return mismatch(valueList, "", "want one of %s, got %s", toolcall.ListOf(values...).Short(), v.Short())
}

// checkDict passes if there is an acceptable dict that has every key of v, accepts its value, and
// whose other keys are optional. Otherwise it returns the mismatch of the last dict.
func checkDict(v toolcall.Value, values []toolcall.Value) *Mismatch {
	m := mismatch(dictUnclear, "", "no dict is acceptable here")
	for _, candidate := range values {
		if candidate.Kind != toolcall.Dict {
			continue // "", or a value at which the original raises an exception
		}
		if m = matchDict(v, candidate); m == nil {
			return nil
		}
	}
	return m
}

func matchDict(v, candidate toolcall.Value) *Mismatch {
	var m *Mismatch
	for _, p := range v.Pairs {
		accepted, known := lookup(candidate, p.Key)
		if !known {
			m = mismatch(valueDictKey, "", "key %s is unknown", p.Key.Short())
			break
		}
		if !in(normalize(p.Value), normalizeAll(elements(accepted))) {
			m = mismatch(valueDictValue, "", "key %s: want one of %s, got %s",
				p.Key.Short(), accepted.Short(), p.Value.Short())
			break
		}
	}
	for _, p := range candidate.Pairs {
		// Python finds "" in every text.
		optional := p.Value.Kind == toolcall.String || in(toolcall.Text(""), p.Value.Items)
		if _, given := lookup(v, p.Key); !given && !optional {
			return mismatch(valueDictKey, "", "key %s is missing", p.Key.Short())
		}
	}
	return m
}

func lookup(dict, key toolcall.Value) (toolcall.Value, bool) {
	for _, p := range dict.Pairs {
		if toolcall.PythonEqual(p.Key, key) {
			return p.Value, true
		}
	}
	return toolcall.Value{}, false
}

// checkDicts passes if the dicts match those of one acceptable list, in order.
func checkDicts(v toolcall.Value, values []toolcall.Value) *Mismatch {
	m := mismatch(listDictUnclear, "", "no list of dicts is acceptable here")
	for _, candidate := range values {
		items := elements(candidate)
		if len(items) != len(v.Items) {
			m = mismatch(valueListDictCount, "", "want %d dicts, got %d", len(items), len(v.Items))
			continue
		}
		m = nil
		for i := range items {
			if m = checkDict(asDict(v.Items[i]), items[i:i+1]); m != nil {
				break
			}
		}
		if m == nil {
			return nil
		}
	}
	return m
}

// asDict replaces an element that is not a dict by a dict that matches nothing. The original
// raises an exception there. Such elements exist if a variable is acceptable.
func asDict(v toolcall.Value) toolcall.Value {
	if v.Kind == toolcall.Dict {
		return v
	}
	return toolcall.Value{Kind: toolcall.Dict, Pairs: []toolcall.Pair{{Key: v, Value: v}}}
}

// in is Python's "v in list".
func in(v toolcall.Value, list []toolcall.Value) bool {
	for _, item := range list {
		if toolcall.PythonEqual(v, item) {
			return true
		}
	}
	return false
}
