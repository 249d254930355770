package ollama

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

// Render renders a conversation; prompt: up to where an answer begins. tools is a JSON array, or nil.
type Render func(msgs []policy.Message, tools json.RawMessage, prompt bool) (string, error)

// Contents that no template writes by itself.
const (
	markSystem = "SYSTEM7c1"
	markUser   = "USER7c1"
	markAnswer = "ANSWER7c1"
	markResult = "RESULT7c1"
	markLater  = "LATER7c1"
)

// parts are the texts that a chat template writes around contents. Each names what stands before it and behind it.
type parts struct {
	noSystem, system, systemUser       string // before the first user's text, without and with a system text
	userAnswer, answerUser             string
	userPrompt, resultPrompt           string // where an answer is to begin
	answerResult, results              string // results: between two of them
	resultAnswer, resultUser           string
	toolsSystem, systemTools           string // with tools: before the system text, between it and the first tool
	noSystemTools                      string // without a system text: before the first tool
	tools                              string // between two tools
	toolsUser, toolsUserWithoutASystem string // behind the last tool
	onlyFunction                       bool   // a tool is written without its type
	quotesResults                      bool   // a result is written as a text of JSON
}

// Template derives Ollama's template from what render renders. If it does not render the same, tools are left out
// of it, and if that does not help it is empty.
func Template(render Render, calls toolcall.Format) (string, Fit) {
	p, err := conversation(render)
	if err != nil {
		return "", Fit{Why: "No template: " + err.Error()}
	}
	err = p.findTools(render)
	if err == nil && calls != toolcall.Hermes && calls != toolcall.LlamaJSON {
		err = fmt.Errorf("calls in the form %s are text for Ollama", calls)
	}
	if err == nil {
		text := p.text(calls)
		if err = same(text, render, p, true); err == nil {
			return text, Fit{Template: true, Tools: true}
		}
	}
	why := "No tools: " + err.Error()
	text := p.text("")
	if err := same(text, render, p, false); err != nil {
		return "", Fit{Why: "No template: " + err.Error()}
	}
	return text, Fit{Template: true, Why: why}
}

// conversation finds the parts without tools.
func conversation(render Render) (p parts, err error) {
	u, a := said("user", markUser), said("assistant", markAnswer)
	later := said("user", markLater)
	whole, err := split(render, nil, []policy.Message{said("system", markSystem), u, a, later},
		markSystem, markUser, markAnswer, markLater)
	if err != nil {
		return p, err
	}
	bare, err := split(render, nil, []policy.Message{u}, markUser)
	if err != nil {
		return p, err
	}
	p = parts{
		noSystem: bare[0], system: whole[0], systemUser: whole[1], userAnswer: whole[2], answerUser: whole[3],
		userPrompt: whole[4],
	}
	return p, nil
}

// findTools finds the parts around tools and their results.
func (p *parts) findTools(render Render) error {
	s, u, a := said("system", markSystem), said("user", markUser), said("assistant", markAnswer)
	result := said("tool", markResult)
	one, err := split(render, nil, []policy.Message{u, a, result, said("user", markLater)},
		markUser, markAnswer, markResult, markLater)
	if err != nil {
		return fmt.Errorf("results of tools: %w", err)
	}
	two, err := split(render, nil, []policy.Message{u, a, result, said("tool", markLater)},
		markUser, markAnswer, markResult, markLater)
	if err != nil {
		return fmt.Errorf("results of tools: %w", err)
	}
	p.answerResult, p.resultUser, p.results, p.resultPrompt = one[2], one[3], two[3], two[4]
	back, err := split(render, nil, []policy.Message{u, a, result, said("assistant", markLater), said("user", "on")},
		markUser, markAnswer, markResult, markLater)
	if err != nil {
		return fmt.Errorf("results of tools: %w", err)
	}
	p.resultAnswer = back[3]
	p.quotesResults = strings.HasSuffix(p.answerResult, `"`) && strings.HasPrefix(p.resultAnswer, `"`)
	if p.quotesResults {
		p.answerResult = strings.TrimSuffix(p.answerResult, `"`)
		p.results = strings.Trim(p.results, `"`)
		for _, behind := range []*string{&p.resultUser, &p.resultAnswer, &p.resultPrompt} {
			*behind = strings.TrimPrefix(*behind, `"`)
		}
	}
	first, second, only, err := printed(render)
	if err != nil {
		return err
	}
	p.onlyFunction = only
	with, err := split(render, probeTools(), []policy.Message{s, u}, markSystem, first, second, markUser)
	if err != nil {
		return fmt.Errorf("tools: %w", err)
	}
	without, err := split(render, probeTools(), []policy.Message{u}, first, second, markUser)
	if err != nil {
		return fmt.Errorf("tools: %w", err)
	}
	p.toolsSystem, p.systemTools, p.tools, p.toolsUser = with[0], with[1], with[2], with[3]
	p.noSystemTools, p.toolsUserWithoutASystem = without[0], without[2]
	return nil
}

func said(role, text string) policy.Message { return policy.Message{Role: role, Content: text} }

// split renders and cuts at marks, each of which must be there once and behind the one before.
func split(render Render, tools json.RawMessage, msgs []policy.Message, marks ...string) (out []string, err error) {
	text, err := render(msgs, tools, true)
	if err != nil {
		return nil, err
	}
	for _, m := range marks {
		before, after, found := strings.Cut(text, m)
		if !found || strings.Contains(after, m) {
			return nil, fmt.Errorf("the chat template does not write %.40q once and in its place", m)
		}
		out, text = append(out, before), after
	}
	return append(out, text), nil
}

// toolNames are the tools that templates are tried with.
var toolNames = [2]string{"first7c1", "second7c1"}

func probeTools() json.RawMessage {
	var list []string
	for _, name := range toolNames {
		list = append(list, fmt.Sprintf(`{"type": "function", "function": {"name": %q, "description": "what it does", `+
			`"parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "where"}}, `+
			`"required": ["city"]}}}`, name))
	}
	return json.RawMessage("[" + strings.Join(list, ", ") + "]")
}

// printed is how the chat template writes the two tools, each as one JSON object. only: without its type.
func printed(render Render) (first, second string, only bool, err error) {
	text, err := render([]policy.Message{said("user", markUser)}, probeTools(), true)
	if err != nil {
		return "", "", false, err
	}
	var objects [2]string
	for i, name := range toolNames {
		if objects[i], only, err = object(text, name); err != nil {
			return "", "", false, err
		}
	}
	return objects[0], objects[1], only, nil
}

// object is the widest JSON object in text that describes the tool called name.
func object(text, name string) (found string, only bool, err error) {
	at := strings.Index(text, name)
	for from := range max(at, 0) {
		if text[from] != '{' {
			continue
		}
		var raw json.RawMessage
		d := json.NewDecoder(strings.NewReader(text[from:]))
		if d.Decode(&raw) != nil || from+len(raw) <= at {
			continue
		}
		var tool struct {
			Name     string
			Function struct{ Name string }
		}
		if json.Unmarshal(raw, &tool) != nil || tool.Name != name && tool.Function.Name != name {
			continue
		}
		return string(raw), tool.Function.Name == "", nil
	}
	return "", false, errors.New("the chat template does not write tools as JSON objects")
}

// text is the template; without calls it knows no tools. $last is the role of the message before.
func (p *parts) text(calls toolcall.Format) string {
	plain := `{{ if .System }}` + lit(p.system) + `{{ .System }}` + lit(p.systemUser) + `{{ else }}` + lit(p.noSystem) +
		`{{ end }}`
	list := func(behind string) string {
		tool := `{{ $tool }}`
		if p.onlyFunction {
			tool = `{{ $tool.Function }}`
		}
		return `{{ range $i, $tool := .Tools }}{{ if $i }}` + lit(p.tools) + `{{ end }}` + tool + `{{ end }}` +
			lit(behind)
	}
	first, call, result := plain, "", ""
	if calls != "" {
		content := `{{ .Content }}`
		if p.quotesResults {
			content = `{{ json .Content }}`
		}
		first = `{{ if .Tools }}{{ if .System }}` + lit(p.toolsSystem) + `{{ .System }}` + lit(p.systemTools) +
			list(p.toolsUser) + `{{ else }}` + lit(p.noSystemTools) + list(p.toolsUserWithoutASystem) +
			`{{ end }}{{ else }}` + plain + `{{ end }}`
		call = `{{ if .ToolCalls }}{{ if .Content }}` + lit("\n") + `{{ end }}` + callText(calls) + `{{ end }}`
		result = `{{ else if eq .Role "tool" }}{{ if eq $last "tool" }}` + lit(p.results) + `{{ else }}` +
			lit(p.answerResult) + `{{ end }}` + content + `{{ $last = .Role }}`
	}
	behindResult := func(text string) string {
		if calls == "" {
			return ""
		}
		return `{{ else if eq $last "tool" }}` + lit(text)
	}
	return first + `{{ $last := "" }}{{ range .Messages }}` +
		`{{ if eq .Role "user" }}{{ if eq $last "assistant" }}` + lit(p.answerUser) + behindResult(p.resultUser) +
		`{{ end }}{{ .Content }}{{ $last = .Role }}` +
		`{{ else if eq .Role "assistant" }}{{ if eq $last "user" }}` + lit(p.userAnswer) +
		behindResult(p.resultAnswer) + `{{ end }}{{ .Content }}` + call + `{{ $last = .Role }}` + result +
		`{{ end }}{{ end }}` +
		`{{ if eq $last "user" }}` + lit(p.userPrompt) + behindResult(p.resultPrompt) + `{{ end }}`
}

// callText writes calls as toolcall.Format does.
func callText(f toolcall.Format) string {
	key, before, between, after := "arguments", "<tool_call>\n", "\n", "\n</tool_call>"
	if f == toolcall.LlamaJSON {
		key, before, between, after = "parameters", "", "; ", ""
	}
	return `{{ range $i, $call := .ToolCalls }}{{ if $i }}` + lit(between) + `{{ end }}` + lit(before) +
		lit(`{"name": "`) + `{{ $call.Function.Name }}` + lit(`", "`+key+`": `) + `{{ $call.Function.Arguments }}` +
		lit("}"+after) + `{{ end }}`
}

// lit is text as it stands, in a template and in a Modelfile's three quotes. Lines that would end either are written
// as an expression.
func lit(text string) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		if strings.Contains(line, "{{") || strings.Contains(line, `"""`) || strings.HasPrefix(line, `"`) ||
			strings.HasSuffix(line, `"`) || strings.HasSuffix(line, "{") {
			line = "{{ " + strconv.Quote(line) + " }}"
		}
		b.WriteString(line)
	}
	return b.String()
}
