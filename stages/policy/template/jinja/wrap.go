package jinja

import (
	"strings"
)

// wordWrap is the filter wordwrap, for the lines that Python's textwrap cuts at spaces alone.
func wordWrap(x *exec, of any, a args) any {
	b := bind("wordwrap", a, "width=", "break_long_words=", "wrapstring=", "break_on_hyphens=")
	width := count(or(b[0], 79))
	between := "\n"
	if w := or(b[2], nil); w != nil {
		between = argText("wordwrap", w)
	}
	s, ok := text(of)
	if !ok {
		raise("AttributeError", "'%s' object has no attribute 'splitlines'", typeName(of))
	}
	if width <= 0 {
		valueError("invalid width %d (must be > 0)", width)
	}
	var out []string
	for _, line := range splitLines(s, false) {
		out = append(out, wrapLine(x, line, width, truth(or(b[1], true)), truth(or(b[3], true)))...)
	}
	return x.made(strings.Join(out, between))
}

func wrapLine(x *exec, line string, width int, breakWords, breakHyphens bool) []string {
	x.work(len(line))
	if breakHyphens && strings.ContainsAny(line, "-—") {
		unsupported("wordwrap of a text with hyphens")
	}
	if line == "" {
		return []string{""}
	}
	var lines []string
	chunks := spaceChunks(line)
	for len(chunks) > 0 {
		if len(lines) > 0 && strings.TrimFunc(chunks[0], isSpace) == "" {
			chunks = chunks[1:] // white space that begins a line is dropped
		}
		current, n := "", 0
		for len(chunks) > 0 && n+length(chunks[0]) <= width {
			current, n = current+chunks[0], n+length(chunks[0])
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && length(chunks[0]) > width {
			switch room := width - n; {
			case breakWords && room > 0:
				head := firstRunes(chunks[0], room)
				current += head
				chunks[0] = chunks[0][len(head):]
			case current == "":
				current, chunks = chunks[0], chunks[1:]
			}
		}
		if current = strings.TrimRightFunc(current, isSpace); current != "" {
			lines = append(lines, current)
		}
	}
	return lines
}

// spaceChunks cuts a line into words and the spaces between them.
func spaceChunks(s string) (chunks []string) {
	for s != "" {
		space := isSpace(rune(s[0]))
		i := strings.IndexFunc(s, func(r rune) bool { return isSpace(r) != space })
		if i < 0 {
			i = len(s)
		}
		chunks, s = append(chunks, s[:i]), s[i:]
	}
	return chunks
}
