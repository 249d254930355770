package expand

// quoted follows a string literal of Python or JSON, in single or triple quotes.
type quoted struct {
	quote   byte  // the quote that is open, or 0
	run     uint8 // quotes in a row: at the beginning with the first, or at the end of a long text
	started bool  // something stands behind the opening quotes
	long    bool  // three quotes open and close it
	escaped bool  // the byte before was a backslash
}

// where says where a byte stands.
type where uint8

const (
	inside where = iota
	beyond       // the text ended before this byte
	torn         // no text: a line end in single quotes
)

func (t *quoted) begin(quote byte) { *t = quoted{quote: quote, run: 1} }

func (t *quoted) next(c byte) where {
	if !t.started {
		return t.first(c)
	}
	switch {
	case t.escaped:
		t.escaped = false
	case c == '\\':
		t.escaped, t.run = true, 0
	case c == t.quote && t.long:
		if t.run++; t.run == 3 {
			*t = quoted{}
		}
	case c == t.quote:
		*t = quoted{}
	case (c == '\n' || c == '\r') && !t.long:
		return torn
	default:
		t.run = 0
	}
	return inside
}

// first reads the bytes that tell an empty text from a long one.
func (t *quoted) first(c byte) where {
	if c == t.quote {
		if t.run++; t.run == 3 {
			t.long, t.started, t.run = true, true, 0
		}
		return inside
	}
	if t.run == 2 { // an empty text
		*t = quoted{}
		return beyond
	}
	t.started, t.run = true, 0
	return t.next(c)
}

// brackets are those that are open, the last in the lowest bits. Beyond maxOpen they are not told apart any more.
type brackets struct {
	kinds uint64 // two bits each
	depth uint8
}

const maxOpen = 32

// push opens a bracket. It is false if there are too many.
func (b *brackets) push(c byte) bool {
	if b.depth == maxOpen {
		return false
	}
	b.kinds, b.depth = b.kinds<<2|bracketOf(c), b.depth+1
	return true
}

// pop closes a bracket. It is false if it is not the one that is open.
func (b *brackets) pop(c byte) bool {
	if b.depth == 0 || b.kinds&3 != bracketOf(c) {
		return false
	}
	b.kinds, b.depth = b.kinds>>2, b.depth-1
	return true
}

// in reports whether the innermost open bracket is c.
func (b *brackets) in(c byte) bool { return b.depth > 0 && b.kinds&3 == bracketOf(c) }

func bracketOf(c byte) uint64 {
	switch c {
	case '(', ')':
		return 1
	case '[', ']':
		return 2
	}
	return 3
}
