package constrain

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/schemas/toolcall"
)

// Limits of a schema.
const (
	maxBytes   = 256 << 10
	maxNested  = 32 // schemas in each other
	maxSchemas = 2000
	maxLength  = 4096 // minLength, maxLength, minItems, maxItems
	maxChoices = 1000 // values of an enum, alternatives of anyOf
)

// describing are the keywords that say nothing about a value.
var describing = []string{
	"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$schema", "$id",
	"$comment", "$defs", "definitions",
}

// aliases are names of types in datasets of tools that JSON schema does not know.
var aliases = map[string]string{
	"dict": "object", "float": "number", "double": "number", "int": "integer", "bool": "boolean", "str": "string",
	"list": "array", "tuple": "array",
}

// reader compiles one schema.
type reader struct {
	b    *builder
	l    *language
	root toolcall.Value
	refs map[string]int32 // rules by $ref
	read int
}

// schema makes a rule for the values of a schema.
func (b *builder) schema(raw json.RawMessage, l *language) (int32, error) {
	if len(raw) > maxBytes {
		return 0, tooLong(raw)
	}
	root, err := toolcall.FromJSON(raw)
	if err != nil {
		return 0, err
	}
	return (&reader{b: b, l: l, root: root, refs: map[string]int32{}}).rule(root, "$", 0)
}

func tooLong(raw json.RawMessage) error {
	return fmt.Errorf("the schema has %d bytes, at most %d are read", len(raw), maxBytes)
}

// keywords are the fields of a schema.
type keywords struct {
	fields map[string]toolcall.Value
	path   string
}

func keywordsOf(v toolcall.Value, path string) *keywords {
	k := &keywords{map[string]toolcall.Value{}, path}
	for _, p := range v.Pairs {
		k.fields[p.Key.Text] = p.Value
	}
	return k
}

func (k *keywords) bad(name, text string, args ...any) error {
	return fmt.Errorf("%s: %s: %s", k.path, name, fmt.Sprintf(text, args...))
}

// take returns a keyword, and marks it as used. A null is no keyword.
func (k *keywords) take(name string) (toolcall.Value, bool) {
	v, ok := k.fields[name]
	delete(k.fields, name)
	return v, ok && v.Kind != toolcall.None
}

// rest refuses what was not used.
func (k *keywords) rest() error {
	names := make([]string, 0, len(k.fields))
	for name := range k.fields {
		if !slices.Contains(describing, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return k.bad(slices.Min(names), "is not supported here for constrained decoding: leave it out")
}

// rule makes the rule of a schema at a path.
func (r *reader) rule(v toolcall.Value, path string, depth int) (int32, error) {
	if r.read++; r.read > maxSchemas {
		return 0, fmt.Errorf("%s: the schema holds more than %d schemas", path, maxSchemas)
	}
	if depth > maxNested {
		return 0, fmt.Errorf("%s: more than %d schemas in each other", path, maxNested)
	}
	if v.Kind == toolcall.Bool && v.Bool {
		return r.b.free(r.l).value, nil
	}
	if v.Kind != toolcall.Dict {
		return 0, fmt.Errorf("%s: want a schema, got %s", path, v.Short())
	}
	k := keywordsOf(v, path)
	rule, err := r.one(k, depth)
	if err == nil {
		err = k.rest()
	}
	if r.b.err != nil {
		return 0, r.b.err
	}
	return rule, err
}

// one makes the rule of a schema by what it has: a reference, alternatives, values, or types.
func (r *reader) one(k *keywords, depth int) (int32, error) {
	if ref, ok := k.take("$ref"); ok {
		return r.reference(ref, k, depth)
	}
	for _, name := range []string{"anyOf", "allOf"} {
		if list, ok := k.take(name); ok {
			return r.alternatives(name, list, k, depth)
		}
	}
	types, err := k.types()
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"const", "enum"} {
		if v, ok := k.fields[name]; ok && (name == "const" || v.Kind != toolcall.None) {
			delete(k.fields, name)
			return r.values(name, v, types, k)
		}
	}
	return r.union(types, k, depth)
}

// union is a value of one of the types. A keyword counts as used if one of the types has it.
func (r *reader) union(types []string, k *keywords, depth int) (int32, error) {
	var rules []int32
	all, left := k.fields, maps.Clone(k.fields)
	for _, t := range types {
		k.fields = maps.Clone(all)
		rule, err := r.typed(t, k, depth)
		if err != nil {
			return 0, err
		}
		rules = append(rules, rule)
		maps.DeleteFunc(left, func(name string, _ toolcall.Value) bool { _, unused := k.fields[name]; return !unused })
	}
	k.fields = left
	return r.b.choice(rules), nil
}

// choice is a rule for one of several.
func (b *builder) choice(rules []int32) int32 {
	if len(rules) == 1 {
		return rules[0]
	}
	return b.rule(func(next int32) int32 {
		calls := make([]int32, len(rules))
		for i, r := range rules {
			calls[i] = b.call(r, next)
		}
		return b.oneOf(calls...)
	})
}

// reference is a $ref within the schema. A schema can hold itself.
func (r *reader) reference(ref toolcall.Value, k *keywords, depth int) (int32, error) {
	if rule, ok := r.refs[ref.Text]; ok && ref.Kind == toolcall.String {
		return rule, nil
	}
	target, ok := r.find(ref)
	if !ok {
		return 0, k.bad("$ref", "%s leads to nothing in this schema; others are not fetched", ref.Short())
	}
	rule := r.b.reserve()
	r.refs[ref.Text] = rule
	to, err := r.rule(target, ref.Text, depth+1)
	if err != nil {
		return 0, err
	}
	r.b.rules[rule] = r.b.call(to, r.b.add(node{op: opReturn}))
	return rule, nil
}

// find follows a JSON pointer such as #/$defs/city.
func (r *reader) find(ref toolcall.Value) (toolcall.Value, bool) {
	steps, local := strings.CutPrefix(ref.Text, "#")
	if ref.Kind != toolcall.String || !local {
		return toolcall.Value{}, false
	}
	at := r.root
	for step := range strings.SplitSeq(strings.TrimPrefix(steps, "/"), "/") {
		if steps == "" {
			break
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		i := slices.IndexFunc(at.Pairs, func(p toolcall.Pair) bool { return p.Key.Text == step })
		if i < 0 {
			return toolcall.Value{}, false
		}
		at = at.Pairs[i].Value
	}
	return at, true
}

// alternatives is anyOf, or an allOf of one.
func (r *reader) alternatives(name string, list toolcall.Value, k *keywords, depth int) (int32, error) {
	switch {
	case list.Kind != toolcall.List || len(list.Items) == 0 || len(list.Items) > maxChoices:
		return 0, k.bad(name, "want a list of 1 to %d schemas", maxChoices)
	case name == "allOf" && len(list.Items) > 1:
		return 0, k.bad(name, "several schemas at once are not supported for constrained decoding: join them")
	}
	var rules []int32
	for i, item := range list.Items {
		rule, err := r.rule(item, fmt.Sprintf("%s.%s[%d]", k.path, name, i), depth+1)
		if err != nil {
			return 0, err
		}
		rules = append(rules, rule)
	}
	return r.b.choice(rules), nil
}

// types are the declared types, or those that the keywords are about.
func (k *keywords) types() ([]string, error) {
	declared, ok := k.take("type")
	nullable, _ := k.take("nullable")
	names := []toolcall.Value{declared}
	switch {
	case !ok:
		return []string{k.implied()}, nil
	case declared.Kind == toolcall.List:
		names = declared.Items
	}
	var types []string
	for _, v := range names {
		name := v.Text
		if alias, known := aliases[name]; known {
			name = alias
		}
		if v.Kind != toolcall.String || !slices.Contains(allTypes, name) {
			return nil, k.bad("type", "%s is none of %s", v.Short(), strings.Join(allTypes, ", "))
		}
		if !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	if len(types) == 0 {
		return nil, k.bad("type", "the list is empty")
	}
	if nullable.Bool && !slices.Contains(types, "null") {
		types = append(types, "null")
	}
	return types, nil
}

var allTypes = []string{"object", "array", "string", "integer", "number", "boolean", "null", "any"}

// implied is the type that keywords without a type are about. Without any it is every value.
func (k *keywords) implied() string {
	for _, of := range []struct {
		name string
		keys []string
	}{
		{"object", []string{"properties", "required", "additionalProperties"}},
		{"array", []string{"items", "minItems", "maxItems"}},
		{"string", []string{"minLength", "maxLength", "pattern", "format"}},
		{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
	} {
		for _, key := range of.keys {
			if _, ok := k.fields[key]; ok {
				return of.name
			}
		}
	}
	return "any"
}

// values is an enum or a const: those of its values that have one of the types.
func (r *reader) values(name string, v toolcall.Value, types []string, k *keywords) (int32, error) {
	list := []toolcall.Value{v}
	if name == "enum" {
		list = v.Items
	}
	if name == "enum" && v.Kind != toolcall.List || len(list) > maxChoices {
		return 0, k.bad(name, "want a list of up to %d values", maxChoices)
	}
	var texts []string
	for _, item := range list {
		text := r.l.literal(item)
		if slices.ContainsFunc(types, func(t string) bool { return isOf(item, t) }) && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 {
		return 0, k.bad(name, "has no value of the type")
	}
	return r.b.rule(func(next int32) int32 { return r.b.oneOfTexts(texts, next) }), nil
}

func (b *builder) oneOfTexts(texts []string, next int32) int32 {
	entries := make([]int32, len(texts))
	for i, text := range texts {
		entries[i] = b.text(text, next)
	}
	return b.oneOf(entries...)
}

// isOf tells whether a value is of a type.
func isOf(v toolcall.Value, name string) bool {
	switch v.Kind {
	case toolcall.Dict:
		return name == "object" || name == "any"
	case toolcall.List:
		return name == "array" || name == "any"
	case toolcall.String:
		return name == "string" || name == "any"
	case toolcall.Int:
		return name == "integer" || name == "number" || name == "any"
	case toolcall.Float:
		return name == "number" || name == "any"
	case toolcall.Bool:
		return name == "boolean" || name == "any"
	}
	return name == "null" || name == "any"
}

// typed is the rule of one type, with the keywords about it.
func (r *reader) typed(name string, k *keywords, depth int) (int32, error) {
	b, l := r.b, r.l
	switch name {
	case "object":
		return r.object(k, depth)
	case "array":
		return r.array(k, depth)
	case "string":
		return r.str(k)
	case "integer", "number":
		return r.numeric(name, k)
	case "boolean":
		return b.rule(func(next int32) int32 { return b.oneOf(b.text(l.yes, next), b.text(l.no, next)) }), nil
	case "null":
		return b.rule(func(next int32) int32 { return b.text(l.null, next) }), nil
	}
	return b.free(l).value, nil
}

// array is items with bounds.
func (r *reader) array(k *keywords, depth int) (int32, error) {
	item := r.b.free(r.l).value
	if v, ok := k.take("items"); ok {
		var err error
		if item, err = r.rule(v, k.path+".items", depth+1); err != nil {
			return 0, err
		}
	}
	least, most, err := k.bounds("minItems", "maxItems")
	if err != nil {
		return 0, err
	}
	return r.b.rule(func(next int32) int32 { return r.b.enclosed(r.l, '[', ']', item, least, most, next) }), nil
}

// bounds reads two counts; most is −1 without one.
func (k *keywords) bounds(lowest, highest string) (least, most int, err error) {
	most = -1
	for _, of := range []struct {
		name string
		to   *int
	}{{lowest, &least}, {highest, &most}} {
		v, ok := k.take(of.name)
		if !ok {
			continue
		}
		if n, whole := wholeNumber(v); !whole || n < 0 || n > maxLength {
			return 0, 0, k.bad(of.name, "%s is not a whole number within 0..%d", v.Short(), maxLength)
		} else {
			*of.to = int(n)
		}
	}
	if most >= 0 && least > most {
		return 0, 0, k.bad(lowest, "%d is more than %s, %d", least, highest, most)
	}
	return least, most, nil
}
