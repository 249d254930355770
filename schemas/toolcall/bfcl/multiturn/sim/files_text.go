package sim

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// The methods of the file system that read a file's text.

// text returns a file's lines. ok is false where there is no such file.
func (fs *fileSystem) text(name Value, method string) (text string, ok bool, err error) {
	file, err := fs.cwd.find(name)
	if err != nil || file == nil || file.isDir() {
		return "", false, err
	}
	text, isText := file.content.(string)
	if !isText {
		return "", false, noAttribute(file.content, method)
	}
	return text, true, fs.spend(64 + len(text))
}

func (fs *fileSystem) wc(a []Value) (Value, error) {
	name, mode := a[0], a[1]
	if mode != "l" && mode != "w" && mode != "c" {
		return fail("wc: invalid mode '{}'", mode)
	}
	text, ok, err := fs.text(name, "splitlines")
	if err != nil {
		return nil, err
	}
	if !ok {
		return fail("wc: {}: No such file or directory", name)
	}
	switch mode {
	case "l":
		return python.Record("count", len(splitLines(text)), "type", "lines"), nil
	case "w":
		return python.Record("count", len(strings.FieldsFunc(text, python.IsSpace)), "type", "words"), nil
	}
	return python.Record("count", utf8.RuneCountInString(text), "type", "characters"), nil
}

func (fs *fileSystem) sort(a []Value) (Value, error) {
	text, ok, err := fs.text(a[0], "splitlines")
	if err != nil {
		return nil, err
	}
	if !ok {
		return fail("sort: {}: No such file or directory", a[0])
	}
	if err := fs.spend(4 * len(text)); err != nil {
		return nil, err
	}
	lines := splitLines(text)
	slices.Sort(lines)
	return python.Record("sorted_content", strings.Join(lines, "\n")), nil
}

func (fs *fileSystem) grep(a []Value) (Value, error) {
	text, ok, err := fs.text(a[0], "splitlines")
	if err != nil {
		return nil, err
	}
	if !ok {
		return fail("grep: {}: No such file or directory", a[0])
	}
	found := &python.List{}
	for _, line := range splitLines(text) {
		fits, err := contains(line, a[1])
		if err != nil {
			return nil, err
		}
		if fits {
			found.Items = append(found.Items, line)
		}
	}
	return python.Record("matching_lines", found), nil
}

func (fs *fileSystem) tail(a []Value) (Value, error) {
	text, ok, err := fs.text(a[0], "splitlines")
	if err != nil {
		return nil, err
	}
	if !ok {
		return fail("tail: {}: No such file or directory", a[0])
	}
	lines := splitLines(text)
	count := a[1]
	tooMany, err := python.Compare(">", count, python.Int(int64(len(lines))))
	if err != nil {
		return nil, err
	}
	if tooMany {
		count = python.Int(int64(len(lines)))
	}
	n, err := sliceIndex(count)
	if err != nil {
		return nil, err
	}
	return python.Record("last_lines", strings.Join(lastLines(lines, n), "\n")), nil
}

// lastLines is lines[-n:] for n <= len(lines).
func lastLines(lines []string, n int) []string {
	if n > 0 {
		return lines[len(lines)-n:]
	}
	return lines[min(-n, len(lines)):]
}

// sliceIndex is an int for a slice, cut to what fits.
func sliceIndex(v Value) (int, error) {
	switch n := v.(type) {
	case bool:
		if n {
			return 1, nil
		}
		return 0, nil
	case *big.Int:
		if n.IsInt64() && n.Int64() > -1<<40 {
			return int(min(n.Int64(), 1<<40)), nil
		}
		return -1 << 40, nil
	}
	return 0, python.Exception("TypeError", "slice indices must be integers or None or have an __index__ method")
}

func (fs *fileSystem) diff(a []Value) (Value, error) {
	first, ok, err := fs.text(a[0], "splitlines")
	if err != nil {
		return nil, err
	}
	second := ""
	if ok {
		if second, ok, err = fs.text(a[1], "splitlines"); err != nil {
			return nil, err
		}
	}
	if !ok {
		return fail("diff: {} or {}: No such file or directory", a[0], a[1])
	}
	x, y := splitLines(first), splitLines(second)
	var changes []string
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			changes = append(changes, "- "+x[i]+"\n+ "+y[i])
		}
	}
	return python.Record("diff_lines", strings.Join(changes, "\n")), nil
}

// splitLines is Python's str.splitlines.
func splitLines(s string) (lines []string) {
	start := 0
	for i, r := range s {
		switch r {
		case '\n', '\v', '\f', '\r', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
			if r == '\n' && i > 0 && s[i-1] == '\r' && start == i {
				start = i + 1 // the second half of \r\n
				continue
			}
			lines = append(lines, s[start:i])
			start = i + utf8.RuneLen(r)
		}
	}
	if start < len(s) {
		lines = append(lines, s[start:])
	}
	return lines
}
