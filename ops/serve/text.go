package serve

import (
	"strings"
	"unicode/utf8"

	"itool/stages/policy/tokenizer"
)

// text turns the bytes of tokens into text that can be sent: complete characters, and
// nothing that may be the beginning of a stop text, which ends the answer and is no part of
// it. Invalid UTF-8 gives what tokenizer.Decode gives for the whole text.
type text struct {
	stops   []string
	pending string // bytes that were not returned yet
	stopped bool
}

// add takes a token's bytes and returns the text that is certain by now.
func (x *text) add(token []byte) string {
	if x.stopped {
		return ""
	}
	x.pending += string(token)
	first := -1
	for _, s := range x.stops {
		if i := strings.Index(x.pending, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		out := x.pending[:first]
		x.pending, x.stopped = "", true
		return tokenizer.Lossy(out)
	}
	sure := len(x.pending) - unfinished(x.pending)
	for _, s := range x.stops {
		sure = min(sure, len(x.pending)-overlap(x.pending, s))
	}
	out := x.pending[:sure]
	x.pending = x.pending[sure:]
	return tokenizer.Lossy(out)
}

// rest returns the pending text at the end of the answer.
func (x *text) rest() string {
	out := x.pending
	x.pending = ""
	return tokenizer.Lossy(out)
}

// unfinished is the length in bytes of an incomplete character at the end of s.
func unfinished(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRuneInString(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}

// overlap is the longest end of s that stop begins with.
func overlap(s, stop string) int {
	for n := min(len(s), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(s, stop[:n]) {
			return n
		}
	}
	return 0
}
