package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"itool/stages/policy/tokenizer/codepoint"
	"itool/stages/policy/tokenizer/pattern"
)

const (
	maxSteps = 32      // of a pre-tokenizer; published ones have up to seven
	maxNest  = 8       // Sequences in one another
	maxPart  = 1 << 20 // bytes of a normalizer, pre-tokenizer, post-processor or decoder
)

// typeOf returns the type of a step of tokenizer.json. where is its place there.
func typeOf(raw json.RawMessage, where string) (string, error) {
	if len(raw) > maxPart {
		return "", fmt.Errorf("%s: %d bytes, more than %d", where, len(raw), maxPart)
	}
	var c struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	return c.Type, nil
}

// fields reads the fields of a step. One that is not in v is an error: it may change IDs.
func fields(raw json.RawMessage, where string, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// preTokenizer reads the steps that cut a text. One of them must be ByteLevel, because merges work on bytes.
func (t *Tokenizer) preTokenizer(raw json.RawMessage) error {
	const where = "pre_tokenizer"
	if isNull(raw) {
		return errors.New("pre_tokenizer: null is not supported: a ByteLevel must say that tokens are bytes")
	}
	r := stepReader{t: t}
	if err := r.read(raw, where, 0); err != nil {
		return err
	}
	if !r.bytes {
		return fmt.Errorf("%s: without ByteLevel it is not supported: tokens would be characters, not bytes", where)
	}
	// The last step may have spelled the pieces, with nothing behind it that cuts them.
	if last := len(t.steps) - 1; t.steps[last].spell {
		t.steps = t.steps[:last]
	} else {
		t.spelled = true
	}
	t.patterns = r.patterns
	if r.unlisted || t.spelled {
		t.patterns = nil
	}
	return nil
}

// stepReader appends steps to those of t.
type stepReader struct {
	t        *Tokenizer
	bytes    bool     // there was a ByteLevel
	patterns []string // the expressions of the steps
	unlisted bool     // a step does something else than to cut at the matches of an expression
}

func (r *stepReader) read(raw json.RawMessage, where string, depth int) error {
	kind, err := typeOf(raw, where)
	if err != nil {
		return err
	}
	if len(r.t.steps) >= maxSteps {
		return fmt.Errorf("%s: more than %d steps", where, maxSteps)
	}
	switch kind {
	case "Sequence":
		return r.sequence(raw, where, depth)
	case "Split":
		return r.split(raw, where)
	case "Digits":
		return r.digits(raw, where)
	case "ByteLevel":
		return r.byteLevel(raw, where)
	case "Punctuation", "Whitespace", "WhitespaceSplit":
		return r.characters(raw, where)
	}
	return fmt.Errorf("%s: type %q is not supported (Sequence, Split, Digits, Punctuation, Whitespace, "+
		"WhitespaceSplit and ByteLevel are)", where, kind)
}

// characters reads a step that cuts by what the characters are. The two for white space leave it out.
func (r *stepReader) characters(raw json.RawMessage, where string) error {
	c := struct {
		Type     string   `json:"type"`
		Behavior behavior `json:"behavior"`
	}{Behavior: isolated}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	r.unlisted = true
	switch c.Type {
	case "Punctuation":
		return r.found(each(codepoint.RustPunctuation), c.Behavior, false, where)
	case "Whitespace":
		return r.found(wordsAndOthers, removed, true, where)
	default:
		return r.found(each(codepoint.Space.Has), removed, false, where)
	}
}

func (r *stepReader) sequence(raw json.RawMessage, where string, depth int) error {
	var c struct {
		Type  string            `json:"type"`
		Steps []json.RawMessage `json:"pretokenizers"`
	}
	if depth == maxNest {
		return fmt.Errorf("%s: more than %d Sequences in one another", where, maxNest)
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	for i, s := range c.Steps {
		if err := r.read(s, fmt.Sprintf("%s: pretokenizers[%d]", where, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *stepReader) split(raw json.RawMessage, where string) error {
	var c struct {
		Type    string `json:"type"`
		Pattern struct {
			Regex, String *string
		} `json:"pattern"`
		Behavior behavior `json:"behavior"`
		Invert   bool     `json:"invert"`
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	if s := c.Pattern.String; s != nil && c.Pattern.Regex == nil {
		if *s == "" {
			return fmt.Errorf("%s: pattern: an empty String is not supported", where)
		}
		r.unlisted = true
		return r.found(literally(*s), c.Behavior, c.Invert, where)
	}
	if c.Pattern.Regex == nil || c.Pattern.String != nil {
		return fmt.Errorf("%s: pattern: neither a Regex nor a String", where)
	}
	regex := *c.Pattern.Regex
	known, ok := scanners[escaped.Replace(regex)]
	whole := known.whole && c.Behavior == removed && c.Invert // what is no match is left out: nothing
	if whole || c.Behavior == isolated {
		r.patterns = append(r.patterns, escaped.Replace(regex))
		if ok {
			r.t.steps = append(r.t.steps, step{first: known.first})
			return nil
		}
	}
	p, err := pattern.Compile(regex)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	r.unlisted = r.unlisted || c.Behavior != isolated
	return r.found(p.Spans, c.Behavior, c.Invert, where)
}

// found appends a step that cuts where f finds something.
func (r *stepReader) found(f finder, b behavior, invert bool, where string) error {
	switch b {
	case isolated, removed, contiguous, toPrevious, toNext:
	default:
		return fmt.Errorf("%s: behavior %q is not supported (%s, %s, %s, %s and %s are)",
			where, b, isolated, removed, contiguous, toPrevious, toNext)
	}
	r.t.steps = append(r.t.steps, step{find: f, behavior: b, invert: invert})
	return nil
}

func (r *stepReader) digits(raw json.RawMessage, where string) error {
	var c struct {
		Type       string `json:"type"`
		Individual *bool  `json:"individual_digits"`
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	if c.Individual == nil {
		return fmt.Errorf("%s: individual_digits: missing", where)
	}
	most := 1
	if !*c.Individual {
		most = int(^uint(0) >> 1)
		r.unlisted = true
	}
	r.patterns = append(r.patterns, Digits)
	r.t.steps = append(r.t.steps, step{first: func(s string) int {
		return scanDigits(s, codepoint.RustNumeric, most)
	}})
	return nil
}

// byteLevel reads the step that makes bytes of characters. If steps follow it, they see each byte spelled as
// a letter of the alphabet.
func (r *stepReader) byteLevel(raw json.RawMessage, where string) error {
	var c struct {
		Type        string `json:"type"`
		PrefixSpace *bool  `json:"add_prefix_space"`
		TrimOffsets bool   `json:"trim_offsets"` // it changes only the offsets of tokens, which are not used
		UseRegex    *bool  `json:"use_regex"`
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	switch {
	case r.bytes:
		return fmt.Errorf("%s: a second ByteLevel is not supported: the bytes would be spelled twice", where)
	case c.PrefixSpace == nil:
		return fmt.Errorf("%s: add_prefix_space: missing", where)
	case *c.PrefixSpace:
		r.unlisted = true
		r.t.steps = append(r.t.steps, step{space: true})
	}
	if c.UseRegex == nil || *c.UseRegex {
		r.patterns = append(r.patterns, GPT2)
		r.t.steps = append(r.t.steps, step{first: scanGPT2})
	}
	r.bytes = true
	r.t.steps = append(r.t.steps, step{spell: true})
	return nil
}
