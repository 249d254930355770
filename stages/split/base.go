package split

import (
	"fmt"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

// Where tools are written.
const (
	ToolsInTemplate = "template" // where the chat template writes them
	ToolsInSystem   = "system"   // in the system message, in the form of policy.ToolsInSystem
)

// CheckBase is an error if the chat template of p leaves out in silence what the dataset may have, or if it
// asks for calls in a format that cannot be read. It is called when a run is published, and for each shard: a
// template that raises an error for a row drops that row by name.
func CheckBase(p *policy.Policy, cfg Config) error {
	probe := p.Probe()
	const write = "write a template with it into the base's chat_template.jinja, or take another base"
	switch {
	case !probe.Tools.Written:
		why := "leaves out tools"
		if probe.Tools.Err != nil {
			why = fmt.Sprintf("cannot write tools: %v", probe.Tools.Err)
		}
		if cfg.ToolsIn == ToolsInSystem {
			return fmt.Errorf("the chat template %s, although split.tools_in is system: itool publish puts a template "+
				"with tools into the base; a program that starts runs must do the same", why)
		}
		return fmt.Errorf("the chat template %s: --set split.tools_in=system writes them into the system message", why)
	case probe.System.LeftOut():
		return fmt.Errorf("the chat template leaves out system messages: %s", write)
	case probe.Call.Err != nil:
		return fmt.Errorf("the chat template cannot write several turns: %w: %s", probe.Call.Err, write)
	case probe.Call.LeftOut():
		return fmt.Errorf("the chat template leaves out earlier answers: %s", write)
	case probe.Results.LeftOut():
		return fmt.Errorf("the chat template leaves out tool results: %s", write)
	}
	_, err := CallFormat(p, cfg)
	return err
}

// CallFormat is the format in which answers write their calls: the setting, or with Auto the one that the chat
// template of p writes structured calls in. An unknown format is an error.
func CallFormat(p *policy.Policy, cfg Config) (toolcall.Format, error) {
	if cfg.CallFormat != Auto {
		return toolcall.Format(cfg.CallFormat), nil
	}
	written := p.Probe().CallText
	const remedy = "set split.call_format to the one to learn, if the tools' text of the template suits it, or take " +
		"another base"
	if written == "" { // the template writes no structured calls: what its own text asks for
		if mark := toolcall.ForeignMark(p.Template()); mark != "" {
			return "", fmt.Errorf("the chat template asks for calls behind %q: that is none of %v; %s", mark,
				callFormats[1:], remedy)
		}
		return toolcall.FormatOfTemplate(p.Template()), nil
	}
	tool, parameter, value := policy.ProbeCall()
	want := []toolcall.Call{{Name: tool, Args: []toolcall.Arg{
		{Name: parameter, Value: toolcall.Value{Kind: toolcall.String, Text: value}},
	}}}
	for _, f := range []toolcall.Format{toolcall.Hermes, toolcall.LlamaJSON, toolcall.Pythonic} {
		if f.Reads(written, want) {
			return f, nil
		}
	}
	return "", fmt.Errorf("the chat template writes calls as %.120q: that is none of %v; %s", written,
		callFormats[1:], remedy)
}
