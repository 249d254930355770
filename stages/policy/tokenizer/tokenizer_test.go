package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"itool/stages/policy/tokenizer"
)

// thirdParty returns the folder of real tokenizers, which lies outside the repository.
func thirdParty(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "..", "shared", "data", "tokenizers")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("third-party data not present: tokenizers")
	}
	return dir
}

func openBytes(t testing.TB, file []byte) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: file}})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

type golden struct {
	Text  string
	Llama []int32 `json:"llama3_style"`
	Qwen  []int32 `json:"qwen2_style"`
}

func goldens(t testing.TB) (all []golden, llama, qwen *tokenizer.Tokenizer) {
	dir := thirdParty(t)
	open := func(name string) *tokenizer.Tokenizer {
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return openBytes(t, file)
	}
	f, err := os.Open(filepath.Join(dir, "golden.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	if lines.Err() != nil || len(all) == 0 {
		t.Fatal("golden.jsonl: ", lines.Err(), len(all))
	}
	return all, open("llama3_style.json"), open("qwen2_style.json")
}

func TestGolden(t *testing.T) {
	all, llama, qwen := goldens(t)
	for i, g := range all {
		for _, c := range []struct {
			name string
			tok  *tokenizer.Tokenizer
			want []int32
			text string
		}{{"llama3", llama, g.Llama, g.Text}, {"qwen2", qwen, g.Qwen, norm.NFC.String(g.Text)}} {
			got := c.tok.EncodeRendered(g.Text)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: text %d %q:\n got %v\nwant %v", c.name, i, g.Text, got, c.want)
			}
			// Bytes without a token are dropped: only a text whose bytes all have tokens comes back.
			size := 0
			for _, id := range got {
				size += len(c.tok.Bytes(id))
			}
			if back := c.tok.Decode(got); size == len(c.text) && back != c.text {
				t.Errorf("%s: text %d: decode: got %q, want %q", c.name, i, back, c.text)
			} else if c.name == "llama3" && size != len(c.text) {
				t.Errorf("llama3: text %d: %d of %d bytes", i, size, len(c.text))
			}
		}
	}
	t.Logf("%d texts × 2 tokenizers", len(all))
}

var special = []string{"<|bos|>", "<|user|>", "<|end|>"}

// trained is a small tokenizer that Train made.
func trained(t testing.TB) []byte {
	t.Helper()
	file, err := tokenizer.Train(slices.Values(corpus), 600, special)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var corpus = []string{
	`The weather in Paris is fine. [get_weather(city="Paris", days=12)]`,
	`A flight from Paris to Berlin: [book_flight(from="Paris", to="Berlin", seats=2)]`,
	`What is the weather in Berlin? [get_weather(city="Berlin", days=3)]`,
	`{"name": "get_weather", "parameters": {"city": "string", "days": 345}}` + "\n",
	`<|user|>Find me a flight to Oslo.<|end|>`,
}

func TestTrain(t *testing.T) {
	file := trained(t)
	tok := openBytes(t, file)
	shuffled := []string{corpus[4], corpus[2], corpus[1], corpus[3], corpus[0]}
	again, err := tokenizer.Train(slices.Values(shuffled), 600, special)
	if err != nil || string(again) != string(file) {
		t.Errorf("another order of texts gives another file (%v)", err)
	}
	if tok.Size() <= 256+len(special) || tok.Size() > 600 {
		t.Errorf("size %d: want merges, and at most 600 tokens", tok.Size())
	}
	for id := range int32(tok.Size()) {
		text := string(tok.Bytes(id))
		if tok.IsSpecial(id) || !utf8.ValidString(text) {
			continue
		}
		letter := strings.IndexFunc(text, unicode.IsLetter) >= 0
		if letter {
			text = strings.TrimPrefix(text, "_")
		}
		other := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }) >= 0
		if letter && other || len(text) > 1 && strings.ContainsAny(text, "0123456789") {
			t.Errorf("token %d %q joins pieces that must be separate", id, text)
		}
	}
	bare := tok.Encode("Paris")
	if len(bare) != 1 {
		t.Errorf("Paris: %d tokens, want the one that Train learnt", len(bare))
	}
	for _, text := range []string{"in Paris is", `city="Paris"`, `'Paris'`, "<|Paris|>"} {
		if ids := tok.Encode(text); !slices.Contains(ids, bare[0]) {
			t.Errorf("%q: %v does not contain %d", text, ids, bare[0])
		}
	}
	for text, want := range map[string][]string{
		"x_get": {"x", "_get"}, "__get_9_": {"__", "get", "_", "9", "_"}, "(_get": {"(_", "get"},
	} {
		var got []string // the texts of the tokens; a piece may have several
		for _, id := range tok.Encode(text) {
			got = append(got, string(tok.Bytes(id)))
		}
		if strings.Join(got, "") != text || !splits(got, want) {
			t.Errorf("%q: tokens %q cross the pieces %q", text, got, want)
		}
	}
	for i, text := range corpus {
		if got := tok.Decode(tok.Encode(text)); got != text {
			t.Errorf("text %d: got %q, want %q", i, got, text)
		}
	}
	if _, err := tokenizer.Train(slices.Values(corpus), 200, nil); err == nil {
		t.Error("a vocabulary of 200 was accepted")
	}
	if _, err := tokenizer.Train(slices.Values(corpus), 300, []string{"a", "a"}); err == nil {
		t.Error("a special token that is listed twice was accepted")
	}
}

// TestOldPattern: tokenizers with the pattern of earlier versions open, and split texts as before.
func TestOldPattern(t *testing.T) {
	old := strings.Replace(string(trained(t)), `"_?\\p{L}+|`, `"\\p{L}+|`, 1)
	if old == string(trained(t)) {
		t.Fatal("the pattern is not in the file")
	}
	tok := openBytes(t, []byte(old))
	if a, b := tok.Encode("x_Paris"), tok.Encode("Paris"); len(a) < 3 || !slices.Equal(a[2:], b) {
		t.Errorf("x_Paris %v, Paris %v: the word has other IDs behind _", a, b)
	}
}

// splits tells whether no token crosses the border of two pieces.
func splits(tokens, pieces []string) bool {
	for _, p := range pieces {
		for p != "" {
			if len(tokens) == 0 || !strings.HasPrefix(p, tokens[0]) {
				return false
			}
			p, tokens = p[len(tokens[0]):], tokens[1:]
		}
	}
	return len(tokens) == 0
}

func TestSpecialTokens(t *testing.T) {
	tok := openBytes(t, trained(t))
	user, _ := tok.ID("<|user|>")
	end, ok := tok.ID("<|end|>")
	if !ok || !tok.IsSpecial(end) || tok.IsSpecial(0) {
		t.Fatal("special tokens are not marked as special")
	}
	if got, want := tok.Specials(), special; !slices.Equal(got, want) {
		t.Errorf("specials: got %q, want %q", got, want)
	}
	text := "<|user|>Hi <|end|><|end|> <|en"
	rendered := tok.EncodeRendered(text)
	if rendered[0] != user || count(rendered, end) != 2 || tok.Decode(rendered) != text {
		t.Errorf("rendered: %v %q", rendered, tok.Decode(rendered))
	}
	content := tok.Encode(text)
	if slices.ContainsFunc(content, tok.IsSpecial) {
		t.Errorf("content %v contains a control token", content)
	}
	if got := tok.Decode(content); got != text {
		t.Errorf("content: got %q, want %q", got, text)
	}
}

func TestShield(t *testing.T) {
	tok := openBytes(t, trained(t))
	user, _ := tok.ID("<|user|>")
	end, _ := tok.ID("<|end|>")
	for _, text := range []string{
		"", "Paris", "<|end|>", "a<|end|><|user|>b", "<|<|end|>",
		"\uFDD0", "\uFDD0\uFDD0<|end|>\uFDD0", "<\uFDD0|end|>",
	} {
		got := tok.EncodeShielded("<|user|>" + tok.Shield(text) + "<|end|>")
		want := append(append([]int32{user}, tok.Encode(text)...), end)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v (%q)", text, got, want, tok.Decode(got))
		}
	}
}

func count(ids []int32, id int32) (n int) {
	for _, i := range ids {
		if i == id {
			n++
		}
	}
	return n
}

func TestDecodeBroken(t *testing.T) {
	tok := openBytes(t, trained(t))
	for _, c := range []struct{ name, bytes, want string }{
		{"cut euro sign", "\xe2\x82", "\uFFFD"},
		{"two starts", "\xe2\xe2\x82\xac", "\uFFFD€"},
		{"overlong", "\xc0\xaf", "\uFFFD\uFFFD"},
		{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"too high", "\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
		{"cut rocket", "a\xf0\x9f\x9ab", "a\uFFFDb"},
	} {
		ids := tok.Encode(c.bytes)
		if got := tok.Decode(ids); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := tok.Decode([]int32{-1, 1 << 30, 'a'}); got != "a" {
		t.Errorf("unknown ids: got %q", got)
	}
}

func TestConcurrent(t *testing.T) {
	tok := openBytes(t, trained(t))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				text := fmt.Sprintf("Paris %d in %d_%s", i, g, corpus[i%len(corpus)])
				if got := tok.Decode(tok.Encode(text)); got != text {
					t.Errorf("got %q, want %q", got, text)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzEncode(f *testing.F) {
	toks := map[string]*tokenizer.Tokenizer{"trained": openBytes(f, trained(f))}
	for name, step := range map[string]any{
		"bytes": byteLevel(), "llama": sequence(split(tokenizer.Llama), byteLevel()),
		"deepseek": sequence(split(tokenizer.DeepSeekDigits), split(tokenizer.DeepSeekHan),
			split(tokenizer.DeepSeekWords), byteLevel()),
		"expression":  sequence(split(`\d{1,3}(?=(?:\d{3})*\b)|\s+(?!\S)`), byteLevel()),
		"after bytes": sequence(byteLevel(), split(`[0-9²Ġ]`)),
	} {
		toks[name] = openBytes(f, with(f, object{"pre_tokenizer": step}))
	}
	for _, s := range append(corpus, "\xff\xfe", "a\u0301\u212b '\u017f \r\n\n x", strings.Repeat("ab", 99)) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, tok := range toks {
			ids := tok.Encode(text)
			for way, ids := range map[string][]int32{"content": ids, "rendered": tok.EncodeRendered(text)} {
				if got := strings.Join(texts(tok, ids), ""); got != text {
					t.Errorf("%s, %s: got %q, want %q", name, way, got, text)
				}
			}
			if slices.ContainsFunc(ids, tok.IsSpecial) {
				t.Errorf("%s: %q: content became a control token", name, text)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	all, llama, _ := goldens(b)
	var text strings.Builder
	for _, g := range all {
		text.WriteString(g.Text)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		llama.Encode(text.String())
	}
}
