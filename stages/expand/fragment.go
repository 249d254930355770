package expand

// scanner finds where the fragments of an answer end, byte by byte. It tells the
// formats of toolcall apart by their beginning: pythonic, [f(a=1, b='x')], and two
// that write JSON, <tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>,
// which can come after words, and {"name": "f", "parameters": {…}}.
//
// A fragment ends after the parenthesis or brace that opens a call's arguments, after
// the comma behind an argument, and after the parenthesis or brace that closes the
// arguments. Nothing inside quotes or inside a nested value ends a fragment. Any other
// answer is prose: there a fragment ends after a full stop and a blank, and after a
// newline.
//
// It is a small value, so that a branch of the tree can copy its parent's.
type scanner struct {
	kind    kind
	quote   byte // the quote that is open, or 0
	escaped bool // the byte before was a backslash inside quotes
	depth   int  // open brackets: 1 in the list or a call's object, 2 in a call's arguments, more in a value
	dot     bool // the byte before was a full stop in prose

	marked [len(marks)]uint8 // how many bytes of each mark the prose so far ends with
}

// marks announce calls in JSON.
var marks = [...]string{"<tool_call>", "<|python_tag|>"}

type kind uint8

const (
	unknown kind = iota // only blanks so far
	calls
	objects // calls in JSON
	prose
)

// feed takes the bytes of the next token and reports whether a fragment ends in it.
// The cut is behind the token, even if the separator is inside it, so that fragments
// are whole tokens and together have the answer's bytes.
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
		// Outside of arguments a bracket is part of a name; counting it would hide the call.
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

// mark reports whether c completes a mark. The first byte of a mark occurs only once in
// it, so a mismatch can only restart at the beginning.
func (s *scanner) mark(c byte) (complete bool) {
	for i, m := range marks {
		if c != m[s.marked[i]] {
			s.marked[i] = 0 // the mark can begin again with this byte
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

// inObjects scans calls in JSON. Text between the objects ends no fragment.
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

// fragments counts the fragments of an answer's tokens. bytes gives a token's bytes; the
// last fragment extends to the end of the answer.
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
