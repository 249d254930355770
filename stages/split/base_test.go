package split_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas/toolcall"
	"itool/stages/policy"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/policytest"
	"itool/stages/split"
)

// withTemplate is the tiny policy with another chat template.
func withTemplate(t *testing.T, source string, toolsInSystem bool) *policy.Policy {
	t.Helper()
	fsys := policytest.Tiny(1)
	files := fstest.MapFS{}
	for name, f := range fsys.(fstest.MapFS) {
		files[name] = f
	}
	if source != "" {
		files["chat_template.jinja"] = &fstest.MapFile{Data: []byte(source)}
	}
	fsys = files
	if toolsInSystem {
		var err error
		if fsys, err = policy.ToolsInSystem(fsys); err != nil {
			t.Fatal(err)
		}
	}
	p, err := policy.Open(fsys, policy.Options{Device: ref.New()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	turns = "{{ bos_token }}{% for m in messages %}{% if m.tool_calls %}<|assistant|>CALLS<|end|>{% else %}" +
		"{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}" +
		"{% if add_generation_prompt %}<|assistant|>{% endif %}"
	noTools  = turns
	skipping = "{% if tools %}{{ tools | tojson }}{% endif %}{{ bos_token }}" +
		"{% for m in messages if m.role != 'ROLE' %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}" +
		"{% if add_generation_prompt %}<|assistant|>{% endif %}"
	withTools = "{% if tools %}{{ tools | tojson }}{% endif %}" + turns
)

// calls is a template that writes structured calls as text.
func calls(text string) string {
	return strings.Replace(withTools, "CALLS", "{% for c in m.tool_calls %}"+text+"{% endfor %}", 1)
}

// asksFor is a template that writes no structured calls, and says how the model shall call.
func asksFor(words string) string {
	return "{% if tools %}" + words + "{{ tools | tojson }}{% endif %}" + turns
}

func TestCheckBase(t *testing.T) {
	auto := split.Default()
	hermes := split.Default()
	hermes.CallFormat = "hermes"
	for _, c := range []struct {
		name, source string
		system       bool
		cfg          split.Config
		want         toolcall.Format
		bad          string
	}{
		{"our own template", "", false, auto, toolcall.Pythonic, ""},
		{"no tools", noTools, false, auto, "", "leaves out tools: --set split.tools_in=system"},
		{"no tools, in the system message", noTools, true, auto, toolcall.Hermes, ""},
		{"tools raise", "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + turns, false, auto,
			"", "no tools"},
		{"system messages left out",
			strings.Replace(skipping, "ROLE", "system", 1), false, auto, "", "leaves out system messages"},
		{"tool results left out",
			strings.Replace(skipping, "ROLE", "tool", 1), false, auto, "", "leaves out tool results"},
		{"hermes", calls(`<tool_call> {{ {"name": c.function.name, "arguments": c.function.arguments} | tojson }}` +
			` </tool_call>`), false, auto, toolcall.Hermes, ""},
		{"hermes with fields in another order", calls(`<tool_call>{"arguments": {{ c.function.arguments | tojson }}, ` +
			`"name": "{{ c.function.name }}"}</tool_call>`), false, auto, toolcall.Hermes, ""},
		{"llama", calls(`{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}`), false,
			auto, toolcall.LlamaJSON, ""},
		{"mistral", calls(`[TOOL_CALLS][{{ c.function | tojson }}]`), false, auto, "", `"[TOOL_CALLS][{`},
		{"XML within the tags of Hermes", calls(`<tool_call><function={{ c.function.name }}>` +
			`{{ c.function.arguments | tojson }}</function></tool_call>`), false, auto, "", "split.call_format"},
		{"a call by its id, as Kimi K2", calls(`<|call|>{{ c.id }}<|args|>{{ c.function.arguments | tojson }}`), false,
			auto, "", `"<|call|>probe`},
		{"Granite 3 asks for calls in words", asksFor("respond only with <|tool_call|> followed by a JSON list"), false,
			auto, "", `asks for calls behind "<|tool_call|>"`},
		{"Hermes asks for calls in words", asksFor("within <tool_call></tool_call> tags"), false, auto,
			toolcall.Hermes, ""},
		{"mistral, but the user knows better", calls(`[TOOL_CALLS][{{ c.function | tojson }}]`), false, hermes,
			toolcall.Hermes, ""},
	} {
		p := withTemplate(t, c.source, c.system)
		err := split.CheckBase(p, c.cfg)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: got %v, want an error with %q", c.name, err, c.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got, err := split.CallFormat(p, c.cfg); got != c.want || err != nil {
			t.Errorf("%s: format %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
