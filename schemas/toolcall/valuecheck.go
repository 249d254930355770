package toolcall

import (
	"strings"
	"unicode/utf8"
)

// checkValue judges a value whose type has passed.
func checkValue(v Value, want shape, variable bool, accept Accept) *Mismatch {
	switch {
	case variable:
	case want.kind == Dict:
		return checkDict(v, accept.Values)
	case want.kind == List && want.nested && want.element == Dict:
		return checkDicts(v, accept.Values)
	case want.kind == String:
		return checkString(v, accept.Values)
	case want.kind == List:
		return checkList(v, accept.Values)
	}
	if !in(v, accept.Values) {
		return mismatch(valueOthers, "", "want one of %s, got %s", shorten(ListOf(accept.Values...)), shorten(v))
	}
	return nil
}

var dropped = strings.NewReplacer(" ", "", ",", "", ".", "", "/", "", "-", "", "_", "", "*", "", "^", "", "'", `"`)

// standard forgives what BFCL forgives in a string: blanks, , . / - _ * ^, case, and
// the kind of quotes.
func standard(v Value) Value {
	if v.Kind == String {
		v.Text = strings.ToLower(dropped.Replace(v.Text))
	}
	return v
}

func standardAll(values []Value) []Value {
	all := make([]Value, len(values))
	for i, v := range values {
		all[i] = standard(v)
	}
	return all
}

func checkString(v Value, values []Value) *Mismatch {
	if !in(standard(v), standardAll(values)) {
		return mismatch(valueString, "", "want one of %s, got %s", shorten(ListOf(values...)), shorten(v))
	}
	return nil
}

// elements gives what a value holds when Python walks it: a text holds its characters,
// so that "" is as good as an empty list.
func elements(v Value) []Value {
	if v.Kind != String {
		return v.Items
	}
	var items []Value
	for rest := v.Text; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		items = append(items, Text(rest[:size]))
		rest = rest[size:]
	}
	return items
}

// checkList compares in order, with strings standardised one level deep.
func checkList(v Value, values []Value) *Mismatch {
	given := Value{Kind: List, Items: standardAll(v.Items)}
	for _, candidate := range values {
		if candidate.Kind != List && candidate.Kind != Tuple && candidate.Kind != String {
			continue // the original would stop with an exception
		}
		if alike(given, Value{Kind: List, Items: standardAll(elements(candidate))}) {
			return nil
		}
	}
	return mismatch(valueList, "", "want one of %s, got %s", shorten(ListOf(values...)), shorten(v))
}

// checkDict wants some acceptable dict that knows every key, accepts its value, and
// whose absent keys may be left out. The name of the last failure counts.
func checkDict(v Value, values []Value) *Mismatch {
	m := mismatch(dictUnclear, "", "no dict is acceptable here")
	for _, candidate := range values {
		if candidate.Kind != Dict {
			continue // "", or what the original would stop at with an exception
		}
		if m = matchDict(v, candidate); m == nil {
			return nil
		}
	}
	return m
}

func matchDict(v, candidate Value) *Mismatch {
	var m *Mismatch
	for _, p := range v.Pairs {
		accepted, known := lookup(candidate, p.Key)
		if !known {
			m = mismatch(valueDictKey, "", "key %s is unknown", shorten(p.Key))
			break
		}
		if !in(standard(p.Value), standardAll(elements(accepted))) {
			m = mismatch(valueDictValue, "", "key %s: want one of %s, got %s", shorten(p.Key), shorten(accepted), shorten(p.Value))
			break
		}
	}
	for _, p := range candidate.Pairs {
		// Python finds "" in every text.
		optional := p.Value.Kind == String || in(Text(""), p.Value.Items)
		if _, given := lookup(v, p.Key); !given && !optional {
			return mismatch(valueDictKey, "", "key %s is missing", shorten(p.Key))
		}
	}
	return m
}

func lookup(dict, key Value) (Value, bool) {
	for _, p := range dict.Pairs {
		if alike(p.Key, key) {
			return p.Value, true
		}
	}
	return Value{}, false
}

// checkDicts wants the dicts of some acceptable list, in order.
func checkDicts(v Value, values []Value) *Mismatch {
	m := mismatch(listDictUnclear, "", "no list of dicts is acceptable here")
	for _, candidate := range values {
		items := elements(candidate)
		if len(items) != len(v.Items) {
			m = mismatch(valueListDictCount, "", "want %d dicts, got %d", len(items), len(v.Items))
			continue
		}
		m = nil
		for i := range items {
			if m = checkDict(untext(v.Items[i]), items[i:i+1]); m != nil {
				break
			}
		}
		if m == nil {
			return nil
		}
	}
	return m
}

// untext makes an element that is no dict (possible next to a variable) one that no
// key fits; the original would stop with an exception.
func untext(v Value) Value {
	if v.Kind == Dict {
		return v
	}
	return Value{Kind: Dict, Pairs: []Pair{{v, v}}}
}
