package policy

import (
	"io/fs"
	"strings"

	"itool/stages/policy/template"
)

// Probe is what the chat template does with tools, a system message, earlier calls and tool results.
type Probe = template.Probe

// ProbeCall is the call tool(parameter = value) that the template was given for Probe.CallText.
func ProbeCall() (tool, parameter, value string) { return template.ProbeCall() }

// Probe renders small conversations and looks at what comes out. CallText has no end of turn.
func (p *Policy) Probe() Probe {
	probe := p.template.Probe(p.options.Date)
	end := p.tokenizer.Decode(p.endOfTurn)
	probe.CallText, _, _ = strings.Cut(probe.CallText, end)
	probe.CallText = strings.TrimSpace(probe.CallText)
	return probe
}

// ToolsInSystem returns a model's folder whose chat template writes tools into the system message, for
// templates that leave them out. All other files are those of fsys.
func ToolsInSystem(fsys fs.FS) (fs.FS, error) {
	t, err := template.Open(fsys)
	if err != nil {
		return nil, err
	}
	return replaced{fsys, template.File, template.ToolsInSystem(t.Source()), template.ToolFile}, nil
}
