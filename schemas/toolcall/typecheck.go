package toolcall

// language says which literals an answer's values are written in.
type language uint8

const (
	python language = iota
	java
	javaScript
)

// shape is a declared type as far as BFCL looks: one level into lists.
type shape struct {
	kind    Kind
	element Kind
	nested  bool // element is checked
}

// declared gives the shape that a parameter's type asks for. A type that nobody knows
// asks for the kind of the acceptable values.
func declared(param Param, accept Accept, lang language) shape {
	kind, known := lang.kind(param.Type)
	if !known {
		kind = String
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

// kind maps a declared type's name. Besides BFCL's names it knows JSON schema's.
func (lang language) kind(name string) (Kind, bool) {
	switch lang {
	case java:
		switch name {
		case "byte", "short", "integer", "long":
			return Int, true
		case "float", "double":
			return Float, true
		case "boolean":
			return Bool, true
		case "Array", "ArrayList", "Queue", "Stack":
			return List, true
		case "HashMap", "Hashtable":
			return Dict, true
		case "char", "String", "any":
			return String, true
		}
		return None, false
	case javaScript:
		switch name {
		case "String", "any":
			return String, true
		case "integer", "Bigint":
			return Int, true
		case "float":
			return Float, true
		case "Boolean":
			return Bool, true
		case "dict":
			return Dict, true
		case "array":
			return List, true
		}
		return None, false
	}
	switch name {
	case "string", "any", "str":
		return String, true
	case "integer", "int":
		return Int, true
	case "float", "number":
		return Float, true
	case "boolean", "bool":
		return Bool, true
	case "array", "tuple", "list":
		return List, true
	case "dict", "object":
		return Dict, true
	}
	return None, false
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

// acceptedKind is the kind of the first acceptable value that is not the "" of an
// optional parameter.
func acceptedKind(values []Value, optional bool) (Kind, bool) {
	for _, v := range values {
		if !(optional && v.Kind == String && v.Text == "") {
			return v.Kind, true
		}
	}
	return None, false
}

// checkType judges the kind, one level deep. variable is BFCL's escape: the acceptable
// values are of another kind than declared (a variable's name where a number is
// declared), so the value may be of theirs, and plain membership decides afterwards.
func checkType(v Value, want shape, accept Accept) (variable bool, m *Mismatch) {
	accepted, known := acceptedKind(accept.Values, accept.Optional)
	if v.Kind == want.kind {
		variable = known && accepted != want.kind
		if !want.nested || elementsFit(v, want.element, accept.Values) {
			return variable, nil
		}
		if known && v.Kind == accepted {
			return false, mismatch(typeNested, "", "want elements of kind %s, got %s", want.element, shorten(v))
		}
	} else if known && v.Kind == accepted {
		return true, nil
	}
	return false, mismatch(typeSimple, "", "want a %s, got a %s: %s", want.kind, v.Kind, shorten(v))
}

// elementsFit asks for one acceptable value next to which every element has the
// declared kind or the kind of that value's elements. An acceptable value that is no
// list fits everything.
func elementsFit(v Value, element Kind, values []Value) bool {
	for _, candidate := range values {
		fits := true
		if candidate.Kind == List {
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
