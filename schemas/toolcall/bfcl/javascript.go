package bfcl

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// Literals of JavaScript, as BFCL converts them.

var (
	scriptFloat  = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	scriptMatrix = pattern(`^(?:\[\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\]|` +
		`new\s+Array\(\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\))`)
	scriptArray  = pattern(`^(?:\[(.*?)\]|new\s+Array\((.*?)\))`)
	scriptRow    = pattern(`\[(.*?)\]`)
	scriptObject = pattern(`^\{(.*?)\}`)
)

// scriptValue reads a literal of a declared type. element is the declared type of an array's
// elements. A literal that does not fit its type stays a string.
func scriptValue(s, typ, element string) toolcall.Value {
	switch typ {
	case "String":
		if quotedBy(s, `"`) || quotedBy(s, "'") {
			return toolcall.Text(shave(s))
		}
	case "integer":
		if v, ok := wholeText(s, ""); ok {
			return v
		}
	case "Bigint":
		if v, ok := wholeText(s, "n"); ok {
			return v
		}
	case "float":
		if digits := plainDigits(s); scriptFloat.MatchString(digits) {
			f, _ := strconv.ParseFloat(digits, 64) // out of range is an infinity, as in Python
			return toolcall.Number(f)
		}
	case "Boolean":
		if s == "true" || s == "false" {
			return toolcall.Truth(s == "true")
		}
	case "array":
		return scriptList(strip(s), element)
	case "dict":
		return scriptDict(strip(s), 0)
	}
	return toolcall.Text(s)
}

// strip is Python's str.strip.
func strip(s string) string { return strings.TrimFunc(s, isSpace) }

// scriptGuess reads a literal without a declared type.
func scriptGuess(s string) toolcall.Value {
	s = strip(s)
	switch {
	case s == "true", s == "false":
		return toolcall.Truth(s == "true")
	case quotedBy(s, `"`), quotedBy(s, "'"):
		return toolcall.Text(shave(s))
	}
	return number(s)
}

func scriptList(s, element string) toolcall.Value {
	if m := scriptMatrix.FindString(s); m != "" {
		list := toolcall.ListOf()
		for i, row := range scriptRow.FindAllStringSubmatch(m, -1) {
			inside := strip(row[1])
			if i == 0 {
				inside = strings.TrimPrefix(inside, "[")
			}
			list.Items = append(list.Items, toolcall.ListOf(pieces(inside, scriptGuess)...))
		}
		return list
	}
	m := scriptArray.FindStringSubmatch(s)
	if m == nil {
		return toolcall.Text(s)
	}
	inside := strip(m[1] + m[2])
	if inside == "" {
		return toolcall.ListOf()
	}
	read := scriptGuess
	if element != "" {
		read = func(p string) toolcall.Value { return scriptElement(p, element) }
	}
	return toolcall.ListOf(pieces(inside, read)...)
}

// scriptElement reads an element of a declared type. Elements of an array in an array are texts if the first begins
// with a quote.
func scriptElement(s, element string) toolcall.Value {
	if strings.HasPrefix(s, "'") || strings.HasPrefix(s, `"`) {
		return scriptValue(s, element, "String")
	}
	return scriptValue(s, element, "")
}

// scriptDict reads {key: value, …}. Like BFCL, it stops at the first }.
func scriptDict(s string, depth int) toolcall.Value {
	m := scriptObject.FindStringSubmatch(s)
	if m == nil || depth > toolcall.MaxDepth {
		return toolcall.Text(s)
	}
	dict := toolcall.Value{Kind: toolcall.Dict}
	for rest := m[1]; ; {
		key, value, after, found := entry(rest)
		if !found {
			return dict
		}
		key = strings.Trim(strip(key), `'"`)
		dict.Pairs = put(dict.Pairs, toolcall.Text(key), scriptEntry(strip(value), depth))
		rest = after
	}
}

func scriptEntry(value string, depth int) toolcall.Value {
	switch {
	case strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]"):
		return scriptList(value, "")
	case strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}"):
		return scriptDict(value, depth+1)
	}
	return scriptGuess(strings.Trim(value, `'"`))
}

// entry finds the first entry in the inside of an object, and what follows it. It is the expression
//
//	([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)
//
// of the original, which Go's package cannot express: a comma ends a value only if a key and its colon follow.
func entry(s string) (key, value, rest string, found bool) {
	for {
		colon := strings.IndexByte(s, ':')
		if colon < 0 {
			return "", "", "", false
		}
		if colon > 0 {
			after := s[colon+1:]
			begin := len(after) - len(strings.TrimLeftFunc(after, isSpace))
			if length, next, ok := endOfValue(after[begin:]); ok {
				return s[:colon], after[begin : begin+length], after[begin+next:], true
			}
		}
		s = s[colon+1:]
	}
}

// endOfValue returns the length of the value at the beginning of s, and where the next entry begins.
func endOfValue(s string) (length, next int, ok bool) {
	for i := 0; i <= len(s); {
		if i == len(s) || s[i] == '\n' && i == len(s)-1 {
			return i, i, true
		}
		if s[i] == '\n' {
			return 0, 0, false
		}
		if s[i] == ',' {
			if n, ok := keyFollows(s[i+1:]); ok {
				return i, i + 1 + n, true
			}
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return 0, 0, false
}

// keyFollows reports whether a key with a colon follows, before the next comma, and how many blanks stand before it.
func keyFollows(s string) (blanks int, ok bool) {
	piece, _, _ := strings.Cut(s, ",")
	blanks = len(piece) - len(strings.TrimLeftFunc(piece, isSpace))
	for {
		if strings.LastIndexByte(piece[blanks:], ':') > 0 {
			return blanks, true
		}
		if blanks == 0 {
			return 0, false
		}
		_, size := utf8.DecodeLastRuneInString(piece[:blanks]) // a blank may be the key
		blanks -= size
	}
}
