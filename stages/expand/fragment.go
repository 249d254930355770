package expand

// scanner finds where the fragments of an answer end, byte by byte. It tells the forms of calls apart by their
// beginning, behind a fence and a language such as ```json:
//
//	[f(a=1, b='x')]     f(a=1, b='x')
//	<tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>     which can come after words
//	{"name": "f", "parameters": {…}}     {"function": {"name": "f", "arguments": {…}}}     and lists of them
//
// A fragment ends after the parenthesis or brace that opens a call's arguments, after
// the comma behind an argument, and after the parenthesis or brace that closes the
// arguments. Nothing inside quotes or inside a nested value ends a fragment. Any other
// answer is prose: there a fragment ends after a full stop and a blank, and after a
// newline.
//
// It cuts where the grammar of calls cuts, or not at all: a parenthesis behind a blank may belong to a tool's name, and
// the comma behind a value without a name to it, too. What is no call any more has no cuts.
//
// It is a small value, so that a branch of the tree can copy its parent's.
type scanner struct {
	kind  kind
	ticks bool // backticks stand at the beginning
	dot   bool // the byte before was a full stop in prose

	text quoted
	open brackets

	called bool // a call is closed, and no comma stands behind it
	opened bool // a parenthesis was opened
	list   bool // the calls stand in brackets
	named  bool // the argument has a name and "="
	equals bool // the byte before was the "=" of a name
	proven bool // these are arguments: one has a name, or there are none
	filled bool // something of the name of a call, of an argument, or of a value stands there
	blank  bool // the byte before was a blank
	unlike bool // the byte before was !, <, > or :, which make another operator of "="
	noName bool // nothing stands in front of the open parenthesis: it may begin a tool's name
	inName uint8
	remark bool // in a comment of Python

	object object
	marked [len(marks)]uint8 // how many bytes of each mark the prose so far ends with
}

// marks announce calls in JSON; block does it before each of them.
var marks = [...]string{block, "<|python_tag|>"}

const block = "<tool_call>"

type kind uint8

const (
	unknown kind = iota // only blanks and backticks so far
	word                // a name: of a call without brackets, of the language of a fence, or prose
	listed              // "[" of calls or of objects
	calls
	objects // calls in JSON
	prose
	broken // no call any more, or nothing that belongs to calls: no cuts
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
	if quote := s.text.quote; quote != 0 {
		switch s.text.next(c) {
		case inside:
			if s.kind == objects && s.object.reading && c != quote {
				s.object.read(c)
			}
			return false
		case torn:
			s.kind = broken
			return false
		}
	}
	switch s.kind {
	case unknown, word:
		return s.begin(c)
	case listed:
		return s.beginList(c)
	case calls:
		return s.inCalls(c)
	case objects:
		return s.inObjects(c)
	case prose:
		return s.inProse(c)
	}
	return false
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// begin reads up to the first byte that tells what the answer is.
func (s *scanner) begin(c byte) (ends bool) {
	switch {
	case s.kind == word && s.ticks && (c == '\n' || c == '-' || c == '+'): // the language of a fence
		if c == '\n' {
			s.kind = unknown
		}
		return false
	case isWord(c) || s.kind == word && c == '.':
		s.kind, s.dot = word, c == '.'
		return false
	case s.kind == word && c == '(' && !s.dot:
		s.kind, s.filled = calls, true
		return s.inCalls(c)
	case s.kind == word:
		s.kind = prose
		return s.inProse(c)
	case isBlank(c):
		return false
	case c == '`':
		s.ticks = true
		return false
	case c == '[':
		s.kind, s.list = listed, true
		return false
	case c == '{':
		s.kind = objects
		return s.inObjects(c)
	}
	s.kind = prose
	return s.inProse(c)
}

// beginList reads up to the first byte inside the brackets.
func (s *scanner) beginList(c byte) (ends bool) {
	switch {
	case isBlank(c):
		return false
	case c == '{':
		s.kind = objects
		s.open.push('[')
		return s.inObjects(c)
	}
	s.kind, s.filled = calls, false
	return s.inCalls(c)
}

func (s *scanner) inProse(c byte) (ends bool) {
	if m := s.mark(c); m != "" {
		s.kind, s.object.blocks = objects, m == block
		s.object.begun = true
		return false
	}
	ends = c == '\n' || (c == ' ' && s.dot)
	s.dot = c == '.'
	return ends
}

// mark returns the mark that c completes, "" if it completes none. The first byte of a mark occurs only once in
// it, so a mismatch can only restart at the beginning.
func (s *scanner) mark(c byte) (complete string) {
	for i, m := range marks {
		if c != m[s.marked[i]] {
			s.marked[i] = 0 // the mark can begin again with this byte
		}
		if c == m[s.marked[i]] {
			s.marked[i]++
		}
		if int(s.marked[i]) == len(m) {
			s.marked[i], complete = 0, m
		}
	}
	return complete
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
