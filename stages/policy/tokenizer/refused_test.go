package tokenizer_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/tokenizer"
)

// refusals are changes to a good file with what the error names. Without old, new is the whole pre-tokenizer.
var refusals = []struct{ name, old, new, want string }{
	{"model type", `"type": "BPE"`, `"type": "Unigram"`, "Unigram"},
	{"unknown field", `"truncation"`, `"truncated"`, "truncated"},
	{"normalizer", `"normalizer": null`, `"normalizer": {"type": "Lowercase"}`, `normalizer: type "Lowercase"`},
	{"normalizer in a Sequence", `"normalizer": null`,
		`"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFKC"}]}`,
		`normalizers[1]: type "NFKC"`},
	{"pattern", `\\p{L}+|`, `\\h{2}|`, `\h is not supported`},
	{"behavior", `"Isolated"`, `"Contiguously"`, `pretokenizers[0]: behavior "Contiguously"`},
	{"unknown field of a step", `"behavior"`, `"behaviour"`, "behaviour"},
	{"decoder", `"decoder": {`, `"decoder": null, "post_processor": {`, "decoder"},
	{"template that is a string", `"post_processor": null`,
		`"post_processor": {"type": "TemplateProcessing", "single": "$A"}`, "post_processor: single"},
	{"unknown prefix token", `"post_processor": null`,
		`"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]}`,
		`post_processor: single: SpecialToken "<s>"`},
	{"prefix token with another id", `"post_processor": null`, `"post_processor": {"type": "TemplateProcessing",
		"single": [{"SpecialToken": {"id": "<|bos|>"}}], "special_tokens": {"<|bos|>": {"ids": [1, 2]}}}`,
		`special_tokens: "<|bos|>"`},
	{"dropout", `"dropout": null`, `"dropout": 0.1`, "dropout"},
	{"byte fallback", `"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback"},
	{"lstrip", `"lstrip": false`, `"lstrip": true`, "lstrip"},
	{"negative id", `"id": `, `"id": -`, "out of range"},
	{"id that is not the next", `"id": `, `"id": 1`, "behind the vocabulary"},
	{"special token that is a byte", `"content": "<|bos|>"`, `"content": "!"`, `"!": id`},
	{"merge of unknown tokens", `"merges": [`, `"merges": [["Q!", "x"],`, "merges[0]"},
	{"cut", "}", "", ""},

	{"no pre-tokenizer", "", `null`, "null is not supported"},
	{"no bytes", "", `{"type": "Digits", "individual_digits": true}`, "without ByteLevel"},
	{"bytes twice", "", `{"type": "Sequence", "pretokenizers": [` + bytesStep + `, ` + bytesStep + `]}`,
		"pretokenizers[1]: a second ByteLevel"},
	{"another type", "", `{"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "_"}]}`,
		`pretokenizers[0]: type "Metaspace"`},
	{"no setting", "", `{"type": "Digits"}`, "individual_digits"},
	{"no setting of the space", "", `{"type": "ByteLevel"}`, "add_prefix_space"},
	{"no text", "", `{"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": false}`,
		"empty String"},
	{"no pattern", "", `{"type": "Split", "behavior": "Isolated", "invert": false}`, "pattern: neither"},
	{"Sequences without end", "", strings.Repeat(`{"type": "Sequence", "pretokenizers": [`, 2000) + bytesStep +
		strings.Repeat(`]}`, 2000), "more than 8 Sequences"},
	{"too many steps", "", `{"type": "Sequence", "pretokenizers": [` +
		strings.Repeat(`{"type": "Digits", "individual_digits": true},`, 40) + bytesStep + `]}`, "more than 32 steps"},
}

const bytesStep = `{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}`

func TestRefused(t *testing.T) {
	good := string(trained(t))
	begin, end := strings.Index(good, `"pre_tokenizer": `), strings.Index(good, ` "post_processor"`)
	for _, c := range refusals {
		bad := strings.Replace(good, c.old, c.new, 1)
		switch {
		case c.name == "cut":
			bad = good[:len(good)/2]
		case c.old == "":
			bad = good[:begin] + `"pre_tokenizer": ` + c.new + "," + good[end:]
		}
		if bad == good {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		_, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: []byte(bad)}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), tokenizer.File) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	if _, err := tokenizer.Open(fstest.MapFS{}); err == nil {
		t.Error("a missing file gave no error")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(trained(f))
	const sequence = `{"type": "Sequence", "pretokenizers": [`
	for _, step := range []string{
		bytesStep, sequence + `{"type": "Digits", "individual_digits": false}, ` + bytesStep + `]}`,
		sequence + `{"type": "Split", "pattern": {"Regex": "a|(?=\\d)"}, "behavior": "MergedWithNext", ` +
			`"invert": true}, ` + bytesStep + `, {"type": "Punctuation", "behavior": "Contiguous"}]}`,
	} {
		f.Add([]byte(`{"normalizer": {"type": "NFC"}, "pre_tokenizer": ` + step + `,` +
			`"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": 0, "1": 1, "a1": 2, "Ã": 3}, ` +
			`"merges": ["a 1"], "ignore_merges": true}}`))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: file}})
		if err == nil {
			tok.Decode(tok.EncodeRendered("Paris, 12 a1a \u00e9\xff"))
			tok.Encode(tok.Shield("<|end|>"))
			tok.Parts()
		}
	})
}
