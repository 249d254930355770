package toolcall_test

import (
	"fmt"
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

// TestSchemas: what people write into a tool's parameters is read, and what no check of an
// answer can know is said.
func TestSchemas(t *testing.T) {
	wrap := func(properties string) string {
		return `[{"name": "f", "parameters": {"type": "object", "properties": {` + properties + `}, "required": ["a"],
			"$defs": {"City": {"type": "string", "description": "a city"}, "Loop": {"$ref": "#/$defs/Loop"},
			"Tree": {"type": "object", "properties": {"kids": {"type": "array",
			"items": {"$ref": "#/$defs/Tree"}}}}}}}]`
	}
	for _, c := range []struct{ name, tools, want, unchecked string }{
		{"true takes anything", wrap(`"a": true`), "a:! null", ""},
		{"false takes nothing", wrap(`"a": false`), "a:!", "parameters.properties.a: false"},
		{"a reference", wrap(`"a": {"$ref": "#/$defs/City"}`), "a:string!", ""},
		{"a reference to nothing", wrap(`"a": {"$ref": "#/$defs/Town"}`), "a:! null", `$ref '#/$defs/Town'`},
		{"a reference elsewhere", wrap(`"a": {"$ref": "https://x.y/z.json"}`), "a:! null",
			"$ref 'https://x.y/z.json'"},
		{"a circle", wrap(`"a": {"$ref": "#/$defs/Loop"}`), "a:! null", "$ref in a circle"},
		{"a schema in itself", wrap(`"a": {"$ref": "#/$defs/Tree"}`), "a:object!", "more than can be read"},
		{"anyOf with null", wrap(`"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}`), "a:integer! null", ""},
		{"anyOf of two types", wrap(`"a": {"anyOf": [{"type": "integer"}, {"type": "string"}]}`), "a:!", "a: anyOf"},
		{"anyOf of references", wrap(`"a": {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]}`),
			"a:string! null", ""},
		{"allOf of one", wrap(`"a": {"allOf": [{"$ref": "#/$defs/City"}], "default": "x"}`), "a:string!", ""},
		{"two types", wrap(`"a": {"type": ["string", "integer"]}`), "a:!", "a: several types"},
		{"a type and null", wrap(`"a": {"type": ["null", "string"]}`), "a:string! null", ""},
		{"an enum with null", wrap(`"a": {"type": "string", "enum": ["x", null]}`), "a:string! null", ""},
		{"nullable", wrap(`"a": {"type": "string", "nullable": true}`), "a:string! null", ""},
		{"padding of a merged table", wrap(`"a": {"type": "string"}, "b": null, "c": null`), "a:string!", ""},
		{"a pattern", wrap(`"a": {"type": "object", "patternProperties": {"^x": {}}}`), "a:object!",
			"a: patternProperties"},
		{"MCP", `[{"name": "f",
			"inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}]`, "a:string", ""},
		{"MCP elsewhere", `[{"name": "f", "parameters": null,
			"input_schema": {"type": "object", "properties": {"a": {}}}}]`,
			"a: null", ""},
		{"xLAM's map", `[{"name": "f", "parameters": {"a": {"type": "str", "description": "x"},
			"b": {"type": "int, optional", "description": "y"}, "c": {"type": "List[int]", "default": "1"},
			"d": {"type": "Dict[str, int]"}, "e": {"type": "Optional[str]"}}}]`,
			"a:str! b:int c:List[int] d:Dict[str, int]! e:str null", ""},
		{"a parameter called type", `[{"name": "f", "parameters": {"type": {"type": "str"}}}]`, "type:str!", ""},
		{"a parameter called properties", `[{"name": "f",
			"parameters": {"properties": {"type": "str", "description": "x"}}}]`,
			"properties:str!", ""},
		{"a wrapper that is null", `[{"name": "f", "function": null, "parameters": {}}]`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tools, err := toolcall.ParseTools([]byte(c.tools))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range tools[0].Params {
				s := p.Name + ":" + p.Type
				if p.Required {
					s += "!"
				}
				if p.Nullable {
					s += " null"
				}
				got = append(got, s)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), c.want)
			}
			if notes := strings.Join(tools[0].Unchecked, "; "); !strings.Contains(notes, c.unchecked) ||
				(notes == "") != (c.unchecked == "") {
				t.Errorf("unchecked %q, want %q", notes, c.unchecked)
			}
		})
	}
}

// TestSchemaBomb: a few references that stand for 2^60 schemas are read in no time.
func TestSchemaBomb(t *testing.T) {
	defs := `"d0": {"type": "string"}`
	for i := range 60 {
		defs += fmt.Sprintf(`, "d%d": {"type": "object", "properties": {"x": {"$ref": "#/$defs/d%d"},
			"y": {"$ref": "#/$defs/d%[2]d"}}}`, i+1, i)
	}
	tools, err := toolcall.ParseTools([]byte(`[{"name": "f", "parameters": {"type": "object", "properties":
		{"a": {"$ref": "#/$defs/d60"}}, "$defs": {` + defs + `}}}]`))
	if err != nil || len(tools[0].Unchecked) == 0 {
		t.Errorf("%v, unchecked %v", err, tools[0].Unchecked)
	}
}

func TestWithoutPadding(t *testing.T) {
	tools, err := toolcall.ParseTools([]byte(`[{"name": "f", "parameters": {"type": "object", "required": ["a"],
		"properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": ["string", "null"]}, "any": {},
		"in": {"type": "object", "properties": {"x": {"type": "integer"}}},
		"free": {"type": "object"},
		"list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}}}}},
		{"name": "g", "parameters": {"type": "object", "properties": {}, "additionalProperties": true}},
		{"name": "h"}]`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"[f(a='x', b=None, q=None)]":                   "[f(a='x')] 2",
		"[f(a=None, c=None, any=None)]":                "[f(a=None, c=None, any=None)] 0",
		"[f(in={'x': None, 'y': None, 'z': 1})]":       "[f(in={'z': 1})] 2",
		"[f(free={'x': None})]":                        "[f(free={'x': None})] 0",
		"[f(list=[{'x': 1}, {'x': None, 'y': None}])]": "[f(list=[{'x': 1}, {}])] 2",
		"[g(a=None)]":      "[g(a=None)] 0",
		"[h(a=None, b=1)]": "[h(b=1)] 1",
	} {
		calls, err := toolcall.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range tools {
			if tool.Name != calls[0].Name {
				continue
			}
			got, n := tool.WithoutPadding(calls[0])
			if s := fmt.Sprint(toolcall.Print([]toolcall.Call{got}), " ", n); s != want {
				t.Errorf("%s: got %s, want %s", in, s, want)
			}
			if toolcall.Print(calls) != in {
				t.Errorf("%s was changed", in)
			}
		}
	}
}
