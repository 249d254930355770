package ollama

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"itool/stages/policy"
)

// values are what Ollama gives a template. message and tool are its Message and Tool.
type values struct {
	System   string
	Messages []message
	Tools    []tool
}

type message struct {
	Role, Content string
	ToolCalls     []call
}

type call struct {
	Function struct{ Name, Arguments string }
}

// tool prints as Ollama's does, only with the spaces of the chat template: those are Ollama's own.
type tool struct {
	whole, Function string
}

func (t tool) String() string { return t.whole }

// functions are those of Ollama that a derived template calls.
var functions = template.FuncMap{"json": func(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}}

// same renders conversations with text, as Ollama would, and returns an error for the first that render renders
// otherwise.
func same(text string, render Render, p parts, tools bool) error {
	t, err := template.New("").Funcs(functions).Parse(text)
	if err != nil {
		return fmt.Errorf("the derived template: %w", err)
	}
	var list []tool
	if tools {
		first, second, _, err := printed(render)
		if err != nil {
			return err
		}
		list = []tool{{first, first}, {second, second}}
	}
	s, u, a := said("system", "be brief"), said("user", "what?"), said("assistant", "that")
	result, more := said("tool", `{"t": 1}`), said("tool", "sunny")
	chats := [][]policy.Message{{u}, {s, u}, {u, a, said("user", "and?")}, {s, u, a, said("user", "and?"), a, u}}
	if tools {
		chats = append(chats, []policy.Message{u, a, result}, []policy.Message{s, u, a, result, more},
			[]policy.Message{u, a, result, more, a, u}, []policy.Message{s, u, a, result, u})
	}
	for _, chat := range chats {
		for n := range len(list)/2 + 1 {
			if err := p.compare(t, render, chat, list[:2*n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare renders one conversation both ways.
func (p *parts) compare(t *template.Template, render Render, chat []policy.Message, tools []tool) error {
	v := values{Tools: tools}
	for _, m := range chat {
		if m.Role == "system" {
			v.System = m.Content
		}
		v.Messages = append(v.Messages, message{Role: m.Role, Content: m.Content})
	}
	var got strings.Builder
	if err := t.Execute(&got, v); err != nil {
		return fmt.Errorf("the derived template: %w", err)
	}
	given := probeTools()
	if len(tools) == 0 {
		given = nil
	}
	want, err := render(chat, given, true)
	if err != nil {
		return err
	}
	if got.String() != want {
		return fmt.Errorf("of %d messages and %d tools the chat template makes another text than Ollama's can",
			len(chat), len(tools))
	}
	return nil
}
