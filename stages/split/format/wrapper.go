package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
)

// headBytes is how much of a file is looked at to find out what it is.
const headBytes = 64 << 10

// rowKeys are the keys under which exporters put an array of rows: {"data": […]}. Under any
// other key an array counts as rows only if its first element is a row of a known format.
var rowKeys = []string{"data", "rows", "examples", "instances", "records", "samples", "items", "dataset", "train"}

// wrapper looks for an object around the array of rows. It returns the array's key and the
// number of bytes up to the first row, or 0 if head begins with a row.
func wrapper(head []byte) (key string, n int) {
	if len(head) == 0 || head[0] != '{' {
		return "", 0
	}
	if _, err := detectRow(head); err == nil {
		return "", 0
	}
	d := json.NewDecoder(bytes.NewReader(head))
	if _, err := d.Token(); err != nil {
		return "", 0
	}
	for range 32 {
		token, err := d.Token()
		key, isKey := token.(string)
		if err != nil || !isKey {
			return "", 0
		}
		at := int(d.InputOffset())
		value := bytes.TrimLeft(head[at:], " \t\r\n:")
		if rowsUnder(key, value) {
			return key, len(head) - len(value) + 1
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return "", 0 // head ends here
		}
	}
	return "", 0
}

// rowsUnder reports whether the value that begins here is an array of rows.
func rowsUnder(key string, value []byte) bool {
	if len(value) == 0 || value[0] != '[' {
		return false
	}
	first := bytes.TrimLeft(value[1:], " \t\r\n")
	if len(first) == 0 {
		return false
	}
	if slices.Contains(rowKeys, key) {
		return first[0] == '{' || first[0] == ']'
	}
	if first[0] != '{' {
		return false
	}
	_, err := detectRow(first)
	return err == nil
}

// restOfWrapper reads what stands behind the array of rows, up to the brace that ends the
// object. Another array of rows is refused: half of the file would be left out.
func (c *cutter) restOfWrapper() error {
	cut := func(err error) error {
		if errors.Is(err, io.EOF) {
			return c.broken("the file ends behind the array under %q: it is cut off; fetch it again", c.under)
		}
		return err
	}
	for {
		b, err := c.blanks()
		if err != nil {
			return cut(err)
		}
		switch b {
		case '}':
			return nil
		case ',':
		default:
			return c.broken("behind the array under %q stands %q: want a comma or the object's end", c.under, b)
		}
		key, err := c.key()
		if err != nil {
			return cut(err)
		}
		if head, _ := c.r.Peek(headBytes); rowsUnder(key, bytes.TrimLeft(head, " \t\r\n:")) {
			return c.broken("rows stand under %q and under %q: write each into a file of its own", c.under, key)
		}
		if err := c.skipValue(); err != nil {
			return cut(err)
		}
	}
}

// key reads a quoted key, of which it returns the first bytes.
func (c *cutter) key() (string, error) {
	b, err := c.blanks()
	if err != nil {
		return "", err
	}
	if b != '"' {
		return "", c.broken("behind the array under %q stands %q: want a key", c.under, b)
	}
	var key []byte
	for escaped := false; ; {
		b, err := c.byte()
		if err != nil {
			return "", err
		}
		if b == '"' && !escaped {
			return string(key), nil
		}
		if escaped = b == '\\' && !escaped; len(key) < 100 {
			key = append(key, b)
		}
	}
}

// skipValue reads up to the comma or the brace behind a value, which it leaves unread.
func (c *cutter) skipValue() error {
	depth, quoted, escaped := 0, false, false
	for {
		b, err := c.byte()
		if err != nil {
			return err
		}
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
		case depth == 0 && (b == ',' || b == '}'):
			return c.r.UnreadByte()
		}
	}
}
