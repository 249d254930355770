package toolcall

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Decision is something that the beginning of an answer settles, however the answer goes on.
type Decision struct {
	Kind DecisionKind
	Name string // of a Named call: the tool; of a Given argument: its name
	Text string // of a Given argument: its source, such as a='x' or "a": "x"
}

// DecisionKind is what a Decision settles.
type DecisionKind uint8

// The kinds, in the order in which an answer with one call has them.
const (
	Words  DecisionKind = iota // it begins with words, not with a call
	Named                      // a call begins, and its tool is named
	Given                      // an argument and its value are complete
	More                       // a comma: another argument follows
	Closed                     // the arguments of the call are complete
	Again                      // a separator: another call follows
	Ended                      // the calls are complete, so far as the format marks it
	Beyond                     // words follow behind the last call
)

// Decisions reads the beginning of an answer, or a whole one, as far as it is settled. What a longer
// text with this beginning settles begins with the same decisions.
//
// Where the format leaves open what something is, the list ends before it: at fences, a call without
// brackets, arguments without names, an object whose first field is not "name", a syntax that is not
// read here, a character that is cut in two. A comma counts as a promise, though a reader forgives one
// before a bracket. In the pythonic form and in Llama's, nothing behind words is read. A parenthesis
// that the name of one of the tools has is part of a name.
//
// The text may be anything: reading is linear, and stops at the limits of the other readers.
func (f Format) Decisions(text string, tools []Tool) []Decision {
	if len(text) > MaxBytes {
		return nil
	}
	b := beginning{rest: text, tools: tools}
	if !b.thought() {
		return nil
	}
	switch f {
	case Hermes:
		b.hermes()
	case LlamaJSON:
		b.llama()
	default:
		b.pythonic()
	}
	return b.made
}

// BeginsWithWords reports whether an answer begins with words, though calls may follow them.
func (f Format) BeginsWithWords(answer string) bool {
	made := f.Decisions(answer, nil)
	return len(made) > 0 && made[0].Kind == Words
}

// beginning reads the beginning of an answer. Its methods return false where the text ends or where
// nothing more is settled.
type beginning struct {
	rest  string // not read yet
	tools []Tool
	made  []Decision
}

func (b *beginning) decide(kind DecisionKind, name, text string) {
	b.made = append(b.made, Decision{kind, name, text})
}

// blanks skips white space and reports whether anything follows.
func (b *beginning) blanks() bool {
	b.rest = strings.TrimLeft(b.rest, " \t\r\n\f")
	return b.rest != ""
}

// take skips a token behind blanks. open says that the text ends before it is complete.
func (b *beginning) take(token string) (taken, open bool) {
	b.blanks()
	if strings.HasPrefix(b.rest, token) {
		b.rest = b.rest[len(token):]
		return true, false
	}
	return false, strings.HasPrefix(token, b.rest)
}

// thought skips a complete <think> block.
func (b *beginning) thought() bool {
	taken, open := b.take(openThought)
	if !taken {
		return !open
	}
	_, rest, closed := strings.Cut(b.rest, closeThought)
	b.rest = rest
	return closed
}

func (b *beginning) pythonic() {
	taken, open := b.take("[")
	if open {
		return
	}
	if !taken {
		if !mayBeBare(b.rest) {
			b.decide(Words, "", "")
		}
		return
	}
	for b.pythonicCall() {
		b.blanks()
		switch {
		case strings.HasPrefix(b.rest, ","):
			b.rest = b.rest[1:]
			b.decide(Again, "", "")
			continue
		case strings.HasPrefix(b.rest, "]"):
			b.rest = b.rest[1:]
			b.decide(Ended, "", "")
			if b.blanks() && b.rest[0] != '`' {
				b.decide(Beyond, "", "")
			}
		}
		return
	}
}

// mayBeBare reports whether a text may be the beginning of a call without brackets, or of a fence.
func mayBeBare(text string) bool {
	for i, r := range text {
		switch {
		case r == '(', r == '`' && i == 0:
			return true
		case identPart(r), r == '.', r == utf8.RuneError:
		default:
			return false
		}
	}
	return true
}

func (b *beginning) pythonicCall() bool {
	name, ok := b.pythonicName()
	if !ok {
		return false
	}
	b.decide(Named, name, "")
	return b.arguments(')', b.pythonicKey)
}

// pythonicName reads up to the parenthesis that opens the arguments.
func (b *beginning) pythonicName() (string, bool) {
	b.blanks()
	for i := 0; i < min(len(b.rest), maxName); i++ {
		c := b.rest[i]
		switch {
		case strings.IndexByte(`[]{}"=`, c) >= 0 || c < ' ', i == 0 && strings.IndexByte(`' ,()`, c) >= 0:
			return "", false
		case c != '(':
			continue
		}
		name := strings.TrimRight(b.rest[:i], " ")
		offered, longer := false, false
		for _, t := range b.tools {
			offered = offered || t.Name == name
			longer = longer || strings.HasPrefix(t.Name, b.rest[:i+1])
		}
		switch {
		case longer && offered:
			return "", false // both are tools
		case !longer:
			b.rest = b.rest[i+1:]
			return name, !strings.ContainsRune(name, utf8.RuneError)
		}
	}
	return "", false
}

// pythonicKey reads name=.
func (b *beginning) pythonicKey() (string, bool) {
	for i := 0; i < min(len(b.rest), maxName); i++ {
		c := b.rest[i]
		if c == '=' {
			name := strings.TrimRight(b.rest[:i], " \t")
			b.rest = b.rest[i+1:]
			return name, name != "" && b.rest != "" && b.rest[0] != '='
		}
		if strings.IndexByte(`[](){}"',:`, c) >= 0 || c < ' ' {
			break
		}
	}
	return "", false
}

// arguments reads arguments up to the closing bracket of the call. key reads the name of one.
func (b *beginning) arguments(closing byte, key func() (string, bool)) bool {
	if !b.blanks() {
		return false
	}
	for b.rest[0] != closing {
		before := b.rest
		name, ok := key()
		if !ok {
			return false
		}
		end := valueEnd(b.rest, closing == ')')
		if end < 0 || b.rest[end] != ',' && b.rest[end] != closing || strings.TrimSpace(b.rest[:end]) == "" {
			return false
		}
		source := before[:len(before)-len(b.rest)+end]
		if b.rest = b.rest[end:]; strings.ContainsRune(source, utf8.RuneError) {
			return false
		}
		b.decide(Given, name, source)
		if b.rest[0] == closing {
			break
		}
		b.rest = b.rest[1:]
		b.decide(More, "", "")
		if !b.blanks() || closing == '}' && b.rest[0] == closing { // JSON has no comma before a brace
			return false
		}
	}
	b.rest = b.rest[1:]
	b.decide(Closed, "", "")
	return true
}

// valueEnd is where a value ends: at the comma or closing bracket outside its quotes and brackets; −1 if
// the text ends before. python has single quotes and triple ones, too.
func valueEnd(text string, python bool) int {
	var open []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || python && c == '\'':
			n := quotedEnd(text[i:], c, python)
			if n < 0 {
				return -1
			}
			i += n - 1
		case c == '(':
			open = append(open, ')')
		case c == '[':
			open = append(open, ']')
		case c == '{':
			open = append(open, '}')
		case len(open) == 0 && strings.IndexByte(",)]}", c) >= 0:
			return i
		case len(open) > 0 && c == open[len(open)-1]:
			open = open[:len(open)-1]
		case strings.IndexByte(")]}", c) >= 0 || python && c == '#' || len(open) > MaxDepth:
			return -1 // brackets do not match; a comment
		}
	}
	return -1
}

// quotedEnd is the length of the text in quotes that begins here, −1 if it does not end.
func quotedEnd(text string, quote byte, triple bool) int {
	mark := string(quote)
	if long := strings.Repeat(mark, 3); triple && strings.HasPrefix(text, long) {
		mark = long
	}
	for i := len(mark); i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if strings.HasPrefix(text[i:], mark) {
			return i + len(mark)
		} else if text[i] == '\n' && len(mark) == 1 {
			return -1 // no reader takes it
		}
	}
	return -1
}

func (b *beginning) hermes() {
	taken, open := b.take(openCall)
	if open {
		return
	}
	if !taken {
		b.decide(Words, "", "")
		_, rest, found := strings.Cut(b.rest, openCall)
		if b.rest = rest; !found {
			return
		}
	}
	for b.jsonCall("arguments") {
		if taken, _ := b.take(closeCall); !taken {
			return
		}
		b.decide(Ended, "", "") // of this block: the calls end where the answer does
		_, rest, found := strings.Cut(b.rest, openCall)
		if !found {
			return
		}
		b.rest = rest
		b.decide(Again, "", "")
	}
}

func (b *beginning) llama() {
	if taken, open := b.take(pythonTag); open {
		return
	} else if !taken && !strings.HasPrefix(b.rest, "{") {
		if b.rest[0] != '`' {
			b.decide(Words, "", "")
		}
		return
	}
	for b.jsonCall("parameters", "arguments") {
		b.decide(Ended, "", "")
		switch {
		case !b.blanks():
			return
		case b.rest[0] != ';':
			b.decide(Beyond, "", "")
			return
		}
		b.rest = b.rest[1:]
		b.decide(Again, "", "")
	}
}

// jsonCall reads {"name": …, "arguments": {…}}.
func (b *beginning) jsonCall(keys ...string) bool {
	if taken, _ := b.take("{"); !taken {
		return false
	}
	b.blanks()
	if key, ok := b.jsonKey(); !ok || key != "name" || !b.blanks() {
		return false
	}
	name, ok := b.jsonText()
	if !ok || name == "" {
		return false
	}
	b.decide(Named, name, "")
	if taken, _ := b.take(","); !taken || !b.blanks() {
		return false
	}
	key, ok := b.jsonKey()
	if !ok || key != keys[0] && key != keys[len(keys)-1] {
		return false
	}
	if taken, _ := b.take("{"); !taken || !b.arguments('}', b.jsonKey) {
		return false
	}
	taken, _ := b.take("}")
	return taken
}

// jsonKey reads "name":.
func (b *beginning) jsonKey() (string, bool) {
	name, ok := b.jsonText()
	if !ok {
		return "", false
	}
	taken, _ := b.take(":")
	return name, taken
}

// jsonText reads a text in quotes.
func (b *beginning) jsonText() (text string, ok bool) {
	if !strings.HasPrefix(b.rest, `"`) {
		return "", false
	}
	n := quotedEnd(b.rest, '"', false)
	if n < 0 || strings.ContainsFunc(b.rest[:n], unicode.IsControl) || !utf8.ValidString(b.rest[:n]) {
		return "", false
	}
	ok = json.Unmarshal([]byte(b.rest[:n]), &text) == nil && !strings.ContainsRune(text, utf8.RuneError)
	b.rest = b.rest[n:]
	return text, ok
}
