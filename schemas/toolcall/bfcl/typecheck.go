package bfcl

import "itool/schemas/toolcall"

// language is the language of the literals in an answer.
type language uint8

const (
	python language = iota
	java
	javaScript
)

// shape is a declared type, as far as BFCL checks it: one level into lists.
type shape struct {
	kind    toolcall.Kind
	element toolcall.Kind
	nested  bool // element is checked
}

// declared returns the shape that the type of a parameter asks for. An unknown type asks for
// the kind of the acceptable values.
func declared(param toolcall.Param, accept Accept, lang language) shape {
	kind, known := lang.kind(param.Type)
	if !known {
		kind = toolcall.String
		if k, ok := acceptedKind(accept.Values, accept.Optional); ok {
			kind = k
		}
	}
	want := shape{kind: kind}
	if lang.hasElements(param.Type) && param.Items != nil {
		want.element, want.nested = lang.kind(param.Items.Type)
	}
	return want
}

// kind maps the name of a declared type to a kind. It knows the names of BFCL and of JSON
// schema.
func (lang language) kind(name string) (toolcall.Kind, bool) {
	switch lang {
	case java:
		switch name {
		case "byte", "short", "integer", "long":
			return toolcall.Int, true
		case "float", "double":
			return toolcall.Float, true
		case "boolean":
			return toolcall.Bool, true
		case "Array", "ArrayList", "Queue", "Stack":
			return toolcall.List, true
		case "HashMap", "Hashtable":
			return toolcall.Dict, true
		case "char", "String", "any":
			return toolcall.String, true
		}
		return toolcall.None, false
	case javaScript:
		switch name {
		case "String", "any":
			return toolcall.String, true
		case "integer", "Bigint":
			return toolcall.Int, true
		case "float":
			return toolcall.Float, true
		case "Boolean":
			return toolcall.Bool, true
		case "dict":
			return toolcall.Dict, true
		case "array":
			return toolcall.List, true
		}
		return toolcall.None, false
	}
	switch name {
	case "string", "any", "str":
		return toolcall.String, true
	case "integer", "int":
		return toolcall.Int, true
	case "float", "number":
		return toolcall.Float, true
	case "boolean", "bool":
		return toolcall.Bool, true
	case "array", "tuple", "list":
		return toolcall.List, true
	case "dict", "object":
		return toolcall.Dict, true
	}
	return toolcall.None, false
}

func (lang language) hasElements(name string) bool {
	switch lang {
	case java:
		return name == "Array" || name == "ArrayList"
	case javaScript:
		return name == "array"
	}
	return name == "array" || name == "tuple" || name == "list"
}

// acceptedKind returns the kind of the first acceptable value that is not the "" of an optional
// parameter.
func acceptedKind(values []toolcall.Value, optional bool) (toolcall.Kind, bool) {
	for _, v := range values {
		if !(optional && v.Kind == toolcall.String && v.Text == "") {
			return v.Kind, true
		}
	}
	return toolcall.None, false
}

// checkType checks the kind, one level deep. variable is an exception of BFCL: if the acceptable
// values have another kind than declared (the name of a variable where a number is declared),
// the value may have their kind. The value check then is plain membership.
func checkType(v toolcall.Value, want shape, accept Accept) (variable bool, m *Mismatch) {
	accepted, known := acceptedKind(accept.Values, accept.Optional)
	if v.Kind == want.kind {
		variable = known && accepted != want.kind
		if !want.nested || elementsFit(v, want.element, accept.Values) {
			return variable, nil
		}
		if known && v.Kind == accepted {
			return false, mismatch(typeNested, "", "want elements of kind %s, got %s", want.element, v.Short())
		}
	} else if known && v.Kind == accepted {
		return true, nil
	}
	return false, mismatch(typeSimple, "", "want a %s, got a %s: %s", want.kind, v.Kind, v.Short())
}

// elementsFit reports whether there is an acceptable value such that every element of v has the
// declared kind or the kind of that value's elements. An acceptable value that is not a list
// fits everything.
func elementsFit(v toolcall.Value, element toolcall.Kind, values []toolcall.Value) bool {
	for _, candidate := range values {
		fits := true
		if candidate.Kind == toolcall.List {
			accepted, known := acceptedKind(candidate.Items, true)
			for _, item := range v.Items {
				fits = fits && (item.Kind == element || known && item.Kind == accepted)
			}
		}
		if fits {
			return true
		}
	}
	return false
}
