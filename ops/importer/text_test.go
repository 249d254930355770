package importer_test

import (
	"strings"
	"testing"

	"itool/ops/importer"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model/safetensors"
)

// TestText: a person reads what was written, and what is missing with the remedy.
func TestText(t *testing.T) {
	d := importer.Done{
		Name: "Smol", Architecture: "llama", Parameters: 134_515_008, Context: 8192, Files: 2, Bytes: 269_160_000,
		Weights: []importer.Counts{
			{From: gguf.F32, To: safetensors.F32, Tensors: 61, Parameters: 35_136},
			{From: gguf.Q4_1, To: safetensors.BF16, Tensors: 210, Parameters: 106_168_320},
		},
		Pre: "smollm", Tokens: 49152,
	}
	for _, c := range []struct {
		template int
		given    bool
		want     string
	}{
		{0, false, `out: "Smol", llama, 134.5 M parameters, context 8192 tokens
weights: Q4_1 as BF16 (210 tensors, 78.9 %), F32 (61 tensors, 0.0261 %); 269.2 MB in 2 files
tokenizer: 49152 tokens, texts cut as in smollm
no chat template: the file has none; write the model's own into out/chat_template.jinja, or give it to the ` +
			"import with --template FILE, before the folder can be a base or be served\n"},
		{367, false, "bytes\nas a base: --set x\ntried: "},
		{368, false, "\nchat template: the file's, 368 bytes\ntried: it opens, "},
		{9, true, "\nchat template: the given one, 9 bytes\ntried: "},
	} {
		d.Template, d.Given, d.Refused = c.template, c.given, map[int]string{367: "--set x"}[c.template]
		var b strings.Builder
		if err := d.Text(&b, "out"); err != nil || !strings.Contains(b.String(), c.want) {
			t.Errorf("got\n%s%v, want in it\n%s", b.String(), err, c.want)
		}
	}
}
