package toolcall_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

func TestParseTools(t *testing.T) {
	tools, err := toolcall.ParseTools([]byte(`[
		{"name": "Get It", "description": "d", "required": null, "parameters": {"type": "dict", "required": ["z"],
			"properties": {"z": {"type": "string", "enum": ["A", "B"], "description": "zed"},
				"a": {"type": "array", "items": {"type": "dict", "properties": {"k": {"type": ["null", "integer"]}}},
					"default": 10.0}}}},
		{"type": "function", "function": {"name": "wrapped", "parameters": {"type": "object", "properties": {}}}},
		{"name": "bare"}, {"name": "null", "parameters": null}]`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools {
		names = append(names, tool.Name)
	}
	if got := strings.Join(names, ","); got != "Get It,wrapped,bare,null" {
		t.Errorf("names %s", got)
	}
	z, a := tools[0].Params[0], tools[0].Params[1]
	if z.Name != "z" || !z.Required || len(z.Enum) != 2 || z.Enum[1].Text != "B" || z.Description != "zed" {
		t.Errorf("z = %+v", z)
	}
	if a.Required || a.Items == nil || a.Items.Properties[0].Type != "integer" ||
		a.Default == nil || a.Default.String() != "10.0" {
		t.Errorf("a = %+v", a)
	}
}

func TestParseToolsErrors(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"no JSON", `[{`, "json: byte"},
		{"two values", `[] []`, "more than one"},
		{"no list", `{"name": "f"}`, "want a list, got a dict"},
		{"tool is no object", `[{"name": "f"}, "g"]`, "tool 1: want an object, got a string"},
		{"no name", `[{"description": "x"}]`, "tool 0: name"},
		{"blank name", `[{"name": " "}]`, "tool 0: name"},
		{"parameters is a list", `[{"name": "f", "parameters": []}]`, "tool 0 (f): parameters: want an object"},
		{"parameters without a schema", `[{"name": "f", "parameters": {"x": "string"}}]`,
			"tool 0 (f): parameters: want type"},
		{"parameters of another type", `[{"name": "f", "parameters": {"type": "array"}}]`, "parameters: type"},
		{"properties is a list", `[{"name": "f", "parameters": {"type": "dict", "properties": []}}]`,
			"parameters.properties"},
		{"property is a string", `[{"name": "f", "parameters": {"type": "dict", "properties": {"a": "x"}}}]`,
			"parameters.properties.a: want an object"},
		{"type is a number", `[{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": 1}}}}]`,
			"properties.a.type: want a name"},
		{"enum is a string", `[{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"enum": "x"}}}}]`,
			"properties.a.enum"},
		{"items is a string", `[{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"items": "x"}}}}]`,
			"properties.a.items: want an object"},
		{"required holds a number", `[{"name": "f", "parameters": {"type": "dict", "required": [1]}}]`,
			"parameters.required"},
		{"too deep", strings.Repeat("[", 500), "200 levels"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := toolcall.ParseTools([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzParseTools(f *testing.F) {
	f.Add([]byte(`[{"name": "f", "description": "d", "parameters": {"type": "dict", "required": ["s"], "properties": {
		"s": {"type": "string"}, "l": {"type": "array", "items": {"type": "string"}}, "d": {"type": "dict"}}}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tools, err := toolcall.ParseTools(raw)
		if err != nil {
			return
		}
		for _, tool := range tools {
			if tool.Name == "" {
				t.Fatalf("%q: a tool without a name", raw)
			}
		}
	})
}
