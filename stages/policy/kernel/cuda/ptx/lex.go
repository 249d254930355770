package ptx

import (
	"fmt"
	"strings"
)

// token is a word, a string in its quotes, or one other character.
type token struct {
	text string
	line int
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '$' || c == '%' || c == '.'
}

// lex cuts PTX into tokens. Comments and blanks vanish.
func lex(src string) (tokens []token, err error) {
	if len(src) > maxSource {
		return nil, fmt.Errorf("ptx: %d bytes, more than the %d that are read", len(src), maxSource)
	}
	line := 1
	for i := 0; i < len(src); {
		n, keep := tokenLength(src[i:])
		if n == 0 {
			return nil, fmt.Errorf("ptx: line %d: a comment or string does not end", line)
		}
		if keep {
			tokens = append(tokens, token{src[i : i+n], line})
		}
		line += strings.Count(src[i:i+n], "\n")
		i += n
	}
	return tokens, nil
}

// tokenLength measures what src begins with; 0: it has no end. keep is false for blanks and comments.
func tokenLength(src string) (n int, keep bool) {
	switch c := src[0]; {
	case c == '\n' || c == ' ' || c == '\t' || c == '\r':
		return 1, false
	case strings.HasPrefix(src, "//"):
		if end := strings.IndexByte(src, '\n'); end >= 0 {
			return end, false
		}
		return len(src), false
	case strings.HasPrefix(src, "/*"):
		if end := strings.Index(src[2:], "*/"); end >= 0 {
			return end + 4, false
		}
		return 0, false
	case c == '"':
		if end := strings.IndexByte(src[1:], '"'); end >= 0 {
			return end + 2, true
		}
		return 0, false
	case isWord(c):
		return wordLength(src), true
	}
	return 1, true
}

// wordLength measures a word; "::" is part of it, as in shared::cta.
func wordLength(src string) int {
	n := 0
	for n < len(src) {
		switch {
		case isWord(src[n]):
			n++
		case strings.HasPrefix(src[n:], "::"):
			n += 2
		default:
			return n
		}
	}
	return n
}
