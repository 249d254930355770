package constrain_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"itool/ops/serve/constrain"
	"itool/schemas/toolcall"
)

// words are tokens besides the single bytes: pieces that cross the borders of JSON's parts.
var words = []string{
	"null", "true", "fal", "se", `{"`, `"}`, `": `, `", "`, `"a": `, "abc", "Oslo", "é", "\xe2\x82", "😀", "  ",
	"\n  ", `\"`,
	`\u00`, "12", "-1", "0.5", "]]", `}, {`, `"name`, "<tool_call>\n", `{"name": "`,
	"\n</tool_call>", "'", "', ", "=", "[f(",
	`", "arguments": {`, `}}`, "None", "True",
}

const end = 256

// vocabulary has the 256 bytes, an end, a control token, and words.
func vocabulary(t testing.TB) (*constrain.Vocabulary, [][]byte) {
	t.Helper()
	var tokens [][]byte
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	tokens = append(tokens, []byte("<|end|>"), []byte("<|start|>"))
	for _, w := range words {
		tokens = append(tokens, []byte(w))
	}
	v, err := constrain.NewVocabulary(len(tokens)+3, func(id int32) []byte {
		if int(id) < len(tokens) {
			return tokens[id]
		}
		return nil // rows of the embedding that no token has
	}, func(id int32) bool { return id == end || id == end+1 }, []int32{end})
	if err != nil {
		t.Fatal(err)
	}
	return v, tokens
}

func compile(t testing.TB, s constrain.Spec) (*constrain.Grammar, [][]byte) {
	t.Helper()
	v, tokens := vocabulary(t)
	g, err := constrain.Compile(v, s)
	if err != nil {
		t.Fatal(err)
	}
	return g, tokens
}

func has(set []uint64, id int) bool { return id>>6 < len(set) && set[id>>6]>>(id&63)&1 != 0 }

// takes tells whether a grammar takes a text, byte by byte, and may end behind it.
func takes(t testing.TB, g *constrain.Grammar, text string) bool {
	t.Helper()
	m := g.Matcher()
	for i := range len(text) {
		set, err := m.Allowed()
		if err != nil {
			t.Fatal(err)
		}
		if !has(set, int(text[i])) {
			return false
		}
		m.Accept(int32(text[i]))
	}
	set, err := m.Allowed()
	return err == nil && has(set, end) && m.Done()
}

// schemas with texts that they take, and texts that they do not.
var schemas = map[string]struct {
	schema   string
	yes, not []string
}{
	"text": {`{"type": "string", "description": "a city"}`, []string{`""`, `"Oslo"`, `"a\"\\\u00e9é😀"`},
		[]string{"", "Oslo", `"`, "\"\n\"", `"\x"`, `"\ud83d"`, "\"\xff\"", "\"\xc0\x80\"", `"a" `, `""""`}},
	"length": {`{"type": "string", "minLength": 1, "maxLength": 3}`, []string{`"a"`, `"é😀c"`, `"\n\"x"`},
		[]string{`""`, `"abcd"`}},
	"at least": {`{"minLength": 2}`, []string{`"ab"`, `"abcdef"`}, []string{`"a"`, "1"}},
	"integer": {`{"type": "integer"}`, []string{"0", "-7", "123456789012345"},
		[]string{"", "-", "01", "1.5", "1e3", "1234567890123456", "+1"}},
	"number": {`{"type": "number"}`, []string{"0", "-0.25", "1e-9", "12E+3"}, []string{".5", "1.", "1e", "NaN"}},
	"bounds": {`{"type": "integer", "minimum": -12, "exclusiveMaximum": 105}`,
		[]string{"-12", "-3", "0", "9", "10", "99", "100", "104"}, []string{"-13", "105", "200", "1000", "-100"}},
	"share": {`{"type": "number", "minimum": 0, "maximum": 1}`, []string{"0", "1", "0.75"},
		[]string{"1.5", "-0.5", "2", "1.0"}},
	"below zero": {`{"type": "number", "minimum": -3, "maximum": -1}`, []string{"-1", "-3", "-1.5", "-2.9"},
		[]string{"-0.5", "-3.5", "0", "-4"}},
	"enum": {`{"enum": ["a", "ab", 1, null, {"x": [true]}]}`,
		[]string{`"a"`, `"ab"`, "1", "null", `{"x": [true]}`}, []string{`"b"`, "2", `{"x": [false]}`, `"a`}},
	"enum of a type": {`{"type": ["string", "null"], "enum": ["a", 1, null]}`, []string{`"a"`, "null"}, []string{"1"}},
	"const":          {`{"const": null}`, []string{"null"}, []string{"0"}},
	"types":          {`{"type": ["integer", "null"], "minimum": 1}`, []string{"1", "null"}, []string{"0", `"1"`}},
	"nullable":       {`{"type": "boolean", "nullable": true}`, []string{"true", "false", "null"}, []string{"0"}},
	"object": {`{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {}},
		"required": ["b"], "additionalProperties": false}`,
		[]string{`{"a":1,"b":"x"}`, `{"b": "x"}`, "{\n  \"a\": 1,\n  \"b\": \"x\",\n  \"c\": [null]\n}",
			`{"b":"","c":{"d":1}}`},
		[]string{`{}`, `{"a":1}`, `{"b":"x","a":1}`, `{"b":"x",}`, `{"b":"x","d":1}`, `{,"b":"x"}`, `{"b" : "x"}`}},
	"optional only": {`{"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}`,
		[]string{`{}`, `{"a":1}`, `{"b":1}`, `{"a":1,"b":2}`}, []string{`{"a":1 "b":2}`, `{"c":1}`, `{,"b":1}`}},
	"no properties": {`{"type": "object", "properties": {}}`, []string{"{}"}, []string{`{"a":1}`}},
	"map": {`{"type": "object", "additionalProperties": {"type": "integer"}}`, []string{"{}", `{"x":1, "y":2}`},
		[]string{`{"x":"1"}`}},
	"any object": {`{"type": "object"}`, []string{"{}", `{"x":{"y":[]}}`}, []string{"[]"}},
	"list": {`{"type": "array", "items": {"type": "integer"}}`, []string{"[]", "[1]", "[1, 2,3]"},
		[]string{"[1,]", "[,1]", "[a]"}},
	"list of two": {`{"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}`,
		[]string{"[1,2]", "[1,2,3]"}, []string{"[]", "[1]", "[1,2,3,4]"}},
	"empty list":  {`{"type": "array", "maxItems": 0}`, []string{"[]"}, []string{"[1]"}},
	"two or more": {`{"type": "array", "minItems": 2}`, []string{"[1,2]", `[1,"",3,4]`}, []string{"[1]"}},
	"any of": {`{"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]}`,
		[]string{"1", `["a"]`}, []string{`"a"`, "[1]"}},
	"all of one": {`{"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"type": "null"}}, "title": "X"}`,
		[]string{"null"}, []string{"1"}},
	"reference": {`{"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "boolean"}}}`, []string{"true"},
		[]string{"1"}},
	"recursion": {`{"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"},
		{"type": "null"}]}}, "required": ["v", "next"]}`,
		[]string{`{"v":1,"next":null}`, `{"v":1,"next":{"v":2,"next":null}}`},
		[]string{`{"v":1}`, `{"v":1,"next":{}}`}},
	"aliases": {`{"type": "dict", "properties": {"x": {"type": "float"}}}`, []string{`{"x": 0.5}`},
		[]string{`{"x": "a"}`}},
	"true": {`true`, []string{"1", `{"a":[1,{"b":null}]}`, `"x"`, "[[[]]]"}, []string{"tru", "[", "[1}"}},
}

func TestSchemas(t *testing.T) {
	for name, c := range schemas {
		t.Run(name, func(t *testing.T) {
			g, _ := compile(t, constrain.Spec{Schema: json.RawMessage(c.schema)})
			for _, text := range c.yes {
				if !takes(t, g, text) {
					t.Errorf("%s: %q is not taken", c.schema, text)
				}
			}
			for _, text := range c.not {
				if takes(t, g, text) {
					t.Errorf("%s: %q is taken", c.schema, text)
				}
			}
		})
	}
}

// TestSets: a set of tokens has exactly the tokens that can be followed byte by byte.
func TestSets(t *testing.T) {
	for name, c := range schemas {
		g, tokens := compile(t, constrain.Spec{Schema: json.RawMessage(c.schema)})
		bytewise, _ := compile(t, constrain.Spec{Schema: json.RawMessage(c.schema)})
		for _, text := range c.yes {
			for at := range len(text) + 1 {
				m := g.Matcher()
				for i := range at {
					m.Accept(int32(text[i]))
				}
				set, err := m.Allowed()
				if err != nil {
					t.Fatal(err)
				}
				for id, token := range tokens {
					want := id != end+1 && follows(t, bytewise, text[:at], string(token))
					if id == end {
						want = m.Done()
					}
					if has(set, id) != want {
						t.Errorf("%s: behind %q %q is allowed: %t, want %t", name, text[:at], token, has(set, id), want)
					}
				}
				if has(set, len(tokens)) {
					t.Errorf("%s: behind %q a token without bytes is allowed", name, text[:at])
				}
			}
		}
	}
}

// follows tells whether a grammar takes more behind a text.
func follows(t *testing.T, g *constrain.Grammar, text, more string) bool {
	m := g.Matcher()
	for _, b := range []byte(text) {
		m.Accept(int32(b))
	}
	for _, b := range []byte(more) {
		set, err := m.Allowed()
		if err != nil {
			t.Fatal(err)
		}
		if !has(set, int(b)) {
			return false
		}
		m.Accept(int32(b))
	}
	return true
}

// draw draws allowed tokens at random until an end, or most tokens. It prefers what is short, so that it ends.
func draw(t testing.TB, g *constrain.Grammar, tokens [][]byte, random *rand.Rand, most int) (string, bool) {
	t.Helper()
	m, out := g.Matcher(), []byte(nil)
	for range most {
		set, err := m.Allowed()
		if err != nil {
			t.Fatalf("behind %q: %v", out, err)
		}
		var ids, closing []int
		for id := range tokens {
			if !has(set, id) {
				continue
			}
			if ids = append(ids, id); id == end || strings.ContainsAny(string(tokens[id]), "]})\"'") {
				closing = append(closing, id)
			}
		}
		if len(ids) == 0 {
			t.Fatalf("behind %q nothing is allowed", out)
		}
		if len(closing) > 0 && random.IntN(3) > 0 {
			ids = closing
		}
		id := ids[random.IntN(len(ids))]
		m.Accept(int32(id))
		if id == end {
			return string(out), true
		}
		out = append(out, tokens[id]...)
	}
	return string(out), false
}

// TestDraws: each random draw is JSON that the schema allows, by an obvious validator.
func TestDraws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range schemas {
		g, tokens := compile(t, constrain.Spec{Schema: json.RawMessage(c.schema)})
		root, err := toolcall.FromJSON([]byte(c.schema))
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		for range 200 {
			text, whole := draw(t, g, tokens, random, 400)
			if !whole {
				continue
			}
			ended++
			v, err := toolcall.FromJSON([]byte(text))
			if err != nil || !utf8.ValidString(text) {
				t.Errorf("%s: %q: %v", name, text, err)
			} else if why := invalid(root, root, v); why != "" {
				t.Errorf("%s: %q: %s", name, text, why)
			}
		}
		if ended < 100 {
			t.Errorf("%s: %d of 200 draws ended", name, ended)
		}
	}
}

// TestObject: json_object is any object.
func TestObject(t *testing.T) {
	g, tokens := compile(t, constrain.Spec{Object: true})
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		text, whole := draw(t, g, tokens, random, 500)
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); whole && err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if deep := strings.Repeat(`{"a":`, 120) + "1" + strings.Repeat("}", 120); !takes(t, g, deep) {
		t.Error("120 objects in each other are not taken")
	}
	if deep := strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200); takes(t, g, deep) {
		t.Error("200 objects in each other are taken")
	}
}

const tools = `[{"type": "function", "function": {"name": "weather", "description": "d",
	"parameters": {"type": "object",
	"properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "it's"]},
	"more": {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "boolean"}}}}},
	"required": ["city"]}}},
	{"type": "function", "function": {"name": "now"}},
	{"type": "function", "function": {"name": "we", "parameters": {"type": "object", "properties": {}}}}]`

// TestCalls: what is drawn is read as calls of the tools, with arguments that the schema allows.
func TestCalls(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, f := range []toolcall.Format{toolcall.Pythonic, toolcall.Hermes, toolcall.LlamaJSON} {
		for _, c := range []constrain.Calls{{}, {Many: true}, {Name: "weather"}, {Name: "now"}} {
			c.Format, c.Tools = f, json.RawMessage(tools)
			g, tokens := compile(t, constrain.Spec{Calls: &c})
			ended, several := 0, 0
			for range 150 {
				text, whole := draw(t, g, tokens, random, 600)
				if !whole {
					continue
				}
				ended++
				calls, err := f.Read(text)
				if err != nil || len(calls) == 0 || len(calls) > 1 && !c.Many {
					t.Fatalf("%s, %+v: %q: %v, %v", f, c.Name, text, calls, err)
				}
				several += len(calls) - 1
				for _, call := range calls {
					checkCall(t, call, c.Name, text)
				}
			}
			if ended < 60 || c.Many && several == 0 {
				t.Errorf("%s, %q: %d of 150 draws ended, %d further calls", f, c.Name, ended, several)
			}
		}
		// What a model writes by itself is taken.
		c := &constrain.Calls{Format: f, Tools: json.RawMessage(tools), Many: true}
		g, _ := compile(t, constrain.Spec{Calls: c})
		text := f.Print([]toolcall.Call{{Name: "weather", Args: []toolcall.Arg{
			{Name: "city", Value: toolcall.Text("Tromsø")}, {Name: "days", Value: toolcall.Integer(3)},
		}}, {Name: "now"}})
		if !takes(t, g, text) {
			t.Errorf("%s: %q is not taken", f, text)
		}
	}
}

func checkCall(t *testing.T, call toolcall.Call, only, text string) {
	t.Helper()
	city, given := call.Arg("city")
	days, _ := call.Arg("days")
	switch {
	case only != "" && call.Name != only:
		t.Errorf("%q calls %s", text, call.Name)
	case call.Name == "weather" && (!given || city.Kind != toolcall.String):
		t.Errorf("%q: city is %v", text, city)
	case call.Name == "weather" && days.Kind != toolcall.Int && days.Kind != toolcall.None:
		t.Errorf("%q: days is %v", text, days)
	case call.Name != "weather" && len(call.Args) > 0:
		t.Errorf("%q: arguments of %s", text, call.Name)
	case !slices.Contains([]string{"weather", "now", "we"}, call.Name):
		t.Errorf("%q: calls %s", text, call.Name)
	}
}

// TestEither: an answer is calls or JSON.
func TestEither(t *testing.T) {
	g, _ := compile(t, constrain.Spec{
		Schema: json.RawMessage(`{"type": "integer"}`),
		Calls:  &constrain.Calls{Format: toolcall.Hermes, Tools: json.RawMessage(tools)},
	})
	for text, want := range map[string]bool{
		"7": true, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>": true, "seven": false,
	} {
		if takes(t, g, text) != want {
			t.Errorf("%q: taken %t", text, !want)
		}
	}
}

// TestRefusals: what is not supported, broken or too large is refused by name and place.
func TestRefusals(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"items":`, n) + "{}" + strings.Repeat("}", n) }
	var wide []string
	for i := range 3000 {
		wide = append(wide, fmt.Sprintf(`"p%d": {"type": "string"}`, i))
	}
	for want, schema := range map[string]string{
		"$: oneOf: is not supported":            `{"oneOf": [{}, {}]}`,
		"$.properties.a: multipleOf: is not":    `{"properties": {"a": {"type": "integer", "multipleOf": 2}}}`,
		"$: allOf: several":                     `{"allOf": [{}, {}]}`,
		"$: not: is not supported":              `{"type": "string", "not": {}}`,
		"$.items: if: is not":                   `{"items": {"if": {}}}`,
		"$: minLength: is not supported":        `{"type": "integer", "minLength": 3}`,
		"$: patternProperties: is not":          `{"type": "object", "patternProperties": {}}`,
		"$: minProperties: is not":              `{"type": "object", "minProperties": 1}`,
		"$: uniqueItems: is not":                `{"type": "array", "uniqueItems": true}`,
		"$: prefixItems: is not":                `{"type": "array", "prefixItems": []}`,
		"$: title2: is not":                     `{"type": "array", "title2": 1}`,
		"$: type: 'text' is none":               `{"type": "text"}`,
		"$: required: 'x' is not among":         `{"properties": {"a": {}}, "required": ["x"]}`,
		"$: required: want a list":              `{"properties": {"a": {}}, "required": true}`,
		"$: enum: has no value":                 `{"type": "string", "enum": [1]}`,
		"$: enum: want a list":                  `{"enum": 3}`,
		"$: minimum: no number":                 `{"type": "integer", "minimum": 3, "maximum": 2}`,
		"$: minimum: 0.5 is not supported":      `{"type": "number", "minimum": 0.5}`,
		"$: exclusiveMinimum: is not":           `{"type": "number", "exclusiveMinimum": 0}`,
		"$: minLength: 9 is more":               `{"type": "string", "minLength": 9, "maxLength": 2}`,
		"$: maxLength: 99999 is not":            `{"type": "string", "maxLength": 99999}`,
		"$: $ref: 'http://x' leads to nothing":  `{"$ref": "http://x"}`,
		"$: $ref: '#/nowhere' leads to nothing": `{"$ref": "#/nowhere"}`,
		"refers to itself":                      `{"anyOf": [{"$ref": "#"}, {"type": "null"}]}`,
		"no value of finite depth":              `{"properties": {"a": {"$ref": "#"}}, "required": ["a"]}`,
		"more than 32 schemas in each other":    nested(40),
		"holds more than 2000 schemas":          `{"properties": {` + strings.Join(wide, ",") + `}}`,
		"bytes, at most":                        `{"title": "` + strings.Repeat("x", 300<<10) + `"}`,
		"more than 200 levels":                  nested(500),
		"automaton has more than 200000 nodes":  `{"enum": ["` + strings.Repeat("x", 210_000) + `"]}`,
		"want a schema, got 3":                  `3`,
		"want a schema, got False":              `false`,
		"json: byte":                            `{"type": `,
		"$.anyOf[1]: const2":                    `{"anyOf": [{}, {"const2": 1}]}`,
	} {
		v, _ := vocabulary(t)
		_, err := constrain.Compile(v, constrain.Spec{Schema: json.RawMessage(schema)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v, want an error with %q", schema, err, want)
		}
	}
}

// TestRefusesCalls: the same for tools.
func TestRefusesCalls(t *testing.T) {
	v, _ := vocabulary(t)
	for want, c := range map[string]constrain.Calls{
		`no tool is called "x"`: {Tools: json.RawMessage(tools), Name: "x"},
		"tool f: $: type":       {Tools: json.RawMessage(`[{"name": "f", "parameters": {"city": {"type": "str"}}}]`)},
		"tool f: $.properties.a: format": {Tools: json.RawMessage(
			`[{"name": "f", "parameters": {"type": "object", "properties": {"a": {"format": "date"}}}}]`)},
		"tool f: $: oneOf": {Tools: json.RawMessage(`[{"name": "f", "parameters": {"type": "object", "oneOf": []}}]`)},
		"its name cannot":  {Tools: json.RawMessage(`[{"name": "f[", "parameters": {}}]`)},
		"no name of an argument": {Tools: json.RawMessage(
			`[{"name": "f", "parameters": {"type": "object", "properties": {"a b": {}}}}]`)},
	} {
		c.Format = toolcall.Pythonic
		_, err := constrain.Compile(v, constrain.Spec{Calls: &c})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", c.Tools, err, want)
		}
	}
	_, err := constrain.NewVocabulary(3, func(id int32) []byte { return []byte{byte('a' + id)} },
		func(int32) bool { return false }, []int32{2})
	if err == nil || !strings.Contains(err.Error(), "single byte") {
		t.Errorf("a vocabulary without bytes: %v", err)
	}
}

// invalid is the obvious validator: why a value is not of a schema, or "".
func invalid(root, schema, v toolcall.Value) string {
	if schema.Kind == toolcall.Bool {
		return ""
	}
	get := func(v toolcall.Value, key string) (toolcall.Value, bool) {
		for _, p := range v.Pairs {
			if p.Key.Text == key {
				return p.Value, true
			}
		}
		return toolcall.Value{}, false
	}
	if ref, ok := get(schema, "$ref"); ok {
		at := root
		for _, step := range strings.Split(strings.TrimLeft(ref.Text, "#/"), "/") {
			if step != "" {
				at, _ = get(at, strings.ReplaceAll(step, "~1", "/"))
			}
		}
		return invalid(root, at, v)
	}
	for _, key := range []string{"anyOf", "allOf"} {
		if list, ok := get(schema, key); ok {
			for _, s := range list.Items {
				if invalid(root, s, v) == "" {
					return ""
				}
			}
			return "none of " + key
		}
	}
	if of, ok := get(schema, "const"); ok && of.JSON() != v.JSON() {
		return "not the const"
	}
	if list, ok := get(schema, "enum"); ok &&
		!slices.ContainsFunc(list.Items, func(e toolcall.Value) bool { return e.JSON() == v.JSON() }) {
		return "not in the enum"
	}
	if of, ok := get(schema, "type"); ok {
		names := []string{of.Text}
		for _, n := range of.Items {
			names = append(names, n.Text)
		}
		if n, _ := get(schema, "nullable"); n.Bool {
			names = append(names, "null")
		}
		kinds := map[toolcall.Kind][]string{
			toolcall.Dict: {"object", "dict"}, toolcall.List: {"array"}, toolcall.String: {"string"},
			toolcall.Int: {"integer", "number", "float"}, toolcall.Float: {"number", "float"},
			toolcall.Bool: {"boolean"}, toolcall.None: {"null"},
		}
		if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(kinds[v.Kind], n) }) {
			return v.Kind.String() + " is none of " + strings.Join(names, ", ")
		}
	}
	number := func(key string, otherwise float64) float64 {
		of, ok := get(schema, key)
		var f float64
		if !ok || json.Unmarshal([]byte(of.JSON()), &f) != nil {
			return otherwise
		}
		return f
	}
	within := func(n, low, high float64) bool { return n >= low && n <= high }
	switch v.Kind {
	case toolcall.String:
		if n := float64(utf8.RuneCountInString(v.Text)); !within(n, number("minLength", 0), number("maxLength", 1e9)) {
			return "its length"
		}
	case toolcall.Int, toolcall.Float:
		var n float64
		_ = json.Unmarshal([]byte(v.JSON()), &n)
		if !within(n, number("minimum", -1e300), number("maximum", 1e300)) || n >= number("exclusiveMaximum", 1e300) {
			return "its size"
		}
	case toolcall.List:
		if !within(float64(len(v.Items)), number("minItems", 0), number("maxItems", 1e9)) {
			return "its number of items"
		}
		if of, ok := get(schema, "items"); ok {
			for _, item := range v.Items {
				if why := invalid(root, of, item); why != "" {
					return "an item: " + why
				}
			}
		}
	case toolcall.Dict:
		list, _ := get(schema, "properties")
		more, _ := get(schema, "additionalProperties")
		for _, p := range v.Pairs {
			s, known := get(list, p.Key.Text)
			if !known && more.Kind == toolcall.Bool && !more.Bool {
				return "another property"
			}
			if !known {
				s = more
			}
			if s.Kind != toolcall.None {
				if why := invalid(root, s, p.Value); why != "" {
					return p.Key.Text + ": " + why
				}
			}
		}
		required, _ := get(schema, "required")
		for _, name := range required.Items {
			if _, ok := get(v, name.Text); !ok {
				return name.Text + " is missing"
			}
		}
	}
	return ""
}
