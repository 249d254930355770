package tokenizer_test

import (
	"hash/crc32"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"itool/stages/policy/tokenizer"
)

// composing is a tokenizer with NFC: what comes back of a text is the text in composed form.
func composing(t testing.TB) *tokenizer.Tokenizer {
	file := strings.Replace(string(trained(t)), `"normalizer": null`, `"normalizer": {"type": "NFC"}`, 1)
	return openBytes(t, []byte(file))
}

// TestNFC compares the composed form of all code points, alone and beside marks, with Hugging Face
// tokenizers 0.23.3 by checksum. It fails when Go's tables become those of a later Unicode with new marks:
// then laterMarks must list them.
func TestNFC(t *testing.T) {
	tok := composing(t)
	for _, c := range []struct {
		name, before, behind string
		size                 int
		crc                  uint32
	}{
		{"alone", "", "\n", 906918, 0xb203f5ec},
		{"between marks", "e", "\u0323\u0301\n", 1879657, 0x460a21fe},
		{"behind a mark", "e\u0345", "\u0334\n", 1879703, 0x33521052},
		{"before a mark", "", "\u0301\n", 1295831, 0xcc4db05a},
	} {
		var text strings.Builder
		for r := rune(0); r < 0x30000; r++ {
			if r < 0xD800 || r > 0xDFFF {
				text.WriteString(c.before + string(r) + c.behind)
			}
		}
		back := tok.Decode(tok.Encode(text.String()))
		if crc := crc32.ChecksumIEEE([]byte(back)); len(back) != c.size || crc != c.crc {
			t.Errorf("%s: %d bytes %#x, want %d %#x", c.name, len(back), crc, c.size, c.crc)
		}
	}
}

func TestNFCMarks(t *testing.T) {
	tok := composing(t)
	for _, c := range []struct{ name, text, want string }{
		{"more marks than x/text takes", "a" + strings.Repeat("\u0301\u0323", 20),
			"\u1ea1" + strings.Repeat("\u0323", 19) + strings.Repeat("\u0301", 20)},
		{"syllables of Hangul", "\u1100\u1161\u11a8\uac00\u11a8\u1161", "\uac01\uac01\u1161"},
		{"no UTF-8", "e\u0301\xff\u0301e\u0301", "\u00e9\uFFFD\u0301\u00e9"},
		{"a mark that Unicode 9 does not know", "e\u08d3\u0301", "e\u08d3\u0301"},
		{"composed letters that are decomposed", "\u0958\u212b", "\u0915\u093c\u00c5"},
	} {
		if got := tok.Decode(tok.Encode(c.text)); got != c.want {
			t.Errorf("%s: got %+q, want %+q", c.name, got, c.want)
		}
	}
	// A hostile run of marks is sorted in n log n.
	tok.Encode("a" + strings.Repeat("\u0301\u0323", 1<<16))
}

// FuzzNFC: where the tables are the same and no run of marks is long, x/text composes alike.
func FuzzNFC(f *testing.F) {
	tok := composing(f)
	for _, s := range []string{"e\u0301", "\u1100\u1161\u11a8", "a\u0345\u0334\u0301b", "\u0344\u0958"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "")
		marks := 0
		for _, r := range text {
			if r > 0x3000 || r >= 0x700 && r < 0x1E00 && (r < 0x1100 || r > 0x11FF) || r >= 0xFFFD {
				return // where Unicode has added marks
			}
			if norm.NFD.PropertiesString(string(r)).CCC() != 0 || r == 0x344 {
				marks += 2
			}
		}
		if marks > 28 {
			return
		}
		if got, want := tok.Decode(tok.Encode(text)), norm.NFC.String(text); got != want {
			t.Errorf("%+q: got %+q, want %+q", text, got, want)
		}
	})
}
