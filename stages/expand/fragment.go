package expand

// scanner finds where the fragments of an answer end, byte by byte. It knows the
// formats of toolcall by how they begin: pythonic, [f(a=1, b='x')], and the two that
// write JSON, <tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>, which
// may stand behind words, and {"name": "f", "parameters": {…}}. A fragment ends after the parenthesis or brace
// that opens a call's arguments, after an argument's comma, and after the
// parenthesis or brace that closes the arguments. Nothing inside quotes, and nothing
// inside a nested value, ends anything. Any other answer is prose: it ends after a
// full stop with a blank behind it, and after a newline.
//
// It is a small value: a branch of the tree copies its parent's.
type scanner struct {
	kind    kind
	quote   byte // the quote that is open, or 0
	escaped bool // the byte before was a backslash inside quotes
	depth   int  // open brackets: 1 is the list, or a call's object, 2 a call's arguments, more is inside a value
	dot     bool // the byte before was a full stop in prose

	marked [len(marks)]uint8 // bytes of each mark that prose ends in
}

// marks are what calls in JSON stand behind.
var marks = [...]string{"<tool_call>", "<|python_tag|>"}

type kind uint8

const (
	unknown kind = iota // only blanks so far
	calls
	objects // calls in JSON
	prose
)

// feed takes the bytes of the next token and reports whether a fragment ends in
// it. The cut is behind the token: the first token boundary at or after the
// separator, so that fragments are whole tokens and their bytes are the answer's.
func (s *scanner) feed(token []byte) (ends bool) {
	for _, c := range token {
		if s.next(c) {
			ends = true
		}
	}
	return ends
}

func (s *scanner) next(c byte) (ends bool) {
	if s.kind == unknown {
		switch c {
		case ' ', '\n', '\t', '\r':
			return false
		case '[':
			s.kind, s.depth = calls, 1
			return false
		case '{':
			s.kind = objects
		default:
			s.kind = prose
		}
	}
	if s.kind == prose {
		if s.mark(c) {
			s.kind = objects
			return false
		}
		ends = c == '\n' || (c == ' ' && s.dot)
		s.dot = c == '.'
		return ends
	}
	if s.quote != 0 {
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == s.quote:
			s.quote = 0
		}
		return false
	}
	if s.kind == objects {
		return s.inObjects(c)
	}
	switch c {
	case '\'', '"':
		// Before the arguments an apostrophe is part of a tool's name.
		if s.depth >= 2 {
			s.quote = c
		}
	case '(':
		s.depth++
		return s.depth == 2
	case '[', '{':
		// Outside of arguments a bracket belongs to a name; counting it would hide the call.
		if s.depth >= 2 {
			s.depth++
		}
	case ']', '}':
		if s.depth > 2 {
			s.depth--
		}
	case ')':
		if s.depth > 1 {
			s.depth--
			return s.depth == 1
		}
	case ',':
		return s.depth == 2
	}
	return false
}

// mark reports whether c completes a mark. Both begin with a byte that they hold once.
func (s *scanner) mark(c byte) (complete bool) {
	for i, m := range marks {
		if c != m[s.marked[i]] {
			s.marked[i] = 0 // and it may begin here
		}
		if c == m[s.marked[i]] {
			s.marked[i]++
		}
		if int(s.marked[i]) == len(m) {
			s.marked[i], complete = 0, true
		}
	}
	return complete
}

// inObjects: what stands between the objects ends nothing.
func (s *scanner) inObjects(c byte) (ends bool) {
	switch c {
	case '"':
		if s.depth > 0 {
			s.quote = c
		}
	case '{', '[':
		s.depth++
		return s.depth == 2
	case '}', ']':
		if s.depth > 0 {
			s.depth--
		}
		return s.depth == 1
	case ',':
		return s.depth == 2
	}
	return false
}

// fragments returns the number of fragments that an answer's tokens make; the last one
// runs to the end.
func fragments(tokens []int32, bytes func(int32) []byte) int {
	var s scanner
	n, open := 0, false
	for _, id := range tokens {
		if open = true; s.feed(bytes(id)) {
			n, open = n+1, false
		}
	}
	if open {
		n++
	}
	return n
}
