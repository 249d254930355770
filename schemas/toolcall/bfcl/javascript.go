package bfcl

import (
	"regexp"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// Literals of JavaScript, as BFCL converts them.

var (
	scriptFloat  = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	scriptMatrix = regexp.MustCompile(`^(?:\[\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\]|` +
		`new\s+Array\(\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*\))`)
	scriptArray  = regexp.MustCompile(`^(?:\[(.*?)\]|new\s+Array\((.*?)\))`)
	scriptRow    = regexp.MustCompile(`\[(.*?)\]`)
	scriptObject = regexp.MustCompile(`^\{(.*?)\}`)
)

// scriptValue reads a literal of a declared type. element is the declared type of an array's
// elements. A literal that does not fit its type stays a string.
func scriptValue(s, typ, element string) toolcall.Value {
	switch typ {
	case "String":
		return toolcall.Text(unquote(s))
	case "integer":
		if v, ok := wholeText(s, ""); ok {
			return v
		}
	case "Bigint":
		if v, ok := wholeText(s, "n"); ok {
			return v
		}
	case "float":
		if scriptFloat.MatchString(s) {
			if f, err := strconv.ParseFloat(s, 64); err == nil {
				return toolcall.Number(f)
			}
		}
	case "Boolean":
		if s == "true" || s == "false" {
			return toolcall.Truth(s == "true")
		}
	case "array":
		return scriptList(strings.TrimSpace(s), element)
	case "dict":
		return scriptDict(strings.TrimSpace(s), 0)
	}
	return toolcall.Text(s)
}

func scriptList(s, element string) toolcall.Value {
	if m := scriptMatrix.FindString(s); m != "" {
		list := toolcall.ListOf()
		for _, row := range scriptRow.FindAllStringSubmatch(m, -1) {
			inside := strings.TrimPrefix(strings.TrimSpace(row[1]), "[")
			list.Items = append(list.Items, toolcall.ListOf(pieces(inside, guess)...))
		}
		return list
	}
	m := scriptArray.FindStringSubmatch(s)
	if m == nil {
		return toolcall.Text(s)
	}
	read := guess
	if element != "" {
		read = func(p string) toolcall.Value { return scriptValue(p, element, "") }
	}
	return toolcall.ListOf(pieces(m[1]+m[2], read)...)
}

// scriptDict reads {key: value, ...}. A comma ends an entry only if another key and its colon
// follow, so that an array can be a value. Like BFCL, it stops at the first }.
func scriptDict(s string, depth int) toolcall.Value {
	m := scriptObject.FindStringSubmatch(s)
	if m == nil || depth > toolcall.MaxDepth {
		return toolcall.Text(s)
	}
	dict := toolcall.Value{Kind: toolcall.Dict}
	for _, entry := range entries(m[1]) {
		key, value, _ := strings.Cut(entry, ":")
		key = strings.Trim(strings.TrimSpace(key), `'"`)
		dict.Pairs = put(dict.Pairs, toolcall.Text(key), scriptEntry(strings.TrimSpace(value), depth))
	}
	return dict
}

func scriptEntry(value string, depth int) toolcall.Value {
	switch {
	case strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]"):
		return scriptList(value, "")
	case strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}"):
		return scriptDict(value, depth+1)
	}
	return guess(strings.Trim(value, `'"`))
}

// entries splits key: value, key: value. A piece without a colon belongs to the one before it.
func entries(s string) []string {
	var all []string
	for piece := range strings.SplitSeq(s, ",") {
		if strings.Contains(piece, ":") || len(all) == 0 {
			all = append(all, piece)
			continue
		}
		all[len(all)-1] += "," + piece
	}
	if len(all) == 1 && !strings.Contains(all[0], ":") {
		return nil
	}
	return all
}
