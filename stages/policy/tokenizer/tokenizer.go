// Package tokenizer turns text into token IDs and back, exactly as Hugging Face tokenizers does for
// byte-level BPE: GPT-2, StarCoder, SmolLM, Llama 3 and 4, Qwen, GPT-4o, DeepSeek, Tekken and the
// tokenizers that Train makes.
//
// It reads tokenizer.json and nothing else. Texts are cut before merging by any sequence of Split, Digits,
// Punctuation, Whitespace and ByteLevel: common expressions have a scanner, the package pattern knows the
// others. If the file asks for a feature that is not supported, Open returns an error with the field's
// name; nothing is skipped in silence, and nothing that Open accepts takes more than n log n for a text of n
// bytes. The package knows no model and no template.
//
//	t, err := tokenizer.Open(os.DirFS(dir))
//	ids := t.Encode("get_weather(city=\"Paris\")")
//	text := t.Decode(ids)
//
// There are three ways to encode, because of prompt injection. Text that a user or a tool wrote must
// never become a control token: Encode. A rendered chat template contains control tokens on purpose:
// EncodeRendered. A rendered template that also contains text of users needs both: pass each user's
// text through Shield before rendering, and the whole rendering to EncodeShielded.
package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Tokenizer does not change after Open, except for its cache. Many goroutines may use it at once.
type Tokenizer struct {
	bpe
	bytes    [][]byte         // by ID; nil: no token has this ID
	added    map[string]int32 // added tokens, special or not, by content
	vocab    map[string]int32 // by bytes, without the added tokens
	nfc      bool             // texts are normalised to NFC
	steps    []step           // how texts are cut before merging
	spelled  bool             // the steps leave bytes that are spelled in the alphabet
	patterns []string         // the expressions of the steps; nil if they do something else
	plain    matchers         // added tokens that are not special
	all      matchers         // all added tokens
	shielded matchers         // all, but after normalisation only those that are not special
	special  *trie            // the special tokens
	specials []string         // contents of the special tokens, by ID
	control  map[int32]bool   // IDs of the special tokens
	prefix   []prefixToken    // special tokens that the post-processor puts before a text; nil: no template
}

// matchers find added tokens: raw before normalisation, normal after it.
type matchers struct{ raw, normal *trie }

// Encode returns the IDs of text as content: a special token that is spelled out in it is encoded
// as plain text. Added tokens that are not special ("<tool_call>" in Qwen) are found. Bytes for which
// the vocabulary has no token are dropped, as Hugging Face tokenizers does.
func (t *Tokenizer) Encode(text string) []int32 { return t.encode(text, &t.plain, unchanged) }

// PrefixTokens returns the special tokens that tokenizer.json puts before a text that is not a
// conversation, such as a beginning-of-text token. ok is false if the file has no template for that.
func (t *Tokenizer) PrefixTokens() (ids []int32, ok bool) {
	for _, token := range t.prefix {
		id, _ := t.ID(token.name)
		ids = append(ids, id)
	}
	return ids, t.prefix != nil
}

// EncodeRendered returns the IDs of a rendered chat template: special tokens in it are found.
func (t *Tokenizer) EncodeRendered(text string) []int32 { return t.encode(text, &t.all, unchanged) }

// EncodeShielded is EncodeRendered for a rendering that contains texts from Shield: special tokens
// within those stay plain text.
func (t *Tokenizer) EncodeShielded(text string) []int32 { return t.encode(text, &t.shielded, unshield) }

// mark is a code point that Unicode reserves for internal use by a program.
const mark = "\uFDD0"

// Shield splits every special token in text with a mark. EncodeShielded removes the marks again, so
// that a template can contain the text and no special token comes out of it.
func (t *Tokenizer) Shield(text string) string {
	var b strings.Builder
	escape := func(s string) { b.WriteString(strings.ReplaceAll(s, mark, mark+mark)) }
	t.special.cut(text, func(s string, _ int32) {
		_, n := utf8.DecodeRuneInString(s)
		escape(s[:n])
		b.WriteString(mark)
		escape(s[n:])
	}, escape)
	return b.String()
}

func unshield(text string) string {
	if !strings.Contains(text, mark) {
		return text
	}
	parts := strings.Split(text, mark+mark)
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, mark, "")
	}
	return strings.Join(parts, mark)
}

func unchanged(text string) string { return text }

func (t *Tokenizer) encode(text string, m *matchers, prepare func(string) string) (ids []int32) {
	m.raw.cut(text, func(_ string, id int32) { ids = append(ids, id) }, func(part string) {
		part = prepare(part)
		if t.nfc {
			part = nfc(part)
		}
		m.normal.cut(part, func(_ string, id int32) { ids = append(ids, id) }, func(word string) {
			ids = t.cut(ids, word, 0)
		})
	})
	return ids
}

// Decode returns the text of ids, special tokens included. Invalid UTF-8 becomes U+FFFD, as Lossy
// does it. Unknown IDs give no text.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(t.Bytes(id))
	}
	return Lossy(b.String())
}

// Bytes returns the bytes of one token, which may be a part of a character; nil for an unknown ID.
// The tokenizer owns the slice: do not change it.
func (t *Tokenizer) Bytes(id int32) []byte {
	if id < 0 || int(id) >= len(t.bytes) {
		return nil
	}
	return t.bytes[id]
}

// Size is the highest ID + 1. An embedding must have at least that many rows.
func (t *Tokenizer) Size() int { return len(t.bytes) }

// ID finds the token with this content: an added token, or else one of the vocabulary. content is
// the text itself, not its spelling in tokenizer.json's alphabet of bytes.
func (t *Tokenizer) ID(content string) (int32, bool) {
	if id, ok := t.added[content]; ok {
		return id, true
	}
	id, ok := t.vocab[content]
	return id, ok
}

// IsSpecial tells whether id is a special token, also called a control token.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.control[id] }

// Specials returns the contents of all special tokens, in order of ID.
func (t *Tokenizer) Specials() []string { return append([]string(nil), t.specials...) }

// Lossy replaces invalid UTF-8 like Rust's from_utf8_lossy: one U+FFFD for each maximal part that
// begins a character. Go's own conversion writes one U+FFFD for every byte.
func Lossy(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError || n > 1 {
			b.WriteString(s[:n])
		} else {
			b.WriteString("\uFFFD")
			n = brokenLen(s)
		}
		s = s[n:]
	}
	return b.String()
}

// brokenLen is the length of the longest prefix of s that begins a valid character without
// completing it; at least 1.
func brokenLen(s string) int {
	need, low, high := 0, byte(0x80), byte(0xBF)
	switch c := s[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		if c == 0xE0 { // overlong forms
			low = 0xA0
		} else if c == 0xED { // surrogates
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			low = 0x90
		} else if c == 0xF4 { // above U+10FFFF
			high = 0x8F
		}
	}
	n := 1
	for n <= need && n < len(s) && s[n] >= low && s[n] <= high {
		n++
		low, high = 0x80, 0xBF
	}
	return n
}
