package importer

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Text says on some lines what was written into dir.
func (d Done) Text(w io.Writer, dir string) error {
	var b strings.Builder
	name := ""
	if d.Name != "" {
		name = fmt.Sprintf("%.80q, ", d.Name)
	}
	fmt.Fprintf(&b, "%s: %s%s, %.4g M parameters, context %d tokens\n", dir, name, d.Architecture,
		float64(d.Parameters)/1e6, d.Context)
	var types []string
	for _, c := range slices.SortedFunc(slices.Values(d.Weights), func(a, b Counts) int {
		return cmp.Compare(b.Parameters, a.Parameters)
	}) {
		as := ""
		if c.From.String() != string(c.To) {
			as = fmt.Sprintf(" as %s", c.To)
		}
		types = append(types, fmt.Sprintf("%s%s (%s, %.3g %%)", c.From, as, number(c.Tensors, "tensor"),
			100*float64(c.Parameters)/float64(d.Parameters)))
	}
	fmt.Fprintf(&b, "weights: %s; %.1f MB in %s\n", strings.Join(types, ", "), float64(d.Bytes)/1e6,
		number(d.Files, "file"))
	fmt.Fprintf(&b, "tokenizer: %d tokens, texts cut as in %s\n", d.Tokens, d.Pre)
	switch {
	case d.Template == 0:
		fmt.Fprintf(&b, "no chat template: the file has none; write the model's own into %s/chat_template.jinja, "+
			"or give it to the import with --template FILE, before the folder can be a base or be served\n", dir)
	case d.Given:
		fmt.Fprintf(&b, "chat template: the given one, %d bytes\n", d.Template)
	default:
		more := ""
		if d.ToolTemplate > 0 {
			more = fmt.Sprintf(", and one for conversations with tools, %d bytes", d.ToolTemplate)
		}
		fmt.Fprintf(&b, "chat template: the file's, %d bytes%s\n", d.Template, more)
	}
	if d.Refused != "" {
		fmt.Fprintf(&b, "as a base: %s\n", d.Refused)
	}
	if d.Template > 0 {
		fmt.Fprintf(&b, "tried: it opens, renders a message and scores an answer; now: itool serve --model %s\n", dir)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// number is a number of things.
func number(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
