package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"itool/ops/report"
	"itool/schemas/toolcall"
	"itool/stages/judge"
)

// Style says how texts are printed. All of them are free of control characters but for its colours.
type Style struct {
	Color bool // mark differences with colours, not with [-wanted-] and {+given+} as git's word diff does
	Width int  // columns; 0: 80
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 80
	}
	return max(s.Width, 40)
}

// printer keeps the first error, so that what prints need not check for errors.
type printer struct {
	Style
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, safe(fmt.Sprintf(format, args...))+"\n")
	}
}

// safe is report.Plain for lines with our own colours: what a record says cannot command a terminal.
func safe(text string) string {
	return keep(text, []string{"\n", red, green, plain})
}

// keep makes a text plain but for the given separators.
func keep(text string, separators []string) string {
	if len(separators) == 0 {
		return report.Plain(text)
	}
	parts := strings.Split(text, separators[0])
	for i := range parts {
		parts[i] = keep(parts[i], separators[1:])
	}
	return strings.Join(parts, separators[0])
}

// sentence prints a text that is wrapped.
func (p *printer) sentence(format string, args ...any) {
	p.line("%s", strings.Join(wrap(fmt.Sprintf(format, args...), p.width()), "\n"))
}

// labelColumns is the width of the labels at the left.
const labelColumns = 12

// field prints a label and its text, which is wrapped to the right of it.
func (p *printer) field(label, text string) {
	indent := strings.Repeat(" ", labelColumns+2)
	lines := wrap(text, p.width()-len(indent))
	label = fmt.Sprintf("  %-*s", labelColumns, label)
	for i, l := range lines {
		if i > 0 {
			label = indent
		}
		p.line("%s", strings.TrimRight(label+l, " "))
	}
}

// table aligns rows of cells under a title; the first row is the head.
func (p *printer) table(title string, rows [][]string) {
	if p.err != nil || len(rows) < 2 {
		return
	}
	p.line("\n%s", strings.Join(wrap(title, p.width()), "\n"))
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = report.Plain(row[i])
		}
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
}

const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

// marked prints parts with their differences marked.
func (p *printer) marked(parts []judge.Part) string {
	var b strings.Builder
	for _, part := range parts {
		text := report.Plain(part.Text)
		switch {
		case part.Mark == judge.Same:
			b.WriteString(text)
		case p.Color && part.Mark == judge.Wrong:
			b.WriteString(red + text + plain)
		case p.Color:
			b.WriteString(green + text + plain)
		case part.Mark == judge.Wrong:
			b.WriteString("{+" + text + "+}")
		default:
			b.WriteString("[-" + text + "-]")
		}
	}
	return b.String()
}

// answered prints an answer with its differences marked. One that was not compared call by call is printed without
// the reference, which stands above it.
func (p *printer) answered(text string, parts []judge.Part, faults []judge.Fault) string {
	whole := slices.ContainsFunc(faults, func(f judge.Fault) bool {
		return f.Kind == judge.FaultUnreadable || f.Kind == judge.FaultNoCall
	})
	if whole {
		parts = []judge.Part{{Mark: judge.Wrong, Text: text}}
	}
	return p.marked(parts)
}

// legend explains the marks.
func (p *printer) legend() string {
	return p.marked([]judge.Part{{Mark: judge.Missing, Text: "wanted"}, {Mark: judge.Wrong, Text: "given"}})
}

// wrap breaks a text into lines of at most width columns at its blanks; a longer word has a line of its own.
// Colours take no room.
func wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for i, word := range strings.SplitAfter(text, " ") {
		n := columns(word)
		if i > 0 && used+columns(strings.TrimRight(word, " ")) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line, used = "", 0
		}
		line, used = line+word, used+n
	}
	return append(lines, strings.TrimRight(line, " "))
}

func columns(text string) int {
	for _, color := range []string{red, green, plain} {
		text = strings.ReplaceAll(text, color, "")
	}
	return utf8.RuneCountInString(text)
}

// short cuts a text to n columns, on one line and without control characters.
func short(text string, n int) string {
	text = report.Plain(text)
	if n = max(n, 8); utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// maxTools bounds the tools that are shown of an example.
const maxTools = 8

// signatures are tools as name(parameter, optional?).
func signatures(raw json.RawMessage) []string {
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return []string{"cannot be read: " + report.Plain(err.Error())}
	}
	var out []string
	for i, t := range tools {
		if i == maxTools {
			return append(out, fmt.Sprintf("… and %d more (--json has all)", len(tools)-maxTools))
		}
		var params []string
		for _, p := range t.Params {
			mark := "?"
			if slices.Contains(t.Required, p.Name) {
				mark = ""
			}
			params = append(params, p.Name+mark)
		}
		out = append(out, report.Plain(t.Name+"("+strings.Join(params, ", ")+")"))
	}
	if len(out) == 0 {
		return []string{"none"}
	}
	return out
}

// asked prints question, tools and reference.
func (p *printer) asked(e *Example) {
	p.field("question", report.Plain(e.Question))
	for i, s := range signatures(e.Tools) {
		label := ""
		if i == 0 {
			label = "tools"
		}
		p.field(label, s)
	}
	p.field("reference", report.Plain(e.Reference))
}

// place says where an example comes from.
func place(source string, row, turn int) string {
	return fmt.Sprintf("%s row %d, turn %d", report.Plain(source), row, turn)
}

// counts prints "3 similar, 1 other", the most frequent first.
func counts(m map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, k := range keys {
		name := k
		if name == "" {
			name = "of no type"
		}
		out = append(out, fmt.Sprintf("%d %s", m[k], report.Plain(name)))
	}
	return strings.Join(out, ", ")
}

func (p *printer) unreadable(all []string) {
	if len(all) > 0 {
		p.line("")
		p.sentence("%d records cannot be read and are left out, the first: %s", len(all), all[0])
	}
}
