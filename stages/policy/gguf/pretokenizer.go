package gguf

import (
	"fmt"
	"slices"
	"strings"

	"itool/stages/policy"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/tokenizer/pattern"
)

// preTokenizer is a way to cut texts into words, which tokenizer.ggml.pre names in a file. tokenizer.json
// has the parts themselves.
type preTokenizer struct {
	names        []string // in llama.cpp; Write uses the first
	splits       []string // regular expressions whose matches are words, one step each
	digits       bool     // every digit is a word, and GPT-2's pattern cuts the rest
	nfc          bool     // texts are normalised first; llama.cpp does not
	ignoreMerges bool     // a word of the vocabulary needs no merges
	bos          bool     // texts begin with the BOS token unless the file says otherwise
	// nearly is the expression by which llama.cpp cuts where it is not the model's own: a simpler one, which takes
	// all letters beyond ASCII for capital and small at once. Empty: it cuts as the model does.
	nearly string
}

// preTokenizers are those whose parts are known: llm_tokenizer_bpe in llama.cpp's llama-vocab.cpp, with
// the tokenizer.json of the models that they are named after. Without splits GPT-2's pattern cuts alone.
var preTokenizers = []preTokenizer{
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3"}, splits: []string{tokenizer.Llama},
		ignoreMerges: true, bos: true},
	{names: []string{"qwen2", "deepseek-r1-qwen", "megrez"}, splits: []string{tokenizer.Qwen}, nfc: true},
	{names: []string{"qwen35"}, splits: []string{tokenizer.Qwen35}, nfc: true},
	{names: []string{"smollm", "starcoder", "refact", "command-r"}, digits: true},
	{names: []string{"gpt-2", "phi-2"}},
	{names: []string{"gpt-4o", "llama4"}, splits: []string{tokenizer.O200k},
		nearly: nearCapital + nearSmall + `+` + nearContractions + `|` + nearCapitals + nearSmall + `*` +
			nearContractions + `|\p{N}{1,3}` + nearRest},
	{names: []string{"tekken"}, splits: []string{tokenizer.Tekken}, ignoreMerges: true, bos: true,
		nearly: nearCapital + nearSmall + `+|` + nearCapitals + nearSmall + `*|\p{N}` + nearRest},
	{names: []string{"deepseek-v3"}, splits: []string{tokenizer.DeepSeekDigits, tokenizer.DeepSeekHan,
		lineEnds.Replace(tokenizer.DeepSeekWords)}},
	{names: []string{"dbrx", "smaug-bpe", "chatglm-bpe"}, splits: []string{tokenizer.Llama}},
	{names: []string{"deepseek-coder"}, splits: []string{"[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`,
		`[一-龥ࠀ-一가-퟿]+`, tokenizer.Digits}},
	{names: []string{"viking"}, splits: []string{` ?[^(\s|.,!?…。，、।۔،)]+`, tokenizer.Digits}},
	{names: []string{"seed-coder"}, splits: []string{lineEnds.Replace(`(?i:'s|'t|'re|'ve|'m|'ll|'d)|` +
		`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`)}},
}

// Parts of llama.cpp's expressions for GPT-4o and Tekken.
const (
	nearCapital      = `[^\r\n\p{L}\p{N}]?(?:(?=[\p{L}])[^a-z])*`
	nearCapitals     = `[^\r\n\p{L}\p{N}]?(?:(?=[\p{L}])[^a-z])+`
	nearSmall        = `(?:(?=[\p{L}])[^A-Z])`
	nearContractions = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?`
	nearRest         = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// lineEnds spells line ends in an expression as the files of DeepSeek do, escaped as the tokenizer package.
var (
	lineEnds = strings.NewReplacer(`\r`, "\r", `\n`, "\n")
	escaped  = strings.NewReplacer("\r", `\r`, "\n", `\n`)
)

// cuts tells whether a tokenizer with these parts cuts texts by p's expressions, and llama.cpp by p as well, at
// least nearly.
func (p preTokenizer) cuts(parts tokenizer.Parts) bool {
	var patterns []string
	if p.digits {
		patterns = append(patterns, tokenizer.Digits)
	}
	if len(p.splits) == 0 {
		patterns = append(patterns, tokenizer.GPT2)
	}
	for _, s := range p.splits {
		patterns = append(patterns, escaped.Replace(s))
	}
	return p.ignoreMerges == parts.IgnoreMerges && slices.Equal(patterns, parts.Patterns)
}

// known finds llama.cpp's rule for a tokenizer. ErrTokenizer: it has none.
func known(parts tokenizer.Parts) (preTokenizer, error) {
	for _, p := range preTokenizers {
		if p.cuts(parts) {
			return p, nil
		}
	}
	return preTokenizer{}, ErrTokenizer
}

// Departure says how llama.cpp's way to cut texts differs from a policy's own.
type Departure struct {
	Rule   string // llama.cpp's name for its rule
	Nearly bool   // the rule differs from the model's for some letters beyond ASCII
	Texts  int    // of those given, that llama.cpp cuts at other places
}

// Departs compares llama.cpp's rule for the policy's tokenizer with the policy's own, on these texts.
// ErrTokenizer: llama.cpp has no rule for it.
func Departs(p *policy.Policy, texts []string) (Departure, error) {
	parts := p.Tokenizer()
	rule, err := known(parts)
	if err != nil {
		return Departure{}, err
	}
	d := Departure{Rule: rule.names[0], Nearly: rule.nearly != ""}
	if !d.Nearly {
		return d, nil
	}
	var cut [2]*pattern.Pattern
	for i, e := range []string{parts.Patterns[0], rule.nearly} {
		if cut[i], err = pattern.Compile(e); err != nil {
			return d, fmt.Errorf("gguf: %s: %w", d.Rule, err)
		}
	}
	for _, text := range texts {
		if !slices.Equal(cut[0].Spans(nil, text), cut[1].Spans(nil, text)) {
			d.Texts++
		}
	}
	return d, nil
}

// preTokenizer finds the way that the file names.
func (f *File) preTokenizer() (preTokenizer, error) {
	const key = "tokenizer.ggml.pre"
	name, ok, err := f.text(key)
	switch {
	case err != nil:
		return preTokenizer{}, err
	case !ok || name == "default":
		return preTokenizer{}, fmt.Errorf("key %q does not say how texts are cut into words, as in files of old "+
			"converters: take a newer conversion of the model", key)
	}
	var known []string
	for _, p := range preTokenizers {
		if slices.Contains(p.names, name) {
			return p, nil
		}
		known = append(known, p.names...)
	}
	return preTokenizer{}, fmt.Errorf("key %q: %.40q is not supported (%s are): take the model's Hugging Face folder",
		key, name, strings.Join(known, ", "))
}

// component is a step of tokenizer.json.
type component map[string]any

// normalizer is the step before the added tokens are looked for in a text; nil: none.
func (p preTokenizer) normalizer() component {
	if p.nfc {
		return component{"type": "NFC"}
	}
	return nil
}

func (p preTokenizer) component() component {
	level := component{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
		"use_regex": len(p.splits) == 0}
	var steps []component
	if p.digits {
		steps = append(steps, component{"type": "Digits", "individual_digits": true})
	}
	for _, s := range p.splits {
		steps = append(steps, component{"type": "Split", "pattern": component{"Regex": s}, "behavior": "Isolated",
			"invert": false})
	}
	if len(steps) == 0 {
		return level
	}
	return component{"type": "Sequence", "pretokenizers": append(steps, level)}
}
