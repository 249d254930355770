package constrain

import (
	"encoding/json"
	"fmt"
	"regexp"

	"itool/schemas/toolcall"
)

// maxCalls bounds the calls of an answer: a small model may not find an end.
const maxCalls = 16

// identifier is a name of an argument that every reader of calls in Python takes.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// calls is a rule for an answer that is calls, as the format writes them.
func (b *builder) calls(c *Calls) (int32, error) {
	tools, err := readTools(c)
	if err != nil {
		return 0, err
	}
	var rules []int32
	for _, t := range tools {
		rule, err := b.tool(c.Format, t)
		if err != nil {
			return 0, fmt.Errorf("tool %s: %w", t.name, err)
		}
		rules = append(rules, rule)
	}
	most, between, opening, closing := 1, ", ", "[", "]"
	switch c.Format {
	case toolcall.Hermes:
		between, opening, closing = "\n", "", ""
	case toolcall.LlamaJSON:
		between, opening, closing = "; ", "", ""
	}
	if c.Many {
		most = maxCalls
	}
	one := b.choice(rules)
	return b.rule(func(next int32) int32 {
		rest := b.times(0, most-1, func(next int32) int32 {
			return b.text(between, b.call(one, next))
		}, b.text(closing, next))
		return b.text(opening, b.call(one, rest))
	}), nil
}

// tool is what a call needs of a tool.
type tool struct {
	name       string
	parameters json.RawMessage
}

// readTools reads the tools that may be called.
func readTools(c *Calls) (tools []tool, err error) {
	var list []struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
		Function   *struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		} `json:"function"`
	}
	if err := json.Unmarshal(c.Tools, &list); err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.Function != nil {
			t.Name, t.Parameters = t.Function.Name, t.Function.Parameters
		}
		if c.Name == "" || c.Name == t.Name {
			tools = append(tools, tool{t.Name, t.Parameters})
		}
	}
	if len(tools) == 0 {
		return nil, fmt.Errorf("no tool is called %.80q", c.Name)
	}
	if len(tools) > maxChoices {
		return nil, fmt.Errorf("%d tools, at most %d can be told apart", len(tools), maxChoices)
	}
	return tools, nil
}

// tool is a rule for a call of one tool.
func (b *builder) tool(f toolcall.Format, t tool) (int32, error) {
	named := []toolcall.Call{{Name: t.name}}
	if text := f.Print(named); !f.Reads(text, named) {
		return 0, fmt.Errorf("its name cannot be read back from %.80q", text)
	}
	if f == toolcall.Pythonic {
		arguments, err := b.keywordArguments(t)
		return b.rule(func(next int32) int32 { return b.text(t.name, b.call(arguments, next)) }), err
	}
	arguments, err := b.arguments(t)
	before, after := `, "parameters": `, "}"
	if f == toolcall.Hermes {
		before, after = `, "arguments": `, "}\n</tool_call>"
	}
	name := `{"name": ` + toolcall.Text(t.name).JSON() + before
	if f == toolcall.Hermes {
		name = "<tool_call>\n" + name
	}
	return b.rule(func(next int32) int32 { return b.text(name, b.call(arguments, b.text(after, next))) }), err
}

// arguments is an object of a tool's parameters.
func (b *builder) arguments(t tool) (int32, error) {
	k, root, err := parameters(t)
	if err != nil {
		return 0, err
	}
	if properties := k.fields["properties"]; len(properties.Pairs) == 0 {
		return b.rule(func(next int32) int32 { return b.text("{}", next) }), nil
	}
	return (&reader{b: b, l: jsonText, root: root, refs: map[string]int32{}}).rule(root, "$", 0)
}

// keywordArguments is (name=value, …).
func (b *builder) keywordArguments(t tool) (int32, error) {
	k, root, err := parameters(t)
	if err != nil {
		return 0, err
	}
	k.take("type")
	k.take("additionalProperties") // only what is listed is written
	r := &reader{b: b, l: pythonText, root: root, refs: map[string]int32{}}
	all, err := r.properties(k, 0, func(name string) string { return name + "=" })
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if !identifier.MatchString(p.name) {
			return 0, fmt.Errorf("$.properties: %.80q is no name of an argument in Python", p.name)
		}
	}
	if err := k.rest(); err != nil {
		return 0, err
	}
	return b.rule(func(next int32) int32 { return b.fields(pythonText, '(', ')', all, next) }), nil
}

// parameters reads a tool's parameters: a schema of an object, or nothing.
func parameters(t tool) (*keywords, toolcall.Value, error) {
	root := toolcall.Value{Kind: toolcall.Dict}
	if len(t.parameters) > maxBytes {
		return nil, root, tooLong(t.parameters)
	}
	if len(t.parameters) > 0 && string(t.parameters) != "null" {
		var err error
		if root, err = toolcall.FromJSON(t.parameters); err != nil {
			return nil, root, err
		}
	}
	k := keywordsOf(root, "$")
	if len(root.Pairs) == 0 && root.Kind == toolcall.Dict {
		return k, root, nil
	}
	if of := k.fields["type"]; of.Text != "object" && of.Text != "dict" {
		return nil, root, fmt.Errorf(`$: type: want "object", got %s`, of.Short())
	}
	return k, root, nil
}
