package split

import (
	"regexp"
	"strings"

	"itool/schemas/toolcall"
)

// dictation is what datasets write into their system texts about the form of a call.
type dictation struct {
	format toolcall.Format // "": none that a model here learns
	parts  []*regexp.Regexp
}

// dictations are the passages of ToolACE and BFCL, Hermes, Llama, ToolRL and API-Bank.
var dictations = []dictation{
	{toolcall.Pythonic, []*regexp.Regexp{
		regexp.MustCompile(`(?i)(?:you (?:must|should) )?put (?:it|them) in the format of \[[^\]\n]*\)\]`),
	}},
	{toolcall.Hermes, []*regexp.Regexp{
		regexp.MustCompile(`(?is)for each (?:function|tool) call,? return a json object[^<]{0,200}` +
			`<tool_call>\s*</tool_call>[^<]{0,80}<tool_call>\s*\{\s*["']?name.*?</tool_call>`),
	}},
	{"", []*regexp.Regexp{
		regexp.MustCompile(`(?is)for each (?:function|tool) call,? return a json object[^<]{0,200}` +
			`<tool_call>\s*</tool_call>[^<]{0,80}<tool_call>\s*\{\s*["']?(?:arguments|tool_call).*?</tool_call>`),
		regexp.MustCompile(`(?is)for each (?:function|tool) call,? return a json object, with the following pydantic ` +
			`model json schema:?.{0,600}?<tool_call>\s*</tool_call>[^<]{0,80}<tool_call>.*?</tool_call>`),
		regexp.MustCompile(`(?is)use the following pydantic model json schema for each tool call you will make:` +
			`\s*\{.{0,400}?"?'?FunctionCall["']?.{0,80}?\}\s*`),
	}},
	{toolcall.LlamaJSON, []*regexp.Regexp{
		regexp.MustCompile(`(?i)respond in the format \{"name": function name, "parameters": dictionary[^}\n]*\}\.?` +
			`(?: *do not use variables\.)?`),
	}},
	{"", []*regexp.Regexp{regexp.MustCompile(`(?s)\*\*Output Format\*\*\s.*<tool_call>.*\z`)}},
	{"", []*regexp.Regexp{
		regexp.MustCompile(`(?s)Input: ?\nUser: User's utterence\n.*?Expected output:\n[^\n]*`),
		regexp.MustCompile(` in the format of \[ApiName\([^\]\n]*\)\]`),
	}},
}

// dictated replaces the passages of a system text that dictate another form of calls than the
// one that is learnt: the first by the setting's text, others by nothing.
func (t *turns) dictated(text string) (string, bool) {
	any := false
	for _, d := range dictations {
		if d.format == t.calls {
			continue
		}
		put := t.cfg.FormatText
		for _, part := range d.parts {
			if !part.MatchString(text) {
				continue
			}
			any = true
			text = part.ReplaceAllLiteralString(text, put)
			put = ""
		}
	}
	if any {
		text = strings.TrimSpace(text)
	}
	return text, any
}
