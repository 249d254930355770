package bfcl

import (
	"regexp"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// Literals of Java, as BFCL converts them.

var (
	javaFloat  = regexp.MustCompile(`^-?\d+(\.\d+)?([eE][+-]?\d+)?[fF]$`)
	javaDouble = regexp.MustCompile(`^-?\d+(\.\d+)?([eE][+-]?\d+)?$`)

	javaAsList    = pattern(`new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)`)
	javaAddBlock  = pattern(`(?s)new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}`)
	javaAdd       = pattern(`add\((.+?)\)`)
	javaEmptyList = pattern(`new\s+ArrayList<\w*>\(\)`)
	javaArray     = pattern(`new\s+\w+\[\]\s*\{(.*?)\}`)
	javaMapBlock  = pattern(`(?s)new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}`)
	javaPut       = pattern(`put\("(.*?)",\s*(.*?)\)`)
	javaEmptyMap  = pattern(`new\s+HashMap<.*?>\s*\(\)`)
)

// javaValue reads a literal of a declared type. element is the declared type of a list's
// elements, "" if undeclared. A literal that does not fit its type stays a string.
func javaValue(s, typ, element string) toolcall.Value {
	switch typ {
	case "byte", "short", "integer":
		if v, ok := wholeText(s, ""); ok {
			return v
		}
	case "long":
		if v, ok := wholeText(s, "lL"); ok {
			return v
		}
	case "float", "double":
		return javaNumber(s, typ)
	case "boolean":
		if s == "true" || s == "false" {
			return toolcall.Truth(s == "true")
		}
	case "ArrayList":
		return javaList(s, element)
	case "Array":
		return javaItems(s, element)
	case "HashMap":
		return javaMap(s)
	}
	return toolcall.Text(s)
}

func javaNumber(s, typ string) toolcall.Value {
	form := javaDouble
	if typ == "float" {
		form = javaFloat
	}
	digits := plainDigits(s)
	if !form.MatchString(digits) {
		return toolcall.Text(s)
	}
	f, _ := strconv.ParseFloat(strings.TrimRight(digits, "fF"), 64) // out of range is an infinity, as in Python
	return toolcall.Number(f)
}

// javaItems reads new T[]{…}. Texts keep their quotes, and so are equal to no possible answer.
func javaItems(s, element string) toolcall.Value {
	m := javaArray.FindStringSubmatch(s)
	if m == nil {
		return toolcall.Text(s)
	}
	list := toolcall.ListOf()
	for piece := range strings.SplitSeq(m[1], ",") {
		if piece = strings.TrimFunc(piece, isSpace); piece != "" {
			list.Items = append(list.Items, javaElement(piece, element))
		}
	}
	return list
}

// javaElement reads an element by its declared type. Without one, the form of the literal
// decides.
func javaElement(s, element string) toolcall.Value {
	if element == "" {
		return javaGuess(s)
	}
	return javaValue(s, element, "")
}

// javaGuess reads a literal without a declared type.
func javaGuess(s string) toolcall.Value {
	switch {
	case s == "true", s == "false":
		return toolcall.Truth(s == "true")
	case quotedBy(s, `"`):
		return toolcall.Text(shave(s))
	}
	if v, ok := wholeText(s, "lL"); ok {
		return v
	}
	if javaFloat.MatchString(plainDigits(s)) {
		return javaNumber(s, "float")
	}
	return number(s)
}

func javaList(s, element string) toolcall.Value {
	read := func(p string) toolcall.Value { return javaElement(p, element) }
	if element == "char" || element == "String" {
		read = func(p string) toolcall.Value { return toolcall.Text(shave(p)) }
	}
	if m := javaAsList.FindStringSubmatch(s); m != nil {
		return toolcall.ListOf(pieces(m[1], read)...)
	}
	if m := javaAddBlock.FindStringSubmatch(s); m != nil {
		list := toolcall.ListOf()
		for _, add := range javaAdd.FindAllStringSubmatch(m[1], -1) {
			list.Items = append(list.Items, read(strings.TrimFunc(add[1], isSpace)))
		}
		return list
	}
	if javaEmptyList.MatchString(s) {
		return toolcall.ListOf()
	}
	return toolcall.Text(s)
}

func javaMap(s string) toolcall.Value {
	dict := toolcall.Value{Kind: toolcall.Dict}
	if m := javaMapBlock.FindStringSubmatch(s); m != nil {
		for _, entry := range javaPut.FindAllStringSubmatch(m[1], -1) {
			dict.Pairs = put(dict.Pairs, toolcall.Text(entry[1]), javaGuess(strings.TrimFunc(entry[2],
				isSpace)))
		}
		return dict
	}
	if javaEmptyMap.MatchString(s) {
		return dict
	}
	return toolcall.Text(s)
}
