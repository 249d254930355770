package pattern_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"itool/stages/policy/tokenizer/pattern"
)

// cut returns the parts of text that are not empty, and those of them that lie between matches.
func cut(p *pattern.Pattern, text string) (all, between []string) {
	for _, s := range p.Spans(nil, text) {
		if part := text[s.From:s.To]; part != "" {
			all = append(all, part)
			if !s.Match {
				between = append(between, part)
			}
		}
	}
	return all, between
}

// TestOniguruma compares with what Hugging Face tokenizers 0.23.3 made of the same texts: expressions of
// published tokenizers, and random ones of all that is supported.
func TestOniguruma(t *testing.T) {
	f, err := os.Open("testdata/oniguruma.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	patterns, texts := 0, 0
	for lines.Scan() {
		var row struct {
			P    string
			Rows []struct {
				T            string
				Cut, Between []string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		p, err := pattern.Compile(row.P)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		patterns++
		for _, r := range row.Rows {
			texts++
			if all, between := cut(p, r.T); !slices.Equal(all, r.Cut) || !slices.Equal(between, r.Between) {
				t.Errorf("%s\n text %q\n got %q, between matches %q\nwant %q, between matches %q",
					row.P, r.T, all, between, r.Cut, r.Between)
			}
		}
	}
	if err := lines.Err(); err != nil || patterns < 400 {
		t.Errorf("%d patterns: %v", patterns, err)
	}
	t.Logf("%d expressions, %d texts: all cut as Oniguruma cuts them", patterns, texts)
}

// refused are expressions with the byte and the reason for which they are refused.
var refused = []struct {
	name, expr string
	at         int
	want       string
}{
	{"group without end", `a(b`, 1, "a ( without its )"},
	{"end without group", `ab)`, 2, "closes no group"},
	{"bracket without end", `a[b`, 1, "a [ without its ]"},
	{"bracket without end behind a range", `[a-`, 3, "a [ without its ]"},
	{"empty bracket", `[]`, 1, `written \]`},
	{"bracket that matches nothing", `[^\s\S]`, 0, "matches no character"},
	{"POSIX bracket", `[[:alpha:]]`, 1, "[: :]"},
	{"range of classes", `[a-\d]`, 3, "does not end with a character"},
	{"range turned round", `[z-a]`, 1, "before its beginning"},
	{"hyphen in the middle", `[\s-a]`, 3, `written \-`},
	{"nothing beside &&", `[a&&]`, 4, "beside &&"},
	{"back reference", `(a)\1`, 3, `\1 is not supported`},
	{"hexadecimal digit, or white space elsewhere", `\h`, 0, `\h is not supported`},
	{"line end", `\R`, 0, `\R is not supported`},
	{"named group", `(?<n>a)`, 0, "(?< is not supported"},
	{"comment", `(?#x)`, 0, "(?# is not supported"},
	{"option for the rest", `(?i)a`, 0, "(?i is not supported"},
	{"other option", `(?m:a)`, 0, "(?m is not supported"},
	{"a letter that is no option", `(?ƣ`, 0, "(?ƣ is not supported"},
	{"loop of the empty text", `(a*)*`, 0, "can be empty"},
	{"loop of an assertion", `(?:\b)*`, 0, "can be empty"},
	{"repeated assertion", `\b+`, 2, "no length"},
	{"repetition of a repetition", `a**`, 1, "repetition of a repetition"},
	{"repetition of nothing", `+a`, 0, "repetition of nothing"},
	{"lazy fixed repetition", `a{2}?`, 1, "{n}?"},
	{"repetition that is none", `a{x}`, 1, `written \{`},
	{"too many", `a{1001}`, 1, "up to 1000"},
	{"turned round", `a{3,2}`, 1, "less than the first"},
	{"too many steps", `((a{100}){100}){100}`, 0, "more than 2000 steps"},
	{"too many atomic groups", `(?:a++b){17}`, 0, "more than 16 atomic"},
	{"unknown property", `\p{Klingon}`, 0, `\p{Klingon}`},
	{"property without a name", `\pL`, 0, "without a name"},
	{"byte", `\xE4`, 0, "a byte"},
	{"no digits", `\x{zz}`, 0, "no code point"},
	{"surrogate", `\uD800`, 0, "no code point"},
	{"look-behind of any length", `(?<=a+)b`, 0, "look-behind"},
	{"two letters that are one elsewhere", `(?i:'st)`, 6, `"st"`},
	{"other letters without case", `(?i:é)`, 4, "ASCII"},
	{"class without case", `(?i:\w)`, 4, `\w within (?i: )`},
	{"end in an escape", `a\`, 1, "at the end"},
	{"deep", strings.Repeat("(", 60), 51, "more than 50"},
	{"long", strings.Repeat("a", 1<<14+1), 0, "bytes"},
	{"no UTF-8", "\xff", 0, "UTF-8"},
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		_, err := pattern.Compile(c.expr)
		var e *pattern.Error
		if !errors.As(err, &e) || e.Byte != c.at || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want byte %d: …%s…", c.name, err, c.at, c.want)
		}
	}
}

// TestLinear: expressions that keep a backtracking library busy until the end of time, on long texts.
func TestLinear(t *testing.T) {
	const n = 200_000
	for _, c := range []struct {
		name, expr, text string
		want             int // parts
	}{
		{"loop in a loop", `(a+)+b`, strings.Repeat("a", n), 1},
		{"many ways to the same", `(?:a|a|aa)*c|a`, strings.Repeat("a", n), n},
		{"a scan to the end from every place", `a*b|a`, strings.Repeat("a", n), n},
		{"the same, atomic", `(?>a*)b|a`, strings.Repeat("a", n), n},
		{"look-ahead to the end from every place", `a(?=.*b)`, strings.Repeat("a", n), 1},
		{"digits from the right", `\d(?=(?:\d{3})*(?!\d))`, strings.Repeat("7", n), 2*(n/3) + 2},
		{"white space", `\s*[\r\n]+|\s+(?!\S)|\s+`, strings.Repeat(" ", n) + "a", 3},
	} {
		p, err := pattern.Compile(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		if all, _ := cut(p, c.text); len(all) != c.want {
			t.Errorf("%s: %d parts, want %d", c.name, len(all), c.want)
		}
	}
}

func TestInvalidUTF8(t *testing.T) {
	p, err := pattern.Compile(`[a\uFFFD]|\s+`)
	if err != nil {
		t.Fatal(err)
	}
	if all, between := cut(p, "a\xff\xe4\xb8 b"); fmt.Sprintf("%q %q", all, between) !=
		`["a" "\xff" "\xe4" "\xb8" " " "b"] ["b"]` {
		t.Errorf("got %q, between matches %q", all, between)
	}
}

func FuzzSpans(f *testing.F) {
	for _, expr := range []string{
		`(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\s+(?!\S)|\s+`, `a{1,3}?(?>b|c)++(?<!\d)$`, `[^(\s|[.,])&&\w]\b|^`,
	} {
		f.Add(expr, "a'S b\r\n \u00e9\xff1")
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		p, err := pattern.Compile(expr)
		if err != nil {
			var e *pattern.Error
			if !errors.As(err, &e) || e.Byte > len(expr) || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q: %v", expr, err)
			}
			return
		}
		at := 0
		for _, s := range p.Spans(nil, text[:min(len(text), 1000)]) {
			if s.From != at || s.To < s.From || !s.Match && s.To == s.From {
				t.Fatalf("%q in %q: %v at %d", expr, text, s, at)
			}
			at = s.To
		}
		if at != min(len(text), 1000) {
			t.Fatalf("%q in %q: the parts end at %d", expr, text, at)
		}
	})
}

func Example() {
	p, err := pattern.Compile(`\d{1,3}(?=(?:\d{3})*\b)`) // digits in threes from the right
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "1234567 birds"
	for _, s := range p.Spans(nil, text) {
		fmt.Printf("%q %v\n", text[s.From:s.To], s.Match)
	}
	// Output:
	// "1" true
	// "234" true
	// "567" true
	// " birds" false
}

func BenchmarkSpans(b *testing.B) {
	p, err := pattern.Compile(`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("The weather in Zürich (12 °C) isn't that bad, is it?\n", 100)
	var spans []pattern.Span
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		spans = p.Spans(spans[:0], text)
	}
}
