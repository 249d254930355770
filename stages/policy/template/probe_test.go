package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/template"
)

// chatML writes every turn and no tools, as SmolLM 2's own template does.
const chatML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}" +
	"{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

func TestProbe(t *testing.T) {
	for _, c := range []struct {
		name, source string
		leftOut      string // parts, of "tools system call results"
		raises       string
		call         string
	}{
		{"our own", template.Default, "", "", ""},
		{"no tools", chatML, "tools", "", ""},
		{"no tools, written into the system message", template.ToolsInSystem(chatML), "", "", ""},
		{"users and assistants only", "{% for m in messages if m.role in ['user', 'assistant'] %}" +
			"<{{ m.content }}>{% endfor %}{{ tools | tojson }}", "system results", "", ""},
		{"the last turn only", "{{ tools | tojson }}{{ messages[0].content }}{{ messages[-1].content }}",
			"call", "", ""},
		{"no system message", "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}" +
			"{% endif %}{{ m.content }}{% endfor %}{{ tools | tojson }}", "", "system", ""},
		{"structured calls", chatML + "{% for m in messages %}{% for c in m.tool_calls or [] %}[TOOL_CALLS]" +
			"{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}{{ tools | tojson }}",
			"", "", "[TOOL_CALLS]probe_weather"},
	} {
		p := compile(t, c.source).Probe("")
		var leftOut, raises []string
		for _, part := range []struct {
			name string
			of   template.Support
		}{{"tools", p.Tools}, {"system", p.System}, {"call", p.Call}, {"results", p.Results}} {
			if part.of.LeftOut() {
				leftOut = append(leftOut, part.name)
			}
			if part.of.Err != nil {
				raises = append(raises, part.name)
			}
		}
		if got := strings.Join(leftOut, " "); got != c.leftOut {
			t.Errorf("%s: left out %q, want %q", c.name, got, c.leftOut)
		}
		if got := strings.Join(raises, " "); got != c.raises {
			t.Errorf("%s: raises for %q, want %q", c.name, got, c.raises)
		}
		if !strings.Contains(p.CallText, c.call) || c.call == "" && p.CallText != "" {
			t.Errorf("%s: call text %q, want %q", c.name, p.CallText, c.call)
		}
	}
}

// TestProbeReal: what real templates leave out, and how they write calls.
func TestProbeReal(t *testing.T) {
	dir := filepath.Join(filepath.Dir(thirdParty(t)), "chat_templates_real", "templates")
	for name, want := range map[string]struct {
		tools bool
		call  string
	}{
		"qwen2_5":        {true, "<tool_call>\n{\"name\": "},
		"qwen3_coder":    {true, "<tool_call>\n<function="},
		"llama3_1":       {true, "{\"name\": "},
		"mistral_nemo":   {true, "[TOOL_CALLS]"},
		"smollm2":        {false, ""},
		"smollm3":        {true, ""},
		"granite3_3":     {true, ""},
		"gpt_oss":        {true, "commentary"},
		"deepseek_v3_1":  {false, "<｜tool▁calls▁begin｜>"},
		"hermes2_pro":    {true, "<tool_call>\n{ \"arguments\""},
		"glm4_moe":       {true, "<tool_call>probe"},
		"mistral_7b_v03": {true, "[TOOL_CALLS] "},
	} {
		source, err := os.ReadFile(filepath.Join(dir, name+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		p := compile(t, string(source)).Probe("")
		if p.Tools.Written != want.tools || !strings.Contains(p.CallText, want.call) {
			t.Errorf("%s: tools %+v, call text %q, want %v, %q", name, p.Tools, p.CallText, want.tools, want.call)
		}
		if want.tools {
			continue
		}
		if p := compile(t, template.ToolsInSystem(string(source))).Probe(""); !p.Tools.Written || !p.System.Written {
			t.Errorf("%s with tools in the system message: %+v", name, p)
		}
	}
}

// The stated form of tools in the system message, and nothing else in the prompt.
func TestToolsInSystem(t *testing.T) {
	in := template.Input{Messages: talk[:2], Tools: tools, Prompt: true}
	got, err := compile(t, template.ToolsInSystem("  \n"+chatML)).Render(in)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := compile(t, "  \n"+chatML).Render(in)
	if err != nil {
		t.Fatal(err)
	}
	system := talk[0].Content
	before, after, _ := strings.Cut(plain, system)
	for _, want := range []string{
		before + system + "\n\n# Tools\n\n", "\n<tools>\n{\"", "}\n</tools>\n", "</tool_call>" + after,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	in.Tools = nil
	if got, err := compile(t, template.ToolsInSystem("  \n"+chatML)).Render(in); err != nil || got != plain {
		t.Errorf("without tools: got %q, %v, want %q", got, err, plain)
	}
}

// Models may have one template for conversations with tools and another for the rest.
func TestNamedTemplates(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	list := `[{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}, ` +
		`{"name": "rag", "template": "R"}]`
	for _, c := range []struct {
		name         string
		fsys         fstest.MapFS
		plain, tools string
		bad          string
	}{
		{"a list", fstest.MapFS{template.ConfigFile: file(`{"chat_template": ` + list + `}`)}, "D", "T", ""},
		{"a list in a processor's file", fstest.MapFS{template.ProcessorFile: file(`{"chat_template": ` + list + `}`),
			template.ConfigFile: file(`{"chat_template": "C"}`)}, "D", "T", ""},
		{"a text in a processor's file", fstest.MapFS{template.ProcessorFile: file(`{"chat_template": "P"}`)},
			"P", "P", ""},
		{"two files", fstest.MapFS{template.File: file("F"), template.ToolFile: file("T")}, "F", "T", ""},
		{"for tools only", fstest.MapFS{
			template.ConfigFile: file(`{"chat_template": [{"name": "tool_use", "template": "T"}]}`)}, "T", "T", ""},
		{"no known name", fstest.MapFS{
			template.ConfigFile: file(`{"chat_template": [{"name": "rag", "template": "R"}]}`)}, "", "", `["rag"]`},
		{"neither text nor list", fstest.MapFS{template.ConfigFile: file(`{"chat_template": 7}`)},
			"", "", "neither a text"},
		{"broken tool template", fstest.MapFS{template.File: file("F"), template.ToolFile: file("{{")},
			"", "", "Syntax"},
		{"none", fstest.MapFS{template.ConfigFile: file(`{"chat_template": null}`)}, "", "", "no chat template"},
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
			continue
		}
		plain, err := x.Render(template.Input{Messages: talk[:1]})
		with, err2 := x.Render(template.Input{Messages: talk[:1], Tools: tools})
		if err != nil || err2 != nil || plain != c.plain || with != c.tools || x.Source() != c.tools {
			t.Errorf("%s: got %q, %v and %q, %v, source %q, want %q and %q",
				c.name, plain, err, with, err2, x.Source(), c.plain, c.tools)
		}
	}
}
