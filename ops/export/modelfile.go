package export

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"itool/ops/export/ollama"
	"itool/ops/whole"
	"itool/schemas/toolcall"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/split"
)

// modelfile is the path of the Modelfile beside a GGUF file.
func (m Merge) modelfile() string { return strings.TrimSuffix(m.Out, ".gguf") + ".Modelfile" }

// describe compares how llama.cpp cuts the texts of the examples, and writes the Modelfile.
func (m Merge) describe(out *Merged, p *policy.Policy, probes []policy.Sequence) (err error) {
	texts := make([]string, len(probes))
	for i, s := range probes {
		var b strings.Builder
		for _, ids := range [][]int32{s.Prompt, s.Answer} {
			for _, id := range ids {
				b.Write(p.TokenBytes(id))
			}
		}
		texts[i] = b.String()
	}
	if out.Cuts, err = gguf.Departs(p, texts); err != nil {
		return err
	}
	calls, err := m.calls(p)
	if err != nil {
		return err
	}
	out.Modelfile = m.modelfile()
	return whole.File(out.Modelfile, func(w io.Writer) (err error) {
		out.Ollama, err = ollama.Write(w, p, ollama.Options{From: filepath.Base(m.Out), Calls: calls})
		return err
	})
}

// calls is the form in which the run's policies write calls.
func (m Merge) calls(p *policy.Policy) (toolcall.Format, error) {
	var c struct{ Split split.Config }
	if m.Report != nil {
		// A run from before the setting was trained in the pythonic form.
		c.Split.CallFormat = string(toolcall.Pythonic)
		if err := json.Unmarshal(m.Report.Config, &c); err != nil {
			return "", errors.New("the run's settings cannot be read")
		}
	}
	c.Split.CallFormat = cmp.Or(c.Split.CallFormat, split.Auto)
	return split.CallFormat(p, c.Split)
}
