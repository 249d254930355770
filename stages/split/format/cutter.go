package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

const (
	maxRow   = 1 << 20 // bytes; the longest real rows have 100 KiB
	maxDepth = 100     // of brackets in a row
)

// cutter cuts a file into the bytes of its rows: the elements of one JSON array, which may
// stand under a key of an object, or the lines that are not blank. It does not look into
// them, so that skipping rows is cheap and a broken row does not hide the next one.
type cutter struct {
	r       *bufio.Reader
	started bool
	array   bool
	under   string // the key under which the array stands, or ""
	closed  bool   // the array's last bracket was read
	row     []byte
	rows    int // cut so far
	line    int // where the reader stands, from 1
	rowLine int // where the last row began
}

func newCutter(r io.Reader) *cutter { return &cutter{r: bufio.NewReaderSize(r, headBytes), line: 1} }

// next returns the next row, valid until the next call. A *RowError: that row is
// too long. io.EOF: there are no more rows. All other errors end the file.
func (c *cutter) next() ([]byte, error) {
	if !c.started {
		if err := c.start(); err != nil {
			return nil, err
		}
	}
	if c.array {
		return c.element()
	}
	return c.lineRow()
}

func (c *cutter) broken(format string, args ...any) error {
	return &BrokenError{c.rows, c.line, fmt.Sprintf(format, args...)}
}

func emptyRow() error { return fail(BadRow, "", "an empty row") }

func tooLong() error { return fail(BadRow, "", "longer than %d bytes", maxRow) }

func (c *cutter) byte() (byte, error) {
	b, err := c.r.ReadByte()
	if b == '\n' && err == nil {
		c.line++
	}
	return b, err
}

// blanks skips white space and returns the byte behind it.
func (c *cutter) blanks() (byte, error) {
	for {
		b, err := c.byte()
		if err != nil || b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, err
		}
	}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

func (c *cutter) start() error {
	c.started = true
	if head, _ := c.r.Peek(3); bytes.Equal(head, byteOrderMark) {
		if _, err := c.r.Discard(3); err != nil {
			return err
		}
	}
	b, err := c.blanks()
	if err != nil {
		return err
	}
	if b == '[' {
		c.array = true
		return nil
	}
	if err := c.r.UnreadByte(); err != nil { // not a newline, so the line count stands
		return err
	}
	head, _ := c.r.Peek(headBytes)
	key, n := wrapper(head)
	if what := behindObject(head); n == 0 && what != "" {
		return c.broken("behind the first row, on its line, stands %q: write one row a line, without commas between "+
			"them (jq -c . FILE), or put [ ] around the rows", what)
	}
	if n == 0 && spansLines(head) {
		return c.broken("the first row spans several lines: write one row a line (jq -c . FILE), " +
			"or put [ ] around the rows and commas between them")
	}
	if n == 0 {
		return nil
	}
	c.array, c.under = true, key
	c.line += bytes.Count(head[:n], []byte{'\n'})
	_, err = c.r.Discard(n)
	return err
}

// spansLines reports whether head begins with a JSON object that goes on behind its first line, as
// pretty-printed files have it. As lines, every line of it would be a bad row.
func spansLines(head []byte) bool {
	end := bytes.IndexByte(head, '\n')
	if end < 0 || json.Valid(head[:end]) {
		return false
	}
	var object json.RawMessage
	err := json.NewDecoder(bytes.NewReader(head)).Decode(&object)
	return err == nil || len(head) == headBytes && errors.Is(err, io.ErrUnexpectedEOF)
}

// behindObject returns the first byte of what stands on the first line behind a complete object, or "".
func behindObject(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	d := json.NewDecoder(bytes.NewReader(line))
	var object json.RawMessage
	if d.Decode(&object) != nil {
		return ""
	}
	rest := bytes.TrimSpace(line[d.InputOffset():])
	return string(rest[:min(1, len(rest))])
}

// unwrap does for Detect what start does: white space, the object around the array and the
// array's bracket go.
func unwrap(head []byte) (rest []byte, array bool) {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, byteOrderMark), " \t\r\n")
	if _, n := wrapper(head); n > 0 {
		head = head[n-1:]
	}
	if len(head) > 0 && head[0] == '[' {
		// Behind the bracket that ends an empty array only blanks may follow.
		return bytes.TrimLeft(bytes.TrimLeft(head[1:], " \t\r\n"), "] \t\r\n"), true
	}
	return head, false
}

// lineRow reads up to the end of a line that is not blank.
func (c *cutter) lineRow() ([]byte, error) {
	for {
		c.row, c.rowLine = c.row[:0], c.line
		long, err := c.restOfLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		row := bytes.TrimSpace(c.row)
		switch {
		case long:
			c.rows++
			return nil, tooLong()
		case len(row) > 0 && err != nil && !json.Valid(row):
			return nil, c.broken("the last row is no valid JSON and its line has no end: " +
				"the file seems cut off; fetch it again")
		case len(row) > 0:
			c.rows++
			return row, nil
		case err != nil:
			return nil, io.EOF
		}
	}
}

func (c *cutter) restOfLine() (long bool, err error) {
	for {
		part, err := c.r.ReadSlice('\n')
		if long = long || len(c.row)+len(part) > maxRow; !long {
			c.row = append(c.row, part...)
		}
		if err == nil {
			c.line++
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return long, err
		}
	}
}

// element reads up to the comma or the bracket behind the next element.
func (c *cutter) element() ([]byte, error) {
	if c.closed {
		return nil, io.EOF
	}
	b, err := c.blanks()
	if err == nil && b == ']' && c.rows == 0 {
		return nil, c.close()
	}
	c.row, c.rowLine = c.row[:0], c.line
	depth, quoted, escaped, long := 0, false, false, false
	for ; err == nil; b, err = c.byte() {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			depth++
		case depth > 0 && (b == '}' || b == ']'):
			depth--
		case depth == 0 && (b == ',' || b == ']'):
			if b == ']' {
				if err := c.close(); !errors.Is(err, io.EOF) {
					return nil, err
				}
			}
			c.rows++
			if long {
				return nil, tooLong()
			}
			row := bytes.TrimSpace(c.row)
			if len(row) == 0 {
				return nil, emptyRow()
			}
			return row, nil
		}
		if long = long || len(c.row) >= maxRow; !long {
			c.row = append(c.row, b)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil, c.broken("the file ends within the array: it is cut off; fetch it again")
	}
	return nil, err
}

// close checks that nothing follows the array, or the object around it, and then returns
// io.EOF.
func (c *cutter) close() error {
	c.closed = true
	if c.under != "" {
		if err := c.restOfWrapper(); err != nil {
			return err
		}
	}
	b, err := c.blanks()
	if err == nil {
		return c.broken("behind the array stands %q: a file holds one array, or one object per line", b)
	}
	return err
}

// checkShape refuses rows that are no JSON object, or would be dangerous to decode.
func checkShape(raw []byte) error {
	if len(raw) == 0 {
		return emptyRow()
	}
	if bytes.HasPrefix(raw, byteOrderMark) {
		return fail(BadRow, "", "it begins with a byte order mark, as a file does: files were joined; take it out")
	}
	if raw[0] != '{' {
		return fail(BadRow, "", "it begins with %q: rows are JSON objects, one per line or in one array", raw[0])
	}
	if !utf8.Valid(raw) {
		return fail(BadRow, "", "invalid UTF-8: save the file as UTF-8")
	}
	if at := toolcall.LoneSurrogate(raw); at >= 0 {
		return fail(BadRow, "", "byte %d: half of a surrogate pair is no character", at)
	}
	return checkJSON(raw)
}

// checkJSON refuses what is no JSON, or nested too deep to be decoded safely.
func checkJSON(raw []byte) error {
	depth, quoted, escaped := 0, false, false
	for i, b := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return fail(BadRow, "", "byte %d: brackets nested deeper than %d", i, maxDepth)
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	var any json.RawMessage
	if err := json.Unmarshal(raw, &any); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fail(BadRow, "", "byte %d: %v", syntax.Offset, err)
		}
		return fail(BadRow, "", "%v", err)
	}
	return nil
}
