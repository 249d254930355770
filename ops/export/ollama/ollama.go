// Package ollama writes a Modelfile, with which Ollama serves a GGUF file: its chat template, the tokens that end
// an answer, and how to draw.
//
//	fit, err := ollama.Write(w, policy, ollama.Options{From: "model.gguf", Calls: toolcall.Hermes})
//
// Ollama renders conversations with templates of Go, models come with templates of Jinja. template.go derives the
// one from what the other renders, and proves it on conversations before it is written: one that does not
// render the same bytes is left out, with the reason. The package knows no run and no store.
package ollama

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

// Options are what the policy does not know.
type Options struct {
	From  string          // the GGUF file, as seen from the Modelfile
	Calls toolcall.Format // in which the policy writes its calls
}

// Fit says what of the policy Ollama can do.
type Fit struct {
	Template bool   // it renders conversations as the policy was trained on
	Tools    bool   // … and tools, calls and results
	Why      string // why not; empty: both
}

// mostContext is the context that Ollama is asked for, in tokens: its memory grows with it.
const mostContext = 8192

// Write writes the Modelfile.
func Write(w io.Writer, p *policy.Policy, o Options) (Fit, error) {
	if strings.ContainsAny(o.From, "\"\n\r") {
		return Fit{}, fmt.Errorf("%q: a Modelfile cannot name such a file", o.From)
	}
	text, fit := Template(renderer(p), o.Calls)
	var b strings.Builder
	fmt.Fprintf(&b, "# ollama create NAME -f this file\nFROM \"./%s\"\n\n", filepath.ToSlash(o.From))
	if fit.Why != "" {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(fit.Why, "\n", " "))
	}
	if fit.Template {
		b.WriteString("# The model's own chat template, in Ollama's language. The spaces in the JSON of tools\n" +
			"# and calls, and the order of its keys, are Ollama's.\nTEMPLATE \"\"\"" + text + "\"\"\"\n\n")
	}
	for _, stop := range stops(p) {
		fmt.Fprintf(&b, "PARAMETER stop %s\n", strconv.Quote(stop))
	}
	fmt.Fprintf(&b, "# Greedy, as the run judged the answers.\nPARAMETER temperature 0\n"+
		"# Ollama's own default cuts long prompts in silence; the model has %d.\nPARAMETER num_ctx %d\n",
		p.ContextLength(), min(p.ContextLength(), mostContext))
	_, err := io.WriteString(w, b.String())
	return fit, err
}

// stops are the tokens that end an answer, in their order.
func stops(p *policy.Policy) (out []string) {
	for id := range int32(p.VocabSize()) {
		if text := string(p.TokenBytes(id)); p.IsEnd(id) && text != "" && strconv.Quote(text) == `"`+text+`"` {
			out = append(out, text)
		}
	}
	return out
}

// renderer renders with a policy's template. llama.cpp puts the BOS token before a text where Raw does; the
// rendering does not have it then.
func renderer(p *policy.Policy) Render {
	bos := p.BOS()
	added := slices.Equal(p.Raw(""), []int32{bos})
	return func(msgs []policy.Message, tools json.RawMessage, prompt bool) (string, error) {
		render := p.Conversation
		if prompt {
			render = p.Prompt
		}
		ids, err := render(msgs, tools)
		if err != nil {
			return "", err
		}
		if added && len(ids) > 0 && ids[0] == bos {
			ids = ids[1:]
		}
		var b strings.Builder
		for _, id := range ids {
			b.Write(p.TokenBytes(id))
		}
		return b.String(), nil
	}
}
