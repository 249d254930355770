package gguf_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/tokenizer"
)

// TestTokenizer: the tokenizer of a file encodes as the file's lists say: words by merges, control tokens
// only in rendered text, added tokens everywhere, a BOS token where the file asks for one.
func TestTokenizerRead(t *testing.T) {
	b := changed(t, "tiny_f32.gguf", func(f *file) {
		tokens, kinds := f.meta["tokenizer.ggml.tokens"].([]any), f.meta["tokenizer.ggml.token_type"].([]any)
		tokens[269], kinds[269] = "<call>", int32(4)
		tokens[270], kinds[270] = "[PAD270]", int32(5)
		tokens[271], kinds[271] = "[PAD270]", int32(5) // unused ones may be called alike
		delete(f.meta, "tokenizer.ggml.add_bos_token")
	})
	tok, err := opened(t, b).Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if tok.Pre != "llama-bpe" || tok.Tokens != 270 || !strings.Contains(tok.Template, "<|im_start|>") {
		t.Errorf("pre %q, %d tokens, template %q", tok.Pre, tok.Tokens, tok.Template)
	}
	o, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: tok.JSON}})
	if err != nil {
		t.Fatal(err)
	}
	bos := int32(266)
	for _, c := range []struct {
		text           string
		plain, control []int32
	}{
		{"hello the", o.Encode("hello the"), o.Encode("hello the")},
		{"<call>", []int32{269}, []int32{269}},
		{string(o.Bytes(268)), o.Encode(string(o.Bytes(268))), []int32{268}},
	} {
		if got := o.EncodeRendered(c.text); !slices.Equal(got, c.control) {
			t.Errorf("%q rendered: %v, want %v", c.text, got, c.control)
		}
		if got := o.Encode(c.text); !slices.Equal(got, c.plain) || o.Decode(got) != c.text {
			t.Errorf("%q: %v, which is %q", c.text, got, o.Decode(got))
		}
	}
	if ids := o.Encode("hello the"); len(ids) != 2 || !o.IsSpecial(bos) || o.IsSpecial(269) || o.Size() != 270 {
		t.Errorf("hello the is %v; %d tokens", ids, o.Size())
	}
	// llama-bpe begins texts with BOS unless the file says otherwise.
	if before, _ := o.PrefixTokens(); !slices.Equal(before, []int32{bos}) {
		t.Errorf("before a text: %v", before)
	}
}

// TestTokenizerConfig: the settings name the tokens.
func TestTokenizerConfig(t *testing.T) {
	tok, err := opened(t, fixture(t, "tiny_f32.gguf")).Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(tok.Config, &config); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false, "clean_up_tokenization_spaces": false,
		"model_max_length": 128.0, "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
		"pad_token": "<|endoftext|>",
	}
	if !reflect.DeepEqual(config, want) {
		t.Errorf("config %v, want %v", config, want)
	}
	if strings.Contains(string(tok.JSON), "TemplateProcessing") {
		t.Error("a token stands before every text, which the file forbids")
	}
}

// TestAddedTokens: Hugging Face tokenizers give an added token the ID behind the vocabulary unless the
// vocabulary has it. So it has all of them where their IDs are elsewhere.
func TestAddedTokens(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(tokens, kinds []any)
		words  int // in the vocabulary, of 272
	}{
		{"behind the words", func(tokens, kinds []any) {}, 266},
		{"one before them", func(tokens, kinds []any) { tokens[0], kinds[0] = "<|first|>", int32(3) }, 270},
		{"behind a gap", func(tokens, kinds []any) { kinds[266] = int32(5) }, 269},
	} {
		b := changed(t, "tiny_f32.gguf", func(f *file) {
			delete(f.meta, "tokenizer.ggml.bos_token_id")
			delete(f.meta, "tokenizer.ggml.padding_token_id")
			c.change(f.meta["tokenizer.ggml.tokens"].([]any), f.meta["tokenizer.ggml.token_type"].([]any))
		})
		tok, err := opened(t, b).Tokenizer()
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Added []struct {
				ID      int
				Content string
			} `json:"added_tokens"`
			Model struct{ Vocab map[string]int }
		}
		if err := json.Unmarshal(tok.JSON, &f); err != nil {
			t.Fatal(err)
		}
		next := len(f.Model.Vocab)
		if next != c.words {
			t.Errorf("%s: %d words, want %d", c.name, next, c.words)
		}
		for _, a := range f.Added {
			id, ok := f.Model.Vocab[a.Content]
			if !ok {
				id = next
				next++
			}
			if id != a.ID {
				t.Errorf("%s: %q gets ID %d, want %d", c.name, a.Content, id, a.ID)
			}
		}
	}
}

// TestPreTokenizers: the parts that a name stands for are those of the real tokenizer.json.
func TestPreTokenizers(t *testing.T) {
	const folder = "../../../../shared/data/tokenizers_more/"
	for pre, name := range map[string]string{
		"llama-bpe": "llama3", "qwen2": "qwen2", "qwen35": "qwen3_5", "smollm": "smollm2", "starcoder": "starcoder",
		"gpt-2": "gpt2", "gpt-4o": "o200k", "tekken": "tekken", "deepseek-v3": "deepseek_v3",
	} {
		text, err := os.ReadFile(folder + name + ".json")
		if err != nil {
			t.Skipf("the test data is not here: %v", err)
		}
		b := changed(t, "tiny_f32.gguf", func(f *file) { f.meta["tokenizer.ggml.pre"] = pre })
		tok, err := opened(t, b).Tokenizer()
		if err != nil {
			t.Errorf("%s: %v", pre, err)
			continue
		}
		got, want := parts(t, tok.JSON), parts(t, text)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", pre, got, want)
		}
	}
}

// parts is what decides the IDs of a tokenizer.json, without the lists.
func parts(t *testing.T, text []byte) any {
	t.Helper()
	var f struct {
		Normalizer   any `json:"normalizer"`
		PreTokenizer any `json:"pre_tokenizer"`
		Model        struct {
			IgnoreMerges bool `json:"ignore_merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if n, ok := f.Normalizer.(map[string]any); ok && n["type"] == "Sequence" && len(n["normalizers"].([]any)) == 0 {
		f.Normalizer = nil
	}
	var clean func(v any)
	clean = func(v any) {
		if object, ok := v.(map[string]any); ok {
			delete(object, "trim_offsets") // decides no ID
			for _, inner := range object {
				clean(inner)
			}
		}
		if list, ok := v.([]any); ok {
			for _, inner := range list {
				clean(inner)
			}
		}
	}
	clean(f.PreTokenizer)
	return f
}

// TestTokenizerReadRefuses: what would give other IDs is an error with the key.
func TestTokenizerReadRefuses(t *testing.T) {
	set := func(key string, v any) func(*file) {
		return func(f *file) { f.meta["tokenizer.ggml."+key] = v }
	}
	unset := func(key string) func(*file) { return func(f *file) { delete(f.meta, "tokenizer.ggml."+key) } }
	at := func(key string, i int, v any) func(*file) {
		return func(f *file) { f.meta["tokenizer.ggml."+key].([]any)[i] = v }
	}
	for _, c := range []struct {
		name   string
		change func(*file)
		want   string
	}{
		{"none", unset("model"), "no tokenizer, only weights"},
		{"said to be none", set("model", "none"), "no tokenizer, only weights"},
		{"SentencePiece", set("model", "llama"), "SentencePiece tokenizers are not supported"},
		{"another", set("model", "bert"), `"bert" is not supported`},
		{"no pattern", unset("pre"), "does not say how texts are cut"},
		{"default pattern", set("pre", "default"), "does not say how texts are cut"},
		{"unknown pattern", set("pre", "kimi-k2"), `"kimi-k2" is not supported (llama-bpe, `},
		{"no tokens", unset("tokens"), `"tokenizer.ggml.tokens" is missing`},
		{"tokens of numbers", set("tokens", []any{int32(1)}), "an array of texts is expected"},
		{"no kinds", unset("token_type"), `token_type" is missing`},
		{"too few kinds", set("token_type", []any{int32(1)}), "1 kinds for 272 tokens"},
		{"kinds of texts", set("token_type", []any{"1"}), "whole numbers is expected"},
		{"unknown kind", at("token_type", 3, int32(6)), "element 3: kind 6 is not supported"},
		{"token twice", at("tokens", 8, "ĉ"), ` is token `},
		{"token in no UTF-8", at("tokens", 9, "\xff"), "element 9: \"\\xff\" is no UTF-8"},
		{"merge of one", at("merges", 2, "he"), `element 2: "he" is no pair`},
		{"no merges", unset("merges"), `merges" is missing`},
		{"bos beyond", set("bos_token_id", uint32(272)), "272 is no token"},
		{"eos of text", set("eos_token_id", "a"), "a whole number is expected"},
		{"EOS behind texts", set("add_eos_token", true), "an EOS token behind every text"},
		{"add_bos as a number", set("add_bos_token", uint32(1)), "true or false is expected"},
		{"template as a number", func(f *file) { f.meta["tokenizer.chat_template"] = uint32(1) }, "a text is expected"},
		{"template in no UTF-8", func(f *file) { f.meta["tokenizer.chat_template"] = "\xff" }, "no UTF-8"},
	} {
		_, err := opened(t, changed(t, "tiny_f32.gguf", c.change)).Tokenizer()
		if err == nil || !strings.HasPrefix(err.Error(), "gguf: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestTemplate: a file has a template for all conversations, one more for tools, only that, or none.
func TestTemplate(t *testing.T) {
	const plain, tool = "tokenizer.chat_template", "tokenizer.chat_template.tool_use"
	for _, c := range []struct{ plain, tool, template, toolTemplate string }{
		{"a", "", "a", ""}, {"a", "b", "a", "b"}, {"", "b", "b", ""}, {"", "", "", ""},
	} {
		tok, err := opened(t, changed(t, "tiny_f32.gguf", func(f *file) {
			delete(f.meta, plain)
			for key, text := range map[string]string{plain: c.plain, tool: c.tool} {
				if text != "" {
					f.meta[key] = text
				}
			}
		})).Tokenizer()
		if err != nil || tok.Template != c.template || tok.ToolTemplate != c.toolTemplate {
			t.Errorf("%+v: got %q and %q, %v", c, tok.Template, tok.ToolTemplate, err)
		}
	}
}

// TestGeneration: the tokens that end an answer, and the settings that the makers recommend.
func TestGeneration(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*file)
		want   string
	}{
		{"as it is", func(*file) {}, `{"bos_token_id":266,"eos_token_id":[268],"pad_token_id":266}`},
		{"all", func(f *file) {
			f.meta["tokenizer.ggml.eot_token_id"], f.meta["tokenizer.ggml.eom_token_id"] = uint32(267), uint32(268)
			f.meta["tokenizer.ggml.padding_token_id"] = uint32(1<<32 - 1)
			f.meta["general.sampling.temp"], f.meta["general.sampling.top_p"] = float32(0.6), float32(0.95)
			f.meta["general.sampling.top_k"], f.meta["general.sampling.min_p"] = int32(20), float32(0)
			f.meta["general.sampling.penalty_repeat"] = float32(1.1)
		}, `{"bos_token_id":266,"do_sample":true,"eos_token_id":[268,267],"min_p":0,"repetition_penalty":1.1,` +
			`"temperature":0.6,"top_k":20,"top_p":0.95}`},
		{"nothing", func(f *file) {
			for _, name := range []string{"bos", "eos", "padding"} {
				delete(f.meta, "tokenizer.ggml."+name+"_token_id")
			}
		}, ""},
		{"NaN", func(f *file) { f.meta["general.sampling.temp"] = float32(math.NaN()) }, "general.sampling: json"},
		{"a text", func(f *file) { f.meta["general.sampling.top_k"] = "a" }, "a whole number is expected"},
	} {
		text, err := opened(t, changed(t, "tiny_f32.gguf", c.change)).Generation()
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var b bytes.Buffer
		if len(text) > 0 {
			if err := json.Compact(&b, text); err != nil {
				t.Fatal(err)
			}
		}
		if b.String() != c.want {
			t.Errorf("%s: got %s, want %s", c.name, b.String(), c.want)
		}
	}
}
