package template_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/policy/template"
)

// thirdParty returns the folder of real chat templates beside the repository.
func thirdParty(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "..", "shared", "data", "chat_templates")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("third-party data not present: chat_templates")
	}
	return dir
}

func compile(t testing.TB, source string) *template.Template {
	t.Helper()
	x, err := template.New(source, "<s>", "</s>")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestGolden(t *testing.T) {
	dir := thirdParty(t)
	templates := map[string]*template.Template{}
	for name, file := range map[string]string{"qwen25": "qwen2_5.jinja", "llama31": "llama3_1.jinja"} {
		source, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		templates[name] = compile(t, string(source))
	}
	f, err := os.Open(filepath.Join(dir, "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n, called := 0, 0
	for ; lines.Scan(); n++ {
		var c struct {
			Tmpl, Name string
			Ctx        json.RawMessage
			Out, Err   *string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		got, err := templates[c.Tmpl].Execute(c.Ctx)
		switch {
		case c.Err != nil && err == nil:
			t.Errorf("case %d %s %s: got %q, want an error as Python's %s", n, c.Tmpl, c.Name, got, *c.Err)
		case c.Err == nil && (err != nil || got != *c.Out):
			t.Errorf("case %d %s %s: %v\n got %q\nwant %q", n, c.Tmpl, c.Name, err, got, *c.Out)
		}
		if calls := callsOf(t, c.Ctx); c.Err == nil && len(calls) > 0 {
			called++
			want := toolcall.FormatOfTemplate(templates[c.Tmpl].Source()).Print(calls)
			if !strings.Contains(got, want) {
				t.Errorf("case %d %s %s: the template writes calls otherwise than %q:\n%q",
					n, c.Tmpl, c.Name, want, got)
			}
		}
	}
	if called == 0 {
		t.Error("no case has calls of the assistant")
	}
	if n != 64 {
		t.Errorf("%d cases, want 64", n)
	}
}

// TestTemplatesWriteCalls: real templates write every call as Print does.
func TestTemplatesWriteCalls(t *testing.T) {
	dir := thirdParty(t)
	for file, format := range map[string]toolcall.Format{"qwen2_5.jinja": toolcall.Hermes,
		"llama3_1.jinja": toolcall.LlamaJSON} {
		source, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		x := compile(t, string(source))
		if got := toolcall.FormatOfTemplate(x.Source()); got != format {
			t.Errorf("%s asks for %s, want %s", file, got, format)
		}
		for name, calls := range toolcalltest.Calls(t) {
			if format == toolcall.LlamaJSON {
				calls = calls[:1] // it refuses more
			}
			var asked []any
			for _, c := range calls {
				asked = append(asked, map[string]any{"type": "function",
					"function": map[string]any{"name": c.Name, "arguments": json.RawMessage(c.JSON())}})
			}
			ctx, err := json.Marshal(map[string]any{"messages": []any{
				map[string]any{"role": "user", "content": "?"},
				map[string]any{"role": "assistant", "tool_calls": asked},
			}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Execute(ctx)
			if want := format.Print(calls); err != nil || !strings.Contains(got, want) {
				t.Errorf("%s, %s: %v\n got %q\nwant %q", file, name, err, got, want)
			}
		}
	}
}

// callsOf are the calls of the first turn that has some.
func callsOf(t *testing.T, ctx json.RawMessage) (calls []toolcall.Call) {
	t.Helper()
	var in struct {
		Messages []struct {
			Calls []struct {
				Function struct {
					Name      string
					Arguments json.RawMessage
				}
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal(ctx, &in); err != nil {
		t.Fatal(err)
	}
	for _, m := range in.Messages {
		for _, c := range m.Calls {
			args, err := toolcall.FromJSON(c.Function.Arguments)
			if err != nil {
				t.Fatal(err)
			}
			call := toolcall.Call{Name: c.Function.Name}
			for _, p := range args.Pairs {
				call.Args = append(call.Args, toolcall.Arg{Name: p.Key.Text, Value: p.Value})
			}
			calls = append(calls, call)
		}
		if len(calls) > 0 {
			return calls
		}
	}
	return nil
}

var (
	talk = []template.Message{
		{Role: "system", Content: "Be brief."}, {Role: "user", Content: "  Weather in Oslo? \n"},
		{Role: "assistant", Content: `[get_weather(city="Oslo")]`},
		{Role: "tool", Content: "rain"},
	}
	tools = json.RawMessage(`[{"type": "function", "function": {"name": "get_weather", "description": "Weather now.",
		"parameters": {"type": "object", "required": ["city"], "properties": {"unit": {"enum": ["C", "F"]},
			"city": {"type": "string", "description": "a town"}}}}},
		{"name": "stop"}]`)
)

func TestDefault(t *testing.T) {
	x, err := template.New(template.Default, template.DefaultBOS, template.DefaultEnd)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   template.Input
		want string
	}{
		{"user", template.Input{Messages: talk[1:2], Prompt: true},
			"<|bos|><|user|>  Weather in Oslo? \n<|end|><|assistant|>"},
		{"system", template.Input{Messages: talk[:2]},
			"<|bos|><|system|>Be brief.<|end|><|user|>  Weather in Oslo? \n<|end|>"},
		{"no tools", template.Input{Messages: talk[1:2], Tools: json.RawMessage(`[]`)},
			"<|bos|><|user|>  Weather in Oslo? \n<|end|>"},
		{"tools", template.Input{Messages: talk, Tools: tools, Prompt: true},
			"<|bos|><|system|>Be brief.\nTools:\nget_weather(unit?: C|F, city: string (a town)) Weather now.\n" +
				"stop()<|end|><|user|>  Weather in Oslo? \n<|end|>" +
				"<|assistant|>[get_weather(city=\"Oslo\")]<|end|><|tool|>rain<|end|><|assistant|>"},
		{"nested", template.Input{Messages: talk[1:2],
			Tools: json.RawMessage(`[{"name":"f","parameters":{"type":"object","properties":{` +
				`"a":{"type":"array","items":{"type":"string"}},"b":{"type":"array"},"c":{"type":"array",` +
				`"items":{"type":["string","null"]}},` +
				`"d":{"type":"object","properties":{"x":{"type":"integer"},"y":{}}},"e":{"type":"object"}},` +
				`"required":["a","b","c","d","e"]}}]`)},
			"<|bos|><|system|>Tools:\nf(a: list of string, b: array, c: array, d: {x, y}, e: object)<|end|><|user|>  " +
				"Weather in Oslo? \n<|end|>"},
		{"no messages", template.Input{}, "<|bos|>"},
	} {
		if got, err := x.Render(c.in); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
	if _, err := x.Render(template.Input{Messages: []template.Message{{Role: "robot"}}}); err == nil ||
		!strings.Contains(err.Error(), "robot") {
		t.Errorf("an unknown role: got %v, want an error that names it", err)
	}
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name, source, variables, want string
	}{
		{"order of keys", `{{ x | tojson }}`, `{"x": {"b": 1, "a": [1.0, -0, 1e3, 2.5e-7, 1e16, true, null]}}`,
			`{"b": 1, "a": [1.0, 0, 1000.0, 2.5e-07, 1e+16, true, null]}`},
		{"large integer", `{{ x | tojson }}`, `{"x": 123456789012345678901}`, `123456789012345678901`},
		{"text", `{{ x | tojson }}`, `{"x": "<a href='é'>&\u2028\u007f\u0001\t\"\\"}`,
			"\"<a href='é'>&\u2028\u007f\\u0001\\t\\\"\\\\\""},
		{"indent", `{{ x | tojson(indent=2) }}`, `{"x": {"a": [1, {}], "b": []}}`,
			"{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"},
		{"sort", `{{ x | tojson(sort_keys=true) }}`, `{"x": {"b": 1, "a": 2}}`, `{"a": 2, "b": 1}`},
		{"key twice", `{{ x | tojson }}`, `{"x": {"a": 1, "b": 2, "a": 3}}`, `{"a": 3, "b": 2}`},
		{"made in the template", `{% set l = [1, {"k": x}] %}{{ l | tojson }}`, `{"x": "v"}`, `[1, {"k": "v"}]`},
		{"namespace",
			`{% set ns = namespace(n=0) %}{% for m in range(3) %}{% set ns.n = ns.n + m %}{% endfor %}{{ ns.n }}`, `{}`,
			`3`},
		{"backwards", `{% for m in x[::-1] %}{{ m }}{% endfor %}`, `{"x": ["a", "b"]}`, `ba`},
		{"sums", `{{ 1 + 2 }} {{ [1] + [2] }} {{ "a" + "b" + "c" }} {{ 2 * 3 + 1 }} {{ "-" * 3 }} {{ 1 + 0.5 }}`, `{}`,
			`3 [1, 2] abc 7 --- 1.5`},
		{"items",
			`{% for k, v in x | items %}{{ k }}={{ v }};{% endfor %}{% for k, v in x.items() %}{{ k }}{% endfor %}`,
			`{"x": {"b": 1, "a": "z"}}`, `b=1;a=z;ba`},
		{"split", `{{ x.split('</think>')[-1].lstrip('\n') }}`, `{"x": "hm</think>\n\nyes"}`, `yes`},
		{"macro", `{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(1) }}{{ m(2) }}`, `{}`, `<1><2>`},
		{"generation", `a{% generation %}{{ x }}{% endgeneration %}c`, `{"x": "b"}`, `abc`},
		{"trim blocks", "{% if true %}\n  a\n{% endif %}\nb\n", `{}`, "  a\nb"},
		{"bos", `{{ bos_token }}{{ eos_token }}`, `{}`, `<s></s>`},
		{"strftime_now", `{{ strftime_now("%d %b %Y") }}`, `{}`, `26 Jul 2024`},
	} {
		got, err := compile(t, c.source).Execute(json.RawMessage(c.variables))
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

// TestCases: templates that others have rendered wrongly, with what jinja2 3.1.6 writes.
func TestCases(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ file, ctx, want string }{
		{"19-null-in-template.jinja", read("19-null-in-template.jsonl"), "<|im_start|>system\n- f: None\n" +
			"  x default=None\n<|im_end|>\n<|im_start|>user\nq<|im_end|>\n" +
			"<|im_start|>assistant\nI cannot.<|im_end|>\n"},
		{"20-parenthesised-if.jinja", `{"messages": [{"role": "user", "content": " hi "}, ` +
			`{"role": "assistant", "content": null}], "add_generation_prompt": true}`,
			"<|im_start|>user\nhi<|im_end|>\n" +
				"<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n"},
	} {
		got, err := compile(t, read(c.file)).Execute(json.RawMessage(c.ctx))
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.file, got, err, c.want)
		}
	}
}

func TestDateAndContent(t *testing.T) {
	x := compile(t, `{{ strftime_now("%d %b %Y") if strftime_now is defined else "26 Jul 2024" }}`+
		`{% for m in messages %}|{{ m.content }}{% endfor %}{{ tools | tojson if tools }}`)
	in := template.Input{Messages: talk[1:2], Tools: json.RawMessage(`[{"oslo": "Oslo"}]`), Date: "1 Jan 2030",
		Content: strings.ToUpper}
	want := "01 Jan 2030|  WEATHER IN OSLO? \n" + `[{"OSLO": "OSLO"}]`
	if got, err := x.Render(in); err != nil || got != want {
		t.Errorf("%v: got %q, want %q", err, got, want)
	}
	in.Date, in.Tools, in.Content = "", nil, nil
	if got, err := x.Render(in); err != nil || got != "26 Jul 2024|  Weather in Oslo? \n" {
		t.Errorf("%v: got %q, want the template's own date", err, got)
	}
	for _, bad := range []string{`{}`, `[1`, `"x"`, `[] []`, `[1e999]`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000)} {
		in.Tools = json.RawMessage(bad)
		if got, err := x.Render(in); err == nil || !strings.Contains(err.Error(), "tools") {
			t.Errorf("tools %.20q: got %q, %v, want an error", bad, got, err)
		}
	}
}

// What a template may cost is bounded by package jinja, which has the tests. An error says what to do.
func TestHostile(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"does not compile", `{% if %}`, "TemplateSyntaxError"},
		{"includes a file", `{% include "/etc/passwd" %}`, "no loader"},
		{"unknown filter", `{{ "x" | nope }}`, "No filter named 'nope'"},
		{"text and number", `{% if true %}{{ "a" + 2.5 }}{% endif %}`, "concatenate"},
		{"recursion", `{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}`, "came with the model"},
		{"product of a text", `{{ ("x" * 1000000000) | length }}`, "came with the model"},
		{"brackets", "{{" + strings.Repeat("(", 60000) + strings.Repeat(")", 60000) + "}}", "came with the model"},
		{"random text", `{{ lipsum() }}`, "came with the model"},
		{"raises", `{{ raise_exception("no system role") }}`, "no system role"},
		{"too long", strings.Repeat(" ", 1<<20), "more than"},
	} {
		x, err := template.New(c.source, "", "")
		if err == nil {
			var out string
			if out, err = x.Render(template.Input{Messages: talk}); err == nil {
				t.Errorf("%s: got %.60q, want an error", c.name, out)
				continue
			}
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.300v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestOpen(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		name      string
		fsys      fstest.MapFS
		want, bad string
	}{
		{"file", fstest.MapFS{template.File: file("F{{ bos_token }}"),
			template.ConfigFile: file(`{"chat_template": "C", "bos_token": {"content": "<b>"}}`)}, "F<b>", ""},
		{"config", fstest.MapFS{template.ConfigFile: file(`{"chat_template": "C{{ bos_token }}", "bos_token": null}`)},
			"C", ""},
		{"other tokens", fstest.MapFS{template.ConfigFile: file(`{"chat_template": ` +
			`"{{ pad_token }}{{ unk_token }}{{ sep_token is defined }}", ` +
			`"pad_token": "<p>", "unk_token": {"content": "<u>"}}`)},
			"<p><u>False", ""},
		{"none", fstest.MapFS{template.ConfigFile: file(`{}`)}, "", "chat_template"},
		{"broken", fstest.MapFS{template.File: file("{{"), template.ConfigFile: file(`{}`)}, "", template.File},
		{"broken config", fstest.MapFS{template.File: file("x"), template.ConfigFile: file(`{`)}, "",
			template.ConfigFile},
	} {
		x, err := template.Open(c.fsys)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: got %v, want an error with %q", c.name, err, c.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got, err := x.Render(template.Input{}); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if a, b := compile(t, "a"), compile(t, "b"); len(a.Hash()) != 64 || a.Hash() == b.Hash() {
		t.Errorf("hashes %s and %s", a.Hash(), b.Hash())
	}
}

func TestConcurrent(t *testing.T) {
	x := compile(t, template.Default)
	want, err := x.Render(template.Input{Messages: talk, Tools: tools})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got, err := x.Render(template.Input{Messages: talk, Tools: tools}); err != nil || got != want {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzNew(f *testing.F) {
	f.Add(template.Default)
	f.Add(`{% set ns = namespace(x=1) %}{% for m in messages[::-1] %}{% set ns.x = m.content | trim %}` +
		`{{ loop.index0 }}{% endfor %}{{ ns.x | tojson(indent=4) }}`)
	f.Add(`{% macro m(a, b=1) %}{{ a.split(',')[-1] }}{% endmacro %}{{ m("x,y") if x is defined else 'none' }}`)
	f.Add("{{" + strings.Repeat("([{1:", 2000) + "a.b|e" + strings.Repeat("}])", 2000) + "}}")
	f.Add(strings.Repeat("{%if a.b()%}", 90) + "{{ -a[1].c(not x)|e ~ 1 if a else 2 }}" +
		strings.Repeat("{%endif%}", 90))
	f.Fuzz(func(t *testing.T, source string) {
		if x, err := template.New(source, "<s>", "</s>"); err == nil {
			x.Render(template.Input{Messages: talk, Tools: tools, Prompt: true})
		}
	})
}

func BenchmarkRender(b *testing.B) {
	x := compile(b, template.Default)
	for b.Loop() {
		if _, err := x.Render(template.Input{Messages: talk, Tools: tools, Prompt: true}); err != nil {
			b.Fatal(err)
		}
	}
}
