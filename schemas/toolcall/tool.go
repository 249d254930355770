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
	Open        bool     // it takes parameters that it does not list
	// Unchecked names what the schema says and no check of an answer knows, such as
	// "parameters.size: anyOf".
	Unchecked []string
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
	Nullable    bool    // null is one of its values
	Open        bool    // of a dict: it takes fields that it does not list
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
// parameters are a JSON-schema object whose type is "dict" or "object", or a flat map from a
// name to its schema, as xLAM writes them. MCP calls them inputSchema. A tool can be wrapped
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
	if inner, _ := v.get("function"); inner.Kind == Dict || inner.Kind != None && v.Kind == Dict {
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
	field, parameters := "parameters", Value{}
	for _, name := range []string{"parameters", "inputSchema", "input_schema"} { // the others are MCP's
		if p, _ := v.get(name); p.Kind != None {
			field, parameters = name, p
			break
		}
	}
	if parameters.Kind == None {
		return tool, nil
	}
	s := &schema{root: parameters}
	err = s.parameters(&tool, parameters, field)
	tool.Unchecked = s.unchecked
	return tool, err
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
