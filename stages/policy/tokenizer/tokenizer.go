// Package tokenizer turns text into token IDs and back, exactly as Hugging Face
// tokenizers does for byte-level BPE (Llama 3, Qwen 2 and 3, and what Train makes).
//
// It reads tokenizer.json and nothing else; a feature that it does not know is
// refused by the field's name, never skipped. It knows no model and no template.
//
//	t, err := tokenizer.Open(os.DirFS(dir))
//	ids := t.Encode("get_weather(city=\"Paris\")")
//	text := t.Decode(ids)
//
// Three kinds of text meet here, and the difference is a matter of safety:
// what a user or a tool wrote must never turn into a control token (Encode);
// what a chat template rendered holds control tokens on purpose (EncodeRendered);
// and a rendering holds what users wrote: it goes through Shield before, and the
// whole through EncodeShielded.
package tokenizer

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Tokenizer is immutable but for its cache; many goroutines may use one.
type Tokenizer struct {
	bpe
	bytes    [][]byte         // by ID; nil: no such token
	added    map[string]int32 // added tokens, special or not, by content
	vocab    map[string]int32 // by bytes, added tokens excluded
	nfc      bool
	pattern  string           // of split
	split    func(string) int // length of the first piece of a non-empty text
	plain    matchers         // added tokens that are words like any other
	all      matchers         // … and the special ones too
	armed    matchers         // as all, but where a shield was lifted only what is plain
	shields  *trie            // the special tokens
	controls []string         // contents of the special tokens, by ID
	control  map[int32]bool
	before   []string // special tokens that the post-processor puts before a text; nil: it has no template
}

// matchers find added tokens: raw before normalisation, normal after it.
type matchers struct{ raw, normal *trie }

// Encode returns the IDs of text as content: special tokens written in it stay
// plain text. Added tokens that are not special ("<tool_call>" in Qwen) count.
// Bytes for which the vocabulary has no token are dropped, as Hugging Face does.
func (t *Tokenizer) Encode(text string) []int32 { return t.encode(text, &t.plain, same) }

// Before returns the special tokens that tokenizer.json puts before a text that is no
// conversation, and whether it says anything about that.
func (t *Tokenizer) Before() (ids []int32, said bool) {
	for _, token := range t.before {
		id, _ := t.ID(token)
		ids = append(ids, id)
	}
	return ids, t.before != nil
}

// EncodeRendered returns the IDs of a rendered chat template, in which special
// tokens count.
func (t *Tokenizer) EncodeRendered(text string) []int32 { return t.encode(text, &t.all, same) }

// EncodeShielded is EncodeRendered for a text in which Shield has marked what
// must stay plain.
func (t *Tokenizer) EncodeShielded(text string) []int32 { return t.encode(text, &t.armed, unshield) }

// mark is a code point that Unicode reserves for use inside a program.
const mark = "\uFDD0"

// Shield breaks every special token in text with a mark that EncodeShielded takes
// out again, so that a template can carry the text without it becoming control.
func (t *Tokenizer) Shield(text string) string {
	var b strings.Builder
	escape := func(s string) { b.WriteString(strings.ReplaceAll(s, mark, mark+mark)) }
	t.shields.cut(text, func(id int32) {
		s := string(t.bytes[id])
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

func same(text string) string { return text }

func (t *Tokenizer) encode(text string, m *matchers, prepare func(string) string) (ids []int32) {
	m.raw.cut(text, func(id int32) { ids = append(ids, id) }, func(part string) {
		part = prepare(part)
		if t.nfc {
			part = norm.NFC.String(part)
		}
		m.normal.cut(part, func(id int32) { ids = append(ids, id) }, func(word string) {
			for len(word) > 0 {
				n := t.split(word)
				ids = t.bpe.encode(ids, word[:n])
				word = word[n:]
			}
		})
	})
	return ids
}

// Decode returns the text of ids, special tokens included. Bytes that are no
// UTF-8 become U+FFFD, one for each maximal broken part; unknown IDs are nothing.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(t.Bytes(id))
	}
	return Lossy(b.String())
}

// Bytes returns the bytes of one token, which may be part of a character. The
// slice is the tokenizer's own: do not change it. Unknown IDs have none.
func (t *Tokenizer) Bytes(id int32) []byte {
	if id < 0 || int(id) >= len(t.bytes) {
		return nil
	}
	return t.bytes[id]
}

// Size is the highest ID + 1: an embedding must have at least so many rows.
func (t *Tokenizer) Size() int { return len(t.bytes) }

// ID finds the token with this content: an added token, or one of the vocabulary
// (by its text, not in the alphabet of tokenizer.json).
func (t *Tokenizer) ID(content string) (int32, bool) {
	if id, ok := t.added[content]; ok {
		return id, true
	}
	id, ok := t.vocab[content]
	return id, ok
}

// IsSpecial tells whether id is a control token.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.control[id] }

// Specials returns the contents of all control tokens, in order of ID.
func (t *Tokenizer) Specials() []string { return append([]string(nil), t.controls...) }

// Lossy replaces what is no UTF-8 as Rust's from_utf8_lossy does: Go's own
// replacement writes one U+FFFD for every byte.
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

// brokenLen is the length of the maximal prefix of s that begins a character
// and could have been completed; at least 1.
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
