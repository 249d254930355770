package toolcall

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of one tool's schema. A reference can name a schema that holds it, and a few
// references can stand for millions of schemas.
const (
	maxSchemas  = 10000
	maxSchemaIn = 32 // schemas in each other
)

// schema reads the parameters of one tool.
type schema struct {
	root      Value // the parameters, in which $ref looks
	read      int   // schemas so far
	unchecked []string
}

// not notes what no check of an answer will know. The same is noted once.
func (s *schema) not(path, what string) {
	if note := path + ": " + what; len(s.unchecked) < 100 && !slices.Contains(s.unchecked, note) {
		s.unchecked = append(s.unchecked, note)
	}
}

// parameters reads the object of all parameters.
func (s *schema) parameters(tool *Tool, v Value, path string) error {
	v, ok := s.resolve(v, path)
	if !ok || v.Kind == Bool { // true takes any arguments, false none
		tool.Open = !ok || v.Bool
		return nil
	}
	combined := s.combined(v, path)
	if properties, _ := v.get("properties"); combined && properties.Kind == None {
		tool.Open = true
		return nil
	}
	flat, err := isFlat(v)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if flat {
		return s.flat(tool, v, path)
	}
	if tool.Params, tool.Required, err = s.properties(v, path, 0); err != nil {
		return err
	}
	tool.Open = s.open(v, path)
	return nil
}

// combined notes alternatives of all parameters, which no check of an answer knows.
func (s *schema) combined(v Value, path string) (any bool) {
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if of, _ := v.get(key); of.Kind == List { // a parameter of that name would be a dict
			s.not(path, key)
			any = true
		}
	}
	return any
}

// isFlat tells a map from names to schemas from a schema. It refuses a value that would
// silently be read as "no parameters".
func isFlat(v Value) (bool, error) {
	if v.Kind != Dict {
		return false, fmt.Errorf("want an object, got a %s", v.Kind)
	}
	typ, typed := v.get("type")
	properties, listed := v.get("properties")
	switch {
	case typed && typ.Kind == String && typ.Text != "dict" && typ.Text != "object":
		return false, fmt.Errorf(`type: want "dict" or "object", got %s`, typ.Short())
	case typed && typ.Kind == String, len(v.Pairs) == 0:
		return false, nil
	}
	if _, described := properties.get("description"); listed && !(properties.Kind == Dict && described) {
		return false, nil
	}
	for _, p := range v.Pairs {
		_, kind := p.Value.get("type")
		_, about := p.Value.get("description")
		if p.Value.Kind != Dict || !kind && !about {
			return false, fmt.Errorf("want type and properties, or a map from names to schemas, got other fields")
		}
	}
	return true, nil
}

// flat reads {"name": {"type": "str, optional", "description", "default"}, …}. A parameter
// that is not called optional and has no default is required.
func (s *schema) flat(tool *Tool, v Value, path string) error {
	for _, p := range v.Pairs {
		param, err := s.param(p.Value, path+"."+p.Key.Text, 0)
		if err != nil {
			return err
		}
		param.Name = p.Key.Text
		name, rest := param.Type, ""
		if i := strings.LastIndexByte(name, ','); i >= 0 {
			name, rest = name[:i], name[i+1:]
		}
		optional := strings.TrimSpace(rest) == "optional"
		if optional {
			param.Type = strings.TrimSpace(name)
		}
		param.Required = !optional && param.Default == nil
		if inner, found := strings.CutPrefix(param.Type, "Optional["); found {
			param.Type, param.Nullable, param.Required = strings.TrimSuffix(inner, "]"), true, false
		}
		if param.Required {
			tool.Required = append(tool.Required, param.Name)
		}
		tool.Params = append(tool.Params, param)
	}
	return nil
}

// properties reads properties and required of an object schema. A property that is null is
// padding of a merged table and no property.
func (s *schema) properties(v Value, path string, depth int) ([]Param, []string, error) {
	required, err := requiredNames(v)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.%w", path, err)
	}
	properties, _ := v.get("properties")
	if properties.Kind == None {
		return nil, required, nil
	}
	if properties.Kind != Dict {
		return nil, nil, fmt.Errorf("%s.properties: want an object, got a %s", path, properties.Kind)
	}
	params := make([]Param, 0, len(properties.Pairs))
	for _, p := range properties.Pairs {
		if p.Value.Kind == None {
			continue
		}
		param, err := s.param(p.Value, path+".properties."+p.Key.Text, depth+1)
		if err != nil {
			return nil, nil, err
		}
		param.Name = p.Key.Text
		param.Required = slices.Contains(required, param.Name)
		params = append(params, param)
	}
	return params, required, nil
}

// param reads one schema.
func (s *schema) param(v Value, path string, depth int) (Param, error) {
	if v.Kind == Bool { // true takes any value; false none, so that its field is never right
		if !v.Bool {
			s.not(path, "false")
		}
		return Param{Nullable: v.Bool, Open: true}, nil
	}
	if v.Kind != Dict {
		return Param{}, fmt.Errorf("%s: want an object, got a %s", path, v.Kind)
	}
	if s.read++; s.read > maxSchemas || depth > maxSchemaIn {
		s.not(path, "more than can be read")
		return Param{Nullable: true, Open: true}, nil
	}
	v, ok := s.resolve(v, path)
	if !ok {
		return Param{Nullable: true, Open: true}, nil
	}
	if v.Kind == Bool {
		return s.param(v, path, depth+1)
	}
	p, err := s.plain(v, path, depth)
	if err != nil {
		return p, err
	}
	typ, _ := v.get("type")
	anything := (typ.Kind == None || typ.Text == "any") && p.Enum == nil && p.Properties == nil
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if list, _ := v.get(key); list.Kind == List {
			if err := s.combine(&p, list.Items, path, key, depth); err != nil {
				return p, err
			}
			anything = false
		}
	}
	p.Nullable = p.Nullable || anything
	for _, key := range []string{"not", "if", "patternProperties", "dependentSchemas", "prefixItems"} {
		if of, _ := v.get(key); of.Kind != None {
			s.not(path, key)
		}
	}
	return p, nil
}

// plain reads what a schema says itself.
func (s *schema) plain(v Value, path string, depth int) (p Param, err error) {
	if p.Type, p.Nullable, err = s.typeName(v, path); err != nil {
		return p, err
	}
	if p.Description, err = optionalText(v, "description"); err != nil {
		return p, fmt.Errorf("%s.%w", path, err)
	}
	if def, given := v.get("default"); given {
		p.Default = &def
	}
	if enum, given := v.get("enum"); given && enum.Kind != None {
		if enum.Kind != List {
			return p, fmt.Errorf("%s.enum: want a list, got a %s", path, enum.Kind)
		}
		p.Enum = enum.Items
		p.Nullable = p.Nullable || slices.ContainsFunc(enum.Items, func(v Value) bool { return v.Kind == None })
	}
	if flag, _ := v.get("nullable"); flag.Kind == Bool && flag.Bool {
		p.Nullable = true
	}
	if items, _ := v.get("items"); items.Kind != None {
		element, err := s.param(items, path+".items", depth+1)
		if err != nil {
			return p, err
		}
		p.Items = &element
	}
	if p.Properties, _, err = s.properties(v, path, depth); err != nil {
		return p, err
	}
	p.Open = s.open(v, path)
	return p, nil
}

// open reports whether a dict takes fields that it does not list.
func (s *schema) open(v Value, path string) bool {
	more, given := v.get("additionalProperties")
	if given && more.Kind == Dict && len(more.Pairs) > 0 {
		s.not(path, "additionalProperties")
	}
	return given && (more.Kind == Dict || more.Kind == Bool && more.Bool)
}

// combine reads anyOf, oneOf or allOf. What only one schema that is not null says holds for
// the parameter; of several, only a type that they have in common does.
func (s *schema) combine(p *Param, list []Value, path, key string, depth int) error {
	var kinds []Param
	for i, alternative := range list {
		if typ, _ := alternative.get("type"); typ.Text == "null" && key != "allOf" {
			p.Nullable = true
			continue
		}
		one, err := s.param(alternative, fmt.Sprintf("%s.%s[%d]", path, key, i), depth+1)
		if err != nil {
			return err
		}
		kinds = append(kinds, one)
	}
	if len(kinds) == 1 {
		adopt(p, kinds[0])
		return nil
	}
	for i, one := range kinds {
		p.Nullable = p.Nullable || one.Nullable && key != "allOf"
		if i > 0 && one.Type != kinds[0].Type {
			s.not(path, key)
			return nil
		}
	}
	if len(kinds) > 0 && p.Type == "" {
		p.Type = kinds[0].Type
		s.not(path, key)
	}
	return nil
}

// adopt takes over from the only alternative what the schema does not say itself.
func adopt(p *Param, from Param) {
	name, about, def := p.Name, p.Description, p.Default
	nullable, required := p.Nullable, p.Required
	if p.Type == "" && len(p.Properties) == 0 {
		*p = from
	}
	p.Name, p.Required, p.Nullable = name, required, nullable || from.Nullable
	if about != "" {
		p.Description = about
	}
	if def != nil {
		p.Default = def
	}
}

// resolve follows $ref within the parameters. ok is false, and it is noted, for one that
// leads elsewhere, to nothing, or in a circle.
func (s *schema) resolve(v Value, path string) (to Value, ok bool) {
	for range maxSchemaIn {
		ref, given := v.get("$ref")
		if !given || ref.Kind != String {
			return v, true
		}
		steps, local := strings.CutPrefix(ref.Text, "#")
		v = s.root
		for step := range strings.SplitSeq(strings.Trim(steps, "/"), "/") {
			if step == "" {
				continue
			}
			step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
			next, found := v.get(step)
			if !found {
				local = false
				break
			}
			v = next
		}
		if !local {
			s.not(path, "$ref "+Text(ref.Text).Short())
			return v, false
		}
	}
	s.not(path, "$ref in a circle")
	return v, false
}

// typeName reads the declared type. Of a list of types one that is not "null" counts, if it
// is the only one.
func (s *schema) typeName(v Value, path string) (name string, nullable bool, err error) {
	typ, _ := v.get("type")
	switch typ.Kind {
	case String, None:
		return typ.Text, typ.Text == "null", nil
	case List:
	default:
		return "", false, fmt.Errorf("%s.type: want a name, got %s", path, typ.Short())
	}
	var names []string
	for _, t := range typ.Items {
		switch {
		case t.Kind == String && t.Text == "null", t.Kind == None:
			nullable = true
		case t.Kind == String:
			names = append(names, t.Text)
		default:
			return "", false, fmt.Errorf("%s.type: want a name, got %s", path, t.Short())
		}
	}
	if len(names) == 1 {
		return names[0], nullable, nil
	}
	if len(names) > 1 {
		s.not(path, "several types")
	}
	return "", nullable, nil
}

// WithoutPadding drops the arguments that are null because a table of many tools has a column
// for each of their parameters: of a parameter that the tool does not have, or that is
// optional and not nullable. It returns how many they were; a call without any is returned
// as it is.
func (t Tool) WithoutPadding(c Call) (Call, int) {
	args, dropped := withoutPadding(c.Args, t.Params, t.Open)
	if dropped > 0 {
		c.Args = args
	}
	return c, dropped
}

func withoutPadding(args []Arg, params []Param, open bool) (kept []Arg, dropped int) {
	for _, a := range args {
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == a.Name })
		switch {
		case a.Value.Kind == None && i < 0 && !open,
			a.Value.Kind == None && i >= 0 && !params[i].Nullable && !params[i].Required:
			dropped++
			continue
		case i >= 0:
			var n int
			a.Value, n = unpad(a.Value, params[i])
			dropped += n
		}
		kept = append(kept, a)
	}
	return kept, dropped
}

// unpad does the same within a dict whose fields are declared, and within a list of them.
func unpad(v Value, p Param) (Value, int) {
	switch {
	case v.Kind == List && p.Items != nil:
		total, items := 0, slices.Clone(v.Items)
		for i := range items {
			var n int
			items[i], n = unpad(items[i], *p.Items)
			total += n
		}
		if total > 0 {
			v.Items = items
		}
		return v, total
	case v.Kind == Dict && len(p.Properties) > 0:
		args, err := ArgsOf(v)
		if err != nil {
			return v, 0
		}
		args, n := withoutPadding(args, p.Properties, p.Open)
		if n == 0 {
			return v, 0
		}
		v.Pairs = nil
		for _, a := range args {
			v.Pairs = append(v.Pairs, Pair{Text(a.Name), a.Value})
		}
		return v, n
	}
	return v, 0
}
