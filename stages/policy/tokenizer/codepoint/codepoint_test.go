package codepoint_test

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"itool/stages/policy/tokenizer/codepoint"
)

// sum counts the code points of ranges and computes a checksum of them. Surrogates do not count.
func sum(all []codepoint.Range) (n int, crc uint32) {
	var b strings.Builder
	write := func(lo, hi rune) {
		if lo <= hi {
			n += int(hi-lo) + 1
			fmt.Fprintf(&b, "%X-%X ", lo, hi)
		}
	}
	for _, r := range all {
		if r.Lo <= 0xDFFF && r.Hi >= 0xD800 {
			write(r.Lo, 0xD7FF)
			write(0xE000, r.Hi)
		} else {
			write(r.Lo, r.Hi)
		}
	}
	return n, crc32.ChecksumIEEE([]byte(b.String()))
}

// TestCategories compares all code points of each set with those that the library itself matches:
// Hugging Face tokenizers 0.23.3, its Oniguruma, and its Rust. It fails when Go's tables become those of
// a Unicode above 16: then differences.go must take back what is new in them.
func TestCategories(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		crc  uint32
	}{
		{"L", 141028, 0x94824947}, {"M", 2501, 0xaa77b257}, {"N", 1911, 0xcb815428}, {"P", 855, 0xb649c2c1},
		{"S", 8514, 0x0f72cdfc}, {"Z", 19, 0x278e4037}, {"C", 957236, 0x826b50b4}, {"LC", 4147, 0xc77d69a2},
		{"Lu", 1858, 0x4c472c2b}, {"Ll", 2258, 0x987994cf}, {"Lt", 31, 0x0418b363}, {"Lm", 404, 0x5ffcf666},
		{"Lo", 136477, 0x5d3c1dd8}, {"Mn", 2020, 0x315a95ea}, {"Mc", 468, 0x02cd3b38}, {"Me", 13, 0x277837f1},
		{"Nd", 760, 0x8350f07f}, {"Nl", 236, 0x5a19d261}, {"No", 915, 0xc7e707fe}, {"Pc", 10, 0x10a92273},
		{"Pd", 27, 0x81dadafa}, {"Ps", 79, 0x4d3090b3}, {"Pe", 77, 0x644c90fd}, {"Pi", 12, 0xc6fb7a75},
		{"Pf", 10, 0x4de9a83f}, {"Po", 640, 0x1c7af8a4}, {"Sm", 950, 0x3034c2c8}, {"Sc", 63, 0x7519d4a7},
		{"Sk", 125, 0x04b17505}, {"So", 7376, 0x61b5bc87}, {"Zs", 17, 0x7c6e6803}, {"Zl", 1, 0x663fedf6},
		{"Zp", 1, 0xd953d703}, {"Cc", 65, 0xca28afbc}, {"Cf", 170, 0x15c61964}, {"Co", 137468, 0x5273fb9d},
		{"Cn", 819533, 0xbb32a6a6},
	} {
		set, ok := codepoint.Category(c.name)
		if n, crc := sum(set.Ranges()); !ok || n != c.n || crc != c.crc {
			t.Errorf("%s: %v, %d code points %#x, want %d %#x", c.name, ok, n, crc, c.n, c.crc)
		}
	}
	if _, ok := codepoint.Category("Letter"); ok {
		t.Error("Letter is no short name")
	}
}

func TestSets(t *testing.T) {
	for _, c := range []struct {
		name string
		set  codepoint.Set
		n    int
		crc  uint32
	}{
		{`\s`, codepoint.Space, 25, 0x282eaebe}, {`\w`, codepoint.Word, 144671, 0x641da8c6},
		{`[\w]`, codepoint.WordInBrackets, 144665, 0x37f5d5ce}, {`Rust's \w`, codepoint.RustWord, 144667, 0x9b10651a},
		{"Rust's is_numeric", codepoint.RustNumeric, 1924, 0xf9661a67},
	} {
		if n, crc := sum(c.set.Ranges()); n != c.n || crc != c.crc {
			t.Errorf("%s: %d code points %#x, want %d %#x", c.name, n, crc, c.n, c.crc)
		}
	}
}

func TestRustPunctuation(t *testing.T) {
	var all []codepoint.Range
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !codepoint.RustPunctuation(r) {
			continue
		}
		if n := len(all); n > 0 && all[n-1].Hi == r-1 {
			all[n-1].Hi = r
		} else {
			all = append(all, codepoint.Range{Lo: r, Hi: r})
		}
	}
	if n, crc := sum(all); n != 726 || crc != 0x349b56b6 {
		t.Errorf("%d code points %#x", n, crc)
	}
}

func TestScripts(t *testing.T) {
	var all strings.Builder
	names := slices.Sorted(maps.Keys(unicode.Scripts))
	for _, name := range names {
		ranges, ok := codepoint.Script(name)
		if !ok {
			t.Errorf("%s: not known", name)
		}
		_, crc := sum(ranges)
		fmt.Fprintf(&all, "%s %08x\n", name, crc)
	}
	if crc := crc32.ChecksumIEEE([]byte(all.String())); len(names) != 163 || crc != 0x70888da4 {
		t.Errorf("%d scripts %#x, want those of Unicode 15 with the code points of 16", len(names), crc)
	}
	if _, ok := codepoint.Script("Klingon"); ok {
		t.Error("Klingon is a script")
	}
}

func TestHas(t *testing.T) {
	for _, c := range []struct {
		r    rune
		set  codepoint.Set
		want bool
	}{
		{'é', codepoint.Letter, true}, {'1', codepoint.Letter, false}, {'²', codepoint.Number, true},
		{'\u0301', codepoint.Mark, true}, {unicode.MaxRune, codepoint.Other, true}, {'\n', codepoint.Space, true},
		{'\uFFFD', codepoint.Symbol, true}, {0x1C89, codepoint.Letter, true},
	} {
		if got := c.set.Has(c.r); got != c.want {
			t.Errorf("%U in %x: %v", c.r, c.set, got)
		}
	}
}
