package ollama

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	gotemplate "text/template"

	"itool/schemas/toolcall"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/template"
)

// rendererOf is a chat template's Render.
func rendererOf(t *testing.T, source string) Render {
	t.Helper()
	j, err := template.New(source, "<|begin|>", "<|end|>")
	if err != nil {
		t.Fatal(err)
	}
	return func(msgs []policy.Message, tools json.RawMessage, prompt bool) (string, error) {
		return j.Render(template.Input{Messages: msgs, Tools: tools, Prompt: prompt})
	}
}

// published is the source of a published chat template.
func published(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../../shared/data/chat_templates_real/templates/" + name + ".jinja")
	if err != nil {
		t.Skipf("the published chat templates are not here: %v", err)
	}
	return string(text)
}

// TestPublished: of published templates one is derived that renders the same, or it is said why not.
func TestPublished(t *testing.T) {
	for name, c := range map[string]struct {
		system, template, tools bool
		why                     string
	}{
		"qwen2_5": {false, true, true, ""}, "qwen3": {false, true, true, ""}, "llama3_1": {false, true, true, ""},
		"llama3_2": {false, true, true, ""}, "granite3_3": {false, true, true, ""}, "granite4": {false, true, true, ""},
		"smollm2":     {false, true, false, "does not write tools as JSON objects"},
		"smollm3":     {false, true, false, "does not write tools as JSON objects"},
		"hermes2_pro": {false, false, false, "No template: "},
		// As split.tools_in=system makes it.
		"smollm2 with tools": {true, true, true, ""},
	} {
		source := published(t, strings.TrimSuffix(name, " with tools"))
		if c.system {
			source = template.ToolsInSystem(source)
		}
		text, fit := Template(rendererOf(t, source), toolcall.Hermes)
		if fit.Template != c.template || fit.Tools != c.tools || (fit.Why == "") != (c.why == "") ||
			!strings.Contains(fit.Why, c.why) {
			t.Errorf("%s: %+v", name, fit)
		}
		if (text != "") != c.template || strings.Contains(text, `"""`) ||
			strings.Contains(text, ".ToolCalls") != c.tools {
			t.Errorf("%s: got %q", name, text)
		}
	}
}

// TestCalls: earlier calls are written as the run's format writes them.
func TestCalls(t *testing.T) {
	for _, c := range []struct {
		file   string
		format toolcall.Format
		tools  bool
	}{
		{"qwen2_5", toolcall.Hermes, true}, {"llama3_1", toolcall.LlamaJSON, true},
		{"qwen2_5", toolcall.Pythonic, false},
	} {
		render := rendererOf(t, published(t, c.file))
		text, fit := Template(render, c.format)
		if fit.Tools != c.tools {
			t.Errorf("%s, %s: %+v", c.file, c.format, fit)
		}
		if !fit.Tools {
			continue
		}
		one := toolcall.Call{Name: "get_weather", Args: []toolcall.Arg{
			{Name: "city", Value: toolcall.Value{Kind: toolcall.String, Text: "Oslo"}},
		}}
		calls := []toolcall.Call{one, one}
		answer := c.format.PrintTurn(toolcall.Turn{Words: "I look.", Calls: calls})
		chat := []policy.Message{said("user", "weather?"), said("assistant", answer), said("user", "and?")}
		want, err := render(chat, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		v := values{Messages: []message{{Role: "user", Content: "weather?"}, {Role: "assistant", Content: "I look."},
			{Role: "user", Content: "and?"}}}
		v.Messages[1].ToolCalls = make([]call, 2)
		for i := range calls {
			v.Messages[1].ToolCalls[i].Function.Name = one.Name
			v.Messages[1].ToolCalls[i].Function.Arguments = `{"city": "Oslo"}`
		}
		var got strings.Builder
		if err := gotemplate.Must(gotemplate.New("").Funcs(functions).Parse(text)).Execute(&got, v); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.file, got.String(), want)
		}
	}
}

// TestLit: what would end a template's text or a Modelfile's quotes comes back as it was.
func TestLit(t *testing.T) {
	for _, text := range []string{
		"", "a\nb\n", `{{ .X }}`, `a """ b`, `"a`, "a\"\nb{", "{\n{{", `{"name": "`, "\x00\"\"\"\"",
	} {
		for _, around := range []string{text, `"` + text + `"`} {
			source := lit(around) + `{{ "" }}`
			got := &strings.Builder{}
			parsed, err := gotemplate.New("").Parse(source)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				continue
			}
			if err := parsed.Execute(got, nil); err != nil ||
				got.String() != around || strings.Contains(source, `"""`) {
				t.Errorf("%q: got %q from %q, %v", around, got.String(), source, err)
			}
		}
	}
}

// TestWrite: the file names the model, ends answers as the policy does, and refuses a name that would end its line.
func TestWrite(t *testing.T) {
	p := policytest.Open(t, 1)
	var b strings.Builder
	fit, err := Write(&b, p, Options{From: "model.gguf", Calls: toolcall.Hermes})
	if err != nil || !fit.Template {
		t.Fatalf("%+v, %v", fit, err)
	}
	for _, want := range []string{"FROM \"./model.gguf\"\n", "TEMPLATE \"\"\"", "PARAMETER stop \"<|end|>\"\n",
		"PARAMETER temperature 0\n", "PARAMETER num_ctx "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if _, err := Write(&b, p, Options{From: "a\nFROM b"}); err == nil {
		t.Error("a file name with a line end was written")
	}
}
