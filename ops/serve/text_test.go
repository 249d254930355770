package serve

import (
	"math/rand/v2"
	"testing"

	"itool/stages/policy/tokenizer"
)

// stream is what a reader sees of these tokens.
func stream(stops []string, tokens ...string) string {
	x, out := text{stops: stops}, ""
	for _, t := range tokens {
		out += x.add([]byte(t))
	}
	return out + x.rest()
}

func TestTextBroken(t *testing.T) {
	for _, c := range []struct {
		name   string
		tokens []string
		want   string
	}{
		{"three bytes in one token", []string{"a\xff\xfe\xfdb"}, "a\ufffd\ufffd\ufffdb"},
		{"three bytes in three", []string{"a\xff", "\xfe", "\xfdb"}, "a\ufffd\ufffd\ufffdb"},
		{"a character in halves", []string{"a\xf0\x9f", "\x98\x80b"}, "a😀b"},
		{"a character in bytes", []string{"\xf0", "\x9f", "\x98", "\x80"}, "😀"},
		{"half a character", []string{"a\xf0\x9f", "b"}, "a\ufffdb"},
		{"half a character in one token", []string{"a\xf0\x9fb"}, "a\ufffdb"},
		{"half a character at the end", []string{"a", "\xf0\x9f\x98"}, "a\ufffd"},
		{"halves of two characters", []string{"\xf0\x9f", "\xf0\x9f\x98\x80"}, "\ufffd😀"},
		{"an impossible beginning", []string{"\xe0", "\x80", "x"}, "\ufffd\ufffdx"},
	} {
		if got := stream(nil, c.tokens...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTextCuts: streaming equals decoding the whole, wherever the tokens cut it.
func TestTextCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		"a", "é", "€", "😀", "\xf0", "\x9f", "\x98", "\x80", "\xe2", "\x82", "\xc3", "\xff", "\xed\xa0\x80", "\xf4\x90",
	}
	for range 20000 {
		var whole string
		for range r.IntN(12) {
			whole += pieces[r.IntN(len(pieces))]
		}
		var tokens []string
		for rest := whole; rest != ""; {
			n := 1 + r.IntN(min(4, len(rest)))
			tokens, rest = append(tokens, rest[:n]), rest[n:]
		}
		if got, want := stream([]string{"€stop"}, tokens...), tokenizer.Lossy(whole); got != want {
			t.Fatalf("tokens %q: got %q, want %q", tokens, got, want)
		}
	}
}
