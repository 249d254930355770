package tokenizer_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"itool/stages/policy/tokenizer"
	"itool/stages/policy/tokenizer/pattern"
)

// compiled are the expressions of the scanners, for the slow twin.
func compiled(t testing.TB) map[string]*pattern.Pattern {
	all := map[string]*pattern.Pattern{}
	for _, expr := range tokenizer.Scanned() {
		p, err := pattern.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		all[expr] = p
	}
	return all
}

// compare cuts text by each scanner and by its expression.
func compare(t testing.TB, twins map[string]*pattern.Pattern, text string) {
	for expr, p := range twins {
		var want []string
		for _, s := range p.Spans(nil, text) {
			if want = append(want, text[s.From:s.To]); !s.Match && tokenizer.Whole(expr) {
				t.Errorf("%s: %q lies between matches in %q", expr, text[s.From:s.To], text)
			}
		}
		if got := tokenizer.Scan(expr, text); !slices.Equal(got, want) {
			t.Errorf("%s\n text %q\n got %q\nwant %q", expr, text, got, want)
		}
	}
}

// crumbs are what texts of the tests consist of: all that the scanners tell apart.
var crumbs = strings.Split("a|b|s|S|st|é|É|ǅ|ʰ|ª|中|文|ー|゠|龥|龦|ſ|K|İ|\u0301|\u0301\u0301|नि|"+
	"HTTPServer|x_y|'|'s|'S|'re|'LL|'ſ|' |_|-|/|//|.|...|!|€|©|😀|1|12|1234|²|½|٣|Ⅷ|〇| |  |   |"+
	"\n|\n\n|\r\n|\r|\t|\v|\u0085|\u00a0|\u2028|\u3000|\u200b|\u200d|\u0000|\ufffd|\ue000|\U000e0067|\u0378|"+
	"\U00010d45|\U00010d41|\u1c89|\U00011de3|\U0010ffff|\xff|\xe4\xb8", "|")

func crumbly(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(14) {
		b.WriteString(crumbs[r.IntN(len(crumbs))])
	}
	return b.String()
}

func TestScanners(t *testing.T) {
	twins := compiled(t)
	r := rand.New(rand.NewPCG(1, 2))
	const texts = 2000
	for range texts {
		compare(t, twins, crumbly(r))
	}
	for range texts / 4 {
		var b strings.Builder
		for range 1 + r.IntN(20) {
			b.WriteRune(r.Int32N([]int32{0x80, 0x250, 0x3000, 0xD800, utf8.MaxRune}[r.IntN(5)]))
		}
		compare(t, twins, b.String())
	}
	t.Logf("%d scanners cut %d texts as their expressions do", len(twins), texts+texts/4)
}

func FuzzScanners(f *testing.F) {
	twins := compiled(f)
	r := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		f.Add(crumbly(r))
	}
	f.Fuzz(func(t *testing.T, text string) { compare(t, twins, text[:min(len(text), 500)]) })
}

// TestLongRuns: a scanner that looked at a run once for every character of it would take minutes here.
func TestLongRuns(t *testing.T) {
	const n = 1 << 17
	runs := []string{"a", "A", "É", "1", " ", "\n", "'", "'s", "中", "\u0301", "!", "! ", " A", "\x00", "_", "²a"}
	for _, expr := range tokenizer.Scanned() {
		for _, part := range runs {
			text := strings.Repeat(part, n)
			if got := strings.Join(tokenizer.Scan(expr, text), ""); got != text {
				t.Errorf("%s: %q × %d: the parts are not the text", expr, part, n)
			}
		}
	}
}

func BenchmarkScanners(b *testing.B) {
	text := strings.Repeat("The weather in Zürich (12 °C) isn't that bad, is it?\n", 100)
	for _, c := range []struct{ name, expr string }{
		{"gpt2", tokenizer.GPT2}, {"llama3", tokenizer.Llama}, {"qwen3.5", tokenizer.Qwen35},
		{"o200k", tokenizer.O200k}, {"deepseek", tokenizer.DeepSeekWords},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tokenizer.Scan(c.expr, text)
			}
		})
	}
}
