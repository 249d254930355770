package jinja

import (
	"slices"
	"strings"
)

// wordWrap is the filter wordwrap: Python's textwrap, line by line.
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
	var out []string
	for _, line := range splitLines(s, false) {
		x.spend(16)
		lines := wrapLine(x, line, width, truth(or(b[1], true)), or(b[3], true))
		out = append(out, strings.Join(lines, between)) // a blank line stays as an empty one
	}
	return x.made(strings.Join(out, between))
}

// wrapLine is textwrap.wrap. A chunk is the white space between two words, a word, or, if hyphens is True itself
// and nothing else that is true, a part of a word that a hyphen ends.
func wrapLine(x *exec, line string, width int, breakWords bool, hyphens any) []string {
	x.spend(8 * len(line))
	if width <= 0 {
		valueError("invalid width %d (must be > 0)", width)
	}
	chunks := spaceChunks(line)
	if hyphens == true {
		chunks = wordChunks(line)
	}
	var lines []string
	for len(chunks) > 0 {
		if len(lines) > 0 && chunks[0].blank() {
			chunks = chunks[1:]
		}
		var current []chunk
		n := 0
		for len(chunks) > 0 && n+len(chunks[0]) <= width {
			n += len(chunks[0])
			current, chunks = append(current, chunks[0]), chunks[1:]
		}
		if len(chunks) > 0 && len(chunks[0]) > width {
			if breakWords { // even by no character: then the white space before the word stays
				end := width - n
				if truth(hyphens) {
					end = afterHyphen(chunks[0], end)
				}
				current = append(current, chunks[0][:end])
				chunks[0] = chunks[0][end:]
			} else if len(current) == 0 {
				current, chunks = append(current, chunks[0]), chunks[1:]
			}
		}
		if last := len(current) - 1; last >= 0 && current[last].blank() {
			current = current[:last]
		}
		if len(current) > 0 {
			lines = append(lines, joinChunks(current))
			x.spend(48)
		}
	}
	return lines
}

// afterHyphen is the place behind the last hyphen in the first end characters of a long word, if something else
// than hyphens stands before it, or else end.
func afterHyphen(word chunk, end int) int {
	for at := end - 1; at > 0; at-- {
		if word[at] == '-' {
			if slices.ContainsFunc(word[:at], func(r rune) bool { return r != '-' }) {
				return at + 1
			}
			break
		}
	}
	return end
}

type chunk []rune

// blank tells whether a chunk is white space, of any kind, or empty.
func (c chunk) blank() bool { return strings.TrimFunc(string(c), isSpace) == "" }

func joinChunks(list []chunk) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(string(c))
	}
	return b.String()
}

// spaceChunks cuts a line into words and the white space between them, which is ASCII's.
func spaceChunks(s string) (chunks []chunk) {
	runes := []rune(s)
	for i := 0; i < len(runes); {
		end := i + 1
		for end < len(runes) && isBlank(runes[end]) == isBlank(runes[i]) {
			end++
		}
		chunks, i = append(chunks, runes[i:end]), end
	}
	return chunks
}
