package expand

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

// The slow twin of the scanner. It parses: an answer in Python's form at every prefix, one in JSON once, and knows
// where the arguments of calls begin and end.

var fence = regexp.MustCompile("^[ \t\r\n]*(?:`+[A-Za-z0-9_+-]*\n[ \t\r\n]*|`+)?")

// name is a line with a name alone.
var name = regexp.MustCompile(`^[\w.]+[ \t]*\n`)

// checkCuts fails if a text that reads as calls is cut where no arguments open, end or close.
func checkCuts(t *testing.T, text string, fragments []string) {
	t.Helper()
	start := len(fence.FindString(text))
	right, reads := boundaries(text[start:])
	if !reads {
		return
	}
	at := 0
	for _, fragment := range fragments[:len(fragments)-1] {
		if at += len(fragment); !right(at - start) {
			t.Errorf("%q is cut behind %q", text, text[:at])
		}
	}
}

// boundaries tells whether a fragment may end at an offset. reads is false if the text is no calls.
func boundaries(text string) (right func(at int) bool, reads bool) {
	trimmed := strings.TrimRight(text, "` \t\r\n")
	if toolcall.FormatOf(text) == toolcall.Hermes {
		if _, err := toolcall.Hermes.Read(text); err != nil || strings.Contains(text, "'") {
			return nil, false
		}
		return hermesEnds(text), true
	}
	if _, err := toolcall.FromJSON([]byte(trimmed)); err == nil {
		w := walker{text: trimmed, ends: map[int]bool{}}
		w.value(0, true)
		return func(at int) bool { return w.ends[at] }, strings.HasPrefix(trimmed, "[") ||
			strings.HasPrefix(trimmed, "{")
	}
	if full, err := toolcall.Parse(trimmed); err == nil {
		return func(at int) bool { return at <= len(trimmed) && pythonicEnd(trimmed[:at], full, toolcall.Parse) }, true
	}
	if strings.HasPrefix(trimmed, "#") || name.MatchString(trimmed) {
		return nil, false // prose by its first line
	}
	if full, err := toolcall.Decode(trimmed); err == nil && len(full) > 0 {
		return func(at int) bool { return at <= len(trimmed) && pythonicEnd(trimmed[:at], nil, toolcall.Decode) }, true
	}
	return nil, false
}

// pythonicEnd completes a prefix and parses it. full are the calls of the whole text, if they are to begin alike: all
// but the name in front of an open parenthesis, which can go on behind it.
func pythonicEnd(prefix string, full []toolcall.Call, read func(string) ([]toolcall.Call, error)) bool {
	list := ""
	if strings.HasPrefix(prefix, "[") {
		list = "]"
	}
	var calls []toolcall.Call
	var err error
	last := prefix[len(prefix)-1]
	switch last {
	case '(':
		calls, err = read(prefix + ")" + list)
	case ',':
		calls, err = read(prefix[:len(prefix)-1] + ")" + list)
	case ')':
		calls, err = read(prefix + list)
	default:
		return false
	}
	if err != nil || len(calls) == 0 {
		return false
	}
	n := len(calls) - 1
	args := len(calls[n].Args)
	if last == '(' && args > 0 || last == ',' && args == 0 {
		return false
	}
	if full == nil {
		return true
	}
	if n >= len(full) || !toolcall.Equal(calls[:n], full[:n]) {
		return false
	}
	if last == '(' {
		return full[n].Name == calls[n].Name || !strings.HasSuffix(prefix, " (")
	}
	whole := full[n]
	whole.Args = whole.Args[:min(args, len(whole.Args))]
	return toolcall.Equal(calls[n:], []toolcall.Call{whole})
}

// walker reads JSON and notes the ends of arguments.
type walker struct {
	text string
	at   int
	ends map[int]bool
}

func (w *walker) blanks() {
	for w.at < len(w.text) && strings.IndexByte(" \t\r\n", w.text[w.at]) >= 0 {
		w.at++
	}
}

// value reads a value. level is 1 for arguments, and calls tells whether the value is a call, or calls.
func (w *walker) value(level int, calls bool) {
	w.blanks()
	switch w.text[w.at] {
	case '{':
		w.object(level, calls)
	case '[':
		w.at++
		for w.blanks(); w.text[w.at] != ']'; w.blanks() {
			if w.text[w.at] == ',' {
				w.at++
			}
			w.value(0, calls)
		}
		w.at++
	case '"':
		w.string()
	default:
		for w.at < len(w.text) && strings.IndexByte(",]} \t\r\n", w.text[w.at]) < 0 {
			w.at++
		}
	}
}

func (w *walker) string() string {
	start := w.at + 1
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.text[start : w.at-1]
}

func (w *walker) object(level int, calls bool) {
	w.at++
	w.ends[w.at] = level == 1
	for w.blanks(); w.text[w.at] != '}'; w.blanks() {
		if w.text[w.at] == ',' {
			w.at++
			w.ends[w.at] = level == 1
			w.blanks()
		}
		key := w.string()
		w.blanks()
		w.at++ // the colon
		w.blanks()
		arguments := calls && (key == "arguments" || key == "parameters") && w.text[w.at] == '{'
		if arguments {
			w.value(1, false)
			continue
		}
		w.value(0, calls && (key == "function" || key == "tool_calls"))
	}
	w.at++
	if level == 1 {
		w.ends[w.at] = true
	}
}

// hermesEnds walks the object of every block.
func hermesEnds(text string) func(at int) bool {
	ends := map[int]bool{}
	first := strings.Index(text, "<tool_call>")
	for at := 0; ; {
		next := strings.Index(text[at:], "<tool_call>")
		if next < 0 {
			break
		}
		at += next + len("<tool_call>")
		w := walker{text: text, at: at, ends: ends}
		w.value(0, true)
		at = w.at
	}
	return func(at int) bool {
		if at <= first { // words before the calls
			return text[at-1] == '\n' || strings.HasSuffix(text[:at], ". ")
		}
		return ends[at]
	}
}

// What formats write, as it is, fenced, and changed in some bytes: every cut is one of the twin.
func TestFragmentsEndWhereTheTwinSays(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 16))
	changes := strings.Split("( ) , = ' \" [ ] { } '''  # \n \\ a 1 : . ` ''", " ")
	read, cuts := 0, 0
	for _, calls := range toolcalltest.Calls(t) {
		for _, f := range toolcalltest.Formats {
			for range 90 {
				text := f.Print(calls)
				for range r.IntN(4) {
					at := r.IntN(len(text) + 1)
					text = text[:at] + changes[r.IntN(len(changes))] + text[min(len(text), at+r.IntN(2)):]
				}
				switch r.IntN(4) {
				case 0:
					text = "```json\n" + text + "\n```"
				case 1:
					text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
				}
				if text == "" {
					continue
				}
				got := cut(text)
				checkCuts(t, text, got)
				if _, reads := boundaries(text[len(fence.FindString(text)):]); reads {
					read++
					cuts += len(got) - 1
				}
			}
		}
	}
	if read < 500 || cuts < 1000 {
		t.Errorf("only %d texts with %d cuts were calls", read, cuts)
	}
	t.Logf("%d texts with %d cuts", read, cuts)
}
