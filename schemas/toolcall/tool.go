package toolcall

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Tool is one callable tool as its schema describes it.
type Tool struct {
	Name        string
	Description string
	Params      []Param  // in the schema's order
	Required    []string // as the schema lists them; not every name is among Params
}

// A Param is a parameter, the element of a list, or a field of a dict.
type Param struct {
	Name        string // "" for a list's element
	Type        string // as declared: "string", "dict", "object", "ArrayList", ...; "" if undeclared
	Description string
	Required    bool
	Enum        []Value // nil: any value
	Default     *Value  // nil: none declared
	Items       *Param  // the element of a list; nil when undeclared
	Properties  []Param // the fields of a dict
}

// Param returns the parameter called name.
func (t Tool) Param(name string) (Param, bool) {
	i := slices.IndexFunc(t.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return t.Params[i], true
}

// ParseTools reads a JSON array of tools as ToolACE, BFCL and OpenAI write them. The
// parameters are a JSON-schema object whose type is "dict" or "object". A tool can be wrapped
// as {"type": "function", "function": {...}}. The tools keep their order. An error names the
// tool and the field.
func ParseTools(raw json.RawMessage) ([]Tool, error) {
	list, err := FromJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("toolcall: tools: %w", err)
	}
	if list.Kind != List {
		return nil, fmt.Errorf("toolcall: tools: want a list, got a %s", list.Kind)
	}
	tools := make([]Tool, 0, len(list.Items))
	for i, item := range list.Items {
		tool, err := parseTool(item)
		if err != nil {
			place := strconv.Itoa(i)
			if tool.Name != "" {
				place += " (" + tool.Name + ")"
			}
			return nil, fmt.Errorf("toolcall: tool %s: %w", place, err)
		}
		tools = append(tools, tool)
	}
	return tools, nil
}

func parseTool(v Value) (Tool, error) {
	if inner, wrapped := v.get("function"); wrapped && v.Kind == Dict {
		v = inner
	}
	if v.Kind != Dict {
		return Tool{}, fmt.Errorf("want an object, got a %s", v.Kind)
	}
	name, _ := v.get("name")
	tool := Tool{Name: strings.TrimSpace(name.Text)}
	if name.Kind != String || tool.Name == "" {
		return tool, fmt.Errorf("name: want a text that is not empty, got %s", name.Short())
	}
	var err error
	if tool.Description, err = optionalText(v, "description"); err != nil {
		return tool, err
	}
	parameters, given := v.get("parameters")
	if !given || parameters.Kind == None {
		return tool, nil
	}
	if err := parametersObject(parameters); err != nil {
		return tool, fmt.Errorf("parameters: %w", err)
	}
	tool.Params, tool.Required, err = parseProperties(parameters)
	if err != nil {
		return tool, fmt.Errorf("parameters.%w", err)
	}
	return tool, nil
}

// parametersObject refuses a value that would silently be read as "no parameters".
func parametersObject(v Value) error {
	if v.Kind != Dict {
		return fmt.Errorf("want an object, got a %s", v.Kind)
	}
	typ, typed := v.get("type")
	_, listed := v.get("properties")
	switch {
	case typed && typ.Kind == String && typ.Text != "dict" && typ.Text != "object":
		return fmt.Errorf(`type: want "dict" or "object", got %s`, typ.Short())
	case !listed && (!typed || typ.Kind != String) && len(v.Pairs) > 0:
		return fmt.Errorf("want type and properties, got other fields")
	}
	return nil
}

// parseProperties reads properties and required of an object schema.
func parseProperties(v Value) ([]Param, []string, error) {
	required, err := requiredNames(v)
	if err != nil {
		return nil, nil, err
	}
	properties, _ := v.get("properties")
	if properties.Kind == None {
		return nil, required, nil
	}
	if properties.Kind != Dict {
		return nil, nil, fmt.Errorf("properties: want an object, got a %s", properties.Kind)
	}
	params := make([]Param, 0, len(properties.Pairs))
	for _, p := range properties.Pairs {
		param, err := parseParam(p.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("properties.%s%w", p.Key.Text, err)
		}
		param.Name = p.Key.Text
		param.Required = slices.Contains(required, param.Name)
		params = append(params, param)
	}
	return params, required, nil
}

// requiredNames reads the list of names. A bool is the "required" flag of the field itself
// and says nothing about the fields in it.
func requiredNames(v Value) ([]string, error) {
	list, _ := v.get("required")
	if list.Kind == None || list.Kind == Bool {
		return nil, nil
	}
	if list.Kind != List {
		return nil, fmt.Errorf("required: want a list of names, got a %s", list.Kind)
	}
	var names []string
	for _, name := range list.Items {
		if name.Kind != String {
			return nil, fmt.Errorf("required: want a name, got %s", name.Short())
		}
		names = append(names, name.Text)
	}
	return names, nil
}

// parseParam reads one schema. Its errors begin with ": " or ".", because they follow a path.
func parseParam(v Value) (Param, error) {
	var p Param
	if v.Kind != Dict {
		return p, fmt.Errorf(": want an object, got a %s", v.Kind)
	}
	var err error
	if p.Type, err = typeName(v); err != nil {
		return p, fmt.Errorf(".%w", err)
	}
	if p.Description, err = optionalText(v, "description"); err != nil {
		return p, fmt.Errorf(".%w", err)
	}
	if def, given := v.get("default"); given {
		p.Default = &def
	}
	if enum, given := v.get("enum"); given && enum.Kind != None {
		if enum.Kind != List {
			return p, fmt.Errorf(".enum: want a list, got a %s", enum.Kind)
		}
		p.Enum = enum.Items
	}
	if items, given := v.get("items"); given && items.Kind != None {
		element, err := parseParam(items)
		if err != nil {
			return p, fmt.Errorf(".items%w", err)
		}
		p.Items = &element
	}
	if p.Properties, _, err = parseProperties(v); err != nil {
		return p, fmt.Errorf(".%w", err)
	}
	return p, nil
}

// typeName reads the declared type. Of a list of types it takes the first that is not "null".
func typeName(v Value) (string, error) {
	typ, _ := v.get("type")
	for _, t := range typ.Items {
		if t.Kind == String && t.Text != "null" {
			return t.Text, nil
		}
	}
	switch typ.Kind {
	case String, None:
		return typ.Text, nil
	}
	return "", fmt.Errorf("type: want a name, got %s", typ.Short())
}

func optionalText(v Value, key string) (string, error) {
	text, _ := v.get(key)
	if text.Kind != String && text.Kind != None {
		return "", fmt.Errorf("%s: want a text, got %s", key, text.Short())
	}
	return text.Text, nil
}

// Short prints a value for an error: String, cut after 60 characters.
func (v Value) Short() string {
	s := []rune(printValue(v))
	if len(s) > 60 {
		s = append(s[:60], '…')
	}
	return string(s)
}
