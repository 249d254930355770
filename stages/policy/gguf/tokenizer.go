package gguf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// The kinds of tokens in tokenizer.ggml.token_type.
const (
	kindNormal  = 1 // a word of the vocabulary
	kindUnknown = 2
	kindControl = 3 // a control token
	kindAdded   = 4 // an added token that is no control token
	kindUnused  = 5 // a row of the embedding without a token
)

// maxTokens is the largest vocabulary that tokenizer.Open accepts.
const maxTokens = 1 << 20

// Tokenizer is a tokenizer with its chat template, as files of a Hugging Face folder.
type Tokenizer struct {
	JSON         []byte // tokenizer.json
	Config       []byte // tokenizer_config.json
	Template     string // the chat template; empty: the file has none
	ToolTemplate string // another one for conversations with tools; empty: Template is for all
	Pre          string // llama.cpp's name for the way texts are cut into words, such as qwen2
	Tokens       int    // that have text; the embedding may have more rows
}

// ErrNoTokenizer says that a file has only weights.
var ErrNoTokenizer = errors.New("the file has no tokenizer, only weights: take a conversion with one")

// Tokenizer converts the file's tokenizer. Only byte-level BPE is supported.
func (f *File) Tokenizer() (*Tokenizer, error) {
	t, err := f.tokenizer()
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return t, nil
}

func (f *File) tokenizer() (*Tokenizer, error) {
	if err := f.byteLevel(); err != nil {
		return nil, err
	}
	pre, err := f.preTokenizer()
	if err != nil {
		return nil, err
	}
	v, err := f.vocabulary()
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{Pre: pre.names[0], Tokens: v.tokens}
	bos, err := v.special(f, "bos")
	if err != nil {
		return nil, err
	}
	addBOS, err := f.flag("tokenizer.ggml.add_bos_token", pre.bos)
	if err != nil {
		return nil, err
	}
	if addEOS, err := f.flag("tokenizer.ggml.add_eos_token", false); err != nil {
		return nil, err
	} else if addEOS {
		return nil, errors.New("key \"tokenizer.ggml.add_eos_token\": an EOS token behind every text is not supported")
	}
	before := bos
	if !addBOS {
		before = ""
	}
	if t.JSON, err = v.json(pre, before); err != nil {
		return nil, err
	}
	if t.Config, err = f.tokenizerConfig(v, bos, before != ""); err != nil {
		return nil, err
	}
	if t.Template, err = f.template("tokenizer.chat_template"); err != nil {
		return nil, err
	}
	if t.ToolTemplate, err = f.template("tokenizer.chat_template.tool_use"); err != nil {
		return nil, err
	}
	if t.Template == "" {
		t.Template, t.ToolTemplate = t.ToolTemplate, ""
	}
	return t, nil
}

// byteLevel refuses a tokenizer of another kind.
func (f *File) byteLevel() error {
	const key = "tokenizer.ggml.model"
	switch kind, ok, err := f.text(key); {
	case err != nil:
		return err
	case !ok || kind == "none" || kind == "no_vocab":
		return ErrNoTokenizer
	case kind == "llama":
		return fmt.Errorf("key %q: SentencePiece tokenizers are not supported (byte-level BPE is): "+
			"models since Llama 3 and Qwen 2 have byte-level ones", key)
	case kind != "gpt2":
		return fmt.Errorf("key %q: %.40q is not supported (gpt2, byte-level BPE, is)", key, kind)
	}
	return nil
}

// vocabulary is the lists of tokens and merges.
type vocabulary struct {
	texts  []string // by ID
	kinds  []int64  // by ID
	merges []string
	tokens int             // without unused ones
	parts  map[string]bool // texts that a merge joins or makes
}

func (f *File) vocabulary() (*vocabulary, error) {
	v := &vocabulary{parts: map[string]bool{}}
	var err error
	if v.texts, err = f.texts("tokenizer.ggml.tokens", maxTokens); err != nil {
		return nil, err
	}
	if v.merges, err = f.texts("tokenizer.ggml.merges", 4*maxTokens); err != nil {
		return nil, err
	}
	const key = "tokenizer.ggml.token_type"
	kinds, err := f.get(key)
	if err != nil {
		return nil, err
	}
	var ok bool
	if v.kinds, ok = kinds.integers(); !ok {
		return nil, wrongType(key, kinds, "an array of whole numbers")
	}
	if len(v.kinds) != len(v.texts) {
		return nil, fmt.Errorf("key %q: %d kinds for %d tokens", key, len(v.kinds), len(v.texts))
	}
	for i, m := range v.merges {
		left, right, ok := bytes.Cut([]byte(m), []byte(" "))
		if !ok {
			return nil, fmt.Errorf("key \"tokenizer.ggml.merges\": element %d: %.40q is no pair", i, m)
		}
		v.parts[string(left)], v.parts[string(right)], v.parts[string(left)+string(right)] = true, true, true
	}
	return v, v.check()
}

// check refuses tokens that tokenizer.json cannot hold.
func (v *vocabulary) check() error {
	seen := make(map[string]int, len(v.texts))
	for id, text := range v.texts {
		kind := v.kinds[id]
		switch {
		case kind == kindUnused:
			continue
		case kind < kindNormal || kind > kindUnused:
			return fmt.Errorf("key \"tokenizer.ggml.token_type\": element %d: kind %d is not supported", id, kind)
		}
		if first, twice := seen[text]; twice {
			return fmt.Errorf("key \"tokenizer.ggml.tokens\": element %d: %.40q is token %d already", id, text, first)
		}
		seen[text] = id
		v.tokens++
	}
	return nil
}

// texts is an array of texts in UTF-8, at most limit of them.
func (f *File) texts(key string, limit int) ([]string, error) {
	v, err := f.get(key)
	switch {
	case err != nil:
		return nil, err
	case !v.array || v.kind != typeString:
		return nil, wrongType(key, v, "an array of texts")
	case len(v.texts) > limit:
		return nil, fmt.Errorf("key %q: %d elements, more than %d", key, len(v.texts), limit)
	}
	for i, s := range v.texts {
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("key %q: element %d: %.40q is no UTF-8", key, i, s)
		}
	}
	return v.texts, nil
}

// special is the text of the token that the file names as bos, eos and so on; empty: it names none.
func (v *vocabulary) special(f *File, name string) (string, error) {
	key := "tokenizer.ggml." + name + "_token_id"
	if _, ok := f.meta[key]; !ok {
		return "", nil
	}
	id, err := f.integer(key)
	switch {
	case err != nil:
		return "", err
	case id >= noToken:
		return "", nil
	case id >= len(v.texts) || v.kinds[id] == kindUnused:
		return "", fmt.Errorf("key %q: %d is no token of the vocabulary", key, id)
	}
	return v.texts[id], nil
}

// addedToken is an entry of added_tokens in tokenizer.json. GGUF has no field for the other settings of
// an added token.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// json is tokenizer.json. bos stands before every text that is no conversation; empty: nothing does.
func (v *vocabulary) json(pre preTokenizer, bos string) ([]byte, error) {
	added := []addedToken{}
	for id, text := range v.texts {
		if k := v.kinds[id]; k == kindControl || k == kindAdded {
			added = append(added, addedToken{ID: id, Content: text, Special: k == kindControl})
		}
	}
	level := component{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	return encoded(struct {
		Version       string       `json:"version"`
		Truncation    any          `json:"truncation"`
		Padding       any          `json:"padding"`
		Added         []addedToken `json:"added_tokens"`
		Normalizer    component    `json:"normalizer"`
		PreTokenizer  component    `json:"pre_tokenizer"`
		PostProcessor component    `json:"post_processor"`
		Decoder       component    `json:"decoder"`
		Model         any          `json:"model"`
	}{
		Version: "1.0", Added: added, Normalizer: pre.normalizer(), PreTokenizer: pre.component(),
		PostProcessor: v.postProcessor(bos), Decoder: level,
		Model: struct {
			Type         string     `json:"type"`
			Dropout      any        `json:"dropout"`
			Unk          any        `json:"unk_token"`
			Prefix       any        `json:"continuing_subword_prefix"`
			Suffix       any        `json:"end_of_word_suffix"`
			FuseUnk      bool       `json:"fuse_unk"`
			ByteFallback bool       `json:"byte_fallback"`
			IgnoreMerges bool       `json:"ignore_merges"`
			Vocab        *wordsByID `json:"vocab"`
			Merges       []string   `json:"merges"`
		}{Type: "BPE", IgnoreMerges: pre.ignoreMerges, Vocab: &wordsByID{v}, Merges: v.merges},
	})
}

// postProcessor puts bos before a text.
func (v *vocabulary) postProcessor(bos string) component {
	level := component{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
	if bos == "" {
		return level
	}
	id := 0
	for i, text := range v.texts {
		if text == bos && v.kinds[i] != kindUnused {
			id = i
		}
	}
	piece := func(kind, name string, segment int) component {
		return component{kind: component{"id": name, "type_id": segment}}
	}
	first := []component{piece("SpecialToken", bos, 0), piece("Sequence", "A", 0)}
	return component{"type": "Sequence", "processors": []component{level, {
		"type": "TemplateProcessing", "single": first,
		"pair":           append(first[:2:2], piece("SpecialToken", bos, 1), piece("Sequence", "B", 1)),
		"special_tokens": component{bos: component{"id": bos, "ids": []int{id}, "tokens": []string{bos}}},
	}}}
}

// wordsByID is the vocabulary as a JSON object whose keys are in the order of their IDs.
type wordsByID struct{ *vocabulary }

// inVocabulary tells which IDs belong in the object. Hugging Face tokenizers give an added token that is not
// in it the next ID behind its words, and no regard to the ID in added_tokens. So added tokens are left out
// only where that gives them their own IDs, as in the files of Llama 3 and Qwen; those that a merge joins or
// makes never are.
func (v *vocabulary) inVocabulary() []bool {
	in := make([]bool, len(v.texts))
	next := 0
	for id, k := range v.kinds {
		if in[id] = k != kindUnused && k != kindControl && k != kindAdded || v.parts[v.texts[id]]; in[id] {
			next++
		}
	}
	for id, k := range v.kinds {
		if in[id] || k == kindUnused {
			continue
		}
		if id != next {
			for id, k := range v.kinds {
				in[id] = k != kindUnused
			}
			return in
		}
		next++
	}
	return in
}

func (v *wordsByID) MarshalJSON() ([]byte, error) {
	b, in := []byte("{"), v.inVocabulary()
	for id, text := range v.texts {
		if !in[id] {
			continue
		}
		key, err := encoded(text)
		if err != nil {
			return nil, err
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, bytes.TrimSpace(key)...), ':')
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, '}'), nil
}

// encoded is v as JSON in which <, > and & stay readable.
func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// tokenizerConfig is tokenizer_config.json.
func (f *File) tokenizerConfig(v *vocabulary, bos string, addBOS bool) ([]byte, error) {
	c := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": addBOS, "clean_up_tokenization_spaces": false,
	}
	if bos != "" {
		c["bos_token"] = bos
	}
	for key, name := range map[string]string{"eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"} {
		text, err := v.special(f, name)
		if err != nil {
			return nil, err
		}
		if text != "" {
			c[key] = text
		}
	}
	if arch, err := f.Architecture(); err == nil {
		if n, err := f.integerOr(arch+".context_length", 0); err == nil && n > 0 {
			c["model_max_length"] = n
		}
	}
	return json.MarshalIndent(c, "", "  ")
}

// template is the text of a template; empty: there is none.
func (f *File) template(key string) (string, error) {
	text, _, err := f.text(key)
	if err == nil && !utf8.ValidString(text) {
		err = fmt.Errorf("key %q: no UTF-8", key)
	}
	return text, err
}
