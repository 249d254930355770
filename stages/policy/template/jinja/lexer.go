package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The lexer follows jinja2/lexer.py: a template is text with blocks {% %}, variables
// {{ }}, comments {# #} and raw blocks, whose neighbouring white space is removed by
// "-" signs, by trim_blocks (the newline after a block or comment) and by lstrip_blocks
// (white space before a block or comment that begins its line).

type kind int

const (
	tokenEOF kind = iota
	tokenData
	tokenVariableBegin
	tokenVariableEnd
	tokenBlockBegin
	tokenBlockEnd
	tokenName
	tokenString
	tokenNumber // value is an int, *big.Int or float64
	tokenOperator
)

type token struct {
	kind  kind
	text  string // of data, a name, a string or an operator
	value any    // of a number
	whole bool   // a number without fraction and exponent
	line  int
}

// describe names a token as jinja2's messages do.
func (t token) describe() string {
	switch t.kind {
	case tokenEOF:
		return "end of template"
	case tokenData:
		return "template data / text"
	case tokenVariableBegin:
		return "begin of print statement"
	case tokenVariableEnd:
		return "end of print statement"
	case tokenBlockBegin:
		return "begin of statement block"
	case tokenBlockEnd:
		return "end of statement block"
	case tokenString:
		return "string"
	case tokenNumber:
		if t.whole {
			return "integer"
		}
		return "float"
	}
	return t.text
}

const (
	maxSource = 1 << 20   // bytes
	maxTokens = 1_000_000 // of a template
)

type lexer struct {
	source       string
	at           int
	line         int
	lineStarting bool // the character before at is a newline, or there is none
	tokens       []token
	brackets     []byte          // closing ones that are due
	characters   map[string]rune // by name, made for the first one that is named
}

func lex(source string) []token {
	if len(source) > maxSource {
		overLimit("the template has %d bytes, more than %d", len(source), maxSource)
	}
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	source = strings.TrimSuffix(source, "\n") // keep_trailing_newline is off
	l := &lexer{source: source, line: 1, lineStarting: true}
	for l.at < len(l.source) {
		l.root()
	}
	l.add(token{kind: tokenEOF})
	return l.tokens
}

func (l *lexer) add(t token) {
	if len(l.tokens) >= maxTokens {
		overLimit("the template has more than %d tokens", maxTokens)
	}
	t.line = l.line
	l.tokens = append(l.tokens, t)
}

// advance moves behind n bytes.
func (l *lexer) advance(n int) {
	if n == 0 {
		return
	}
	passed := l.source[l.at : l.at+n]
	l.line += strings.Count(passed, "\n")
	l.lineStarting = passed[n-1] == '\n'
	l.at += n
}

// root reads text up to the next tag, and the tag.
func (l *lexer) root() {
	rest := l.source[l.at:]
	begin := nextTag(rest)
	if begin < 0 {
		l.add(token{kind: tokenData, text: rest})
		l.advance(len(rest))
		return
	}
	text, tag := rest[:begin], rest[begin:]
	if raw := rawBegin(tag); raw > 0 {
		l.data(text, tag[2], true)
		l.advance(begin + raw)
		l.raw()
		return
	}
	sign := byte(0)
	if len(tag) > 2 && (tag[2] == '-' || tag[2] == '+') {
		sign = tag[2]
	}
	l.data(text, sign, tag[1] != '{')
	n := begin + 2
	if sign != 0 {
		n++
	}
	l.advance(n)
	switch tag[1] {
	case '#':
		l.comment()
	case '{':
		l.add(token{kind: tokenVariableBegin})
		l.expression(tokenVariableEnd)
	default:
		l.add(token{kind: tokenBlockBegin})
		l.expression(tokenBlockEnd)
	}
}

// nextTag is the position of the next "{%", "{{" or "{#", or −1.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '%' || s[i+1] == '{' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// data adds the text before a tag. lstrip: lstrip_blocks applies to the tag.
func (l *lexer) data(text string, sign byte, lstrip bool) {
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign != '+' && lstrip:
		begin := strings.LastIndexByte(text, '\n') + 1
		if (begin > 0 || l.lineStarting) && begin < len(text) && strings.TrimLeftFunc(text[begin:], isSpace) == "" {
			text = text[:begin]
		}
	}
	if text != "" {
		l.add(token{kind: tokenData, text: text})
	}
}

// rawBegin is the length of a tag that opens a raw block, or 0.
func rawBegin(tag string) int {
	if !strings.HasPrefix(tag, "{%") {
		return 0
	}
	s := tag[2:]
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	s, ok := strings.CutPrefix(strings.TrimLeftFunc(s, isSpace), "raw")
	if !ok {
		return 0
	}
	s = strings.TrimLeftFunc(s, isSpace)
	switch {
	case strings.HasPrefix(s, "-%}"):
		s = strings.TrimLeftFunc(s[3:], isSpace)
	case strings.HasPrefix(s, "%}"):
		s = s[2:]
	default:
		return 0
	}
	return len(tag) - len(s)
}

// raw reads up to the matching endraw.
func (l *lexer) raw() {
	rest := l.source[l.at:]
	if rest == "" {
		return // jinja2 reads the end of a raw block or comment only where something follows
	}
	for from := 0; ; {
		i := strings.Index(rest[from:], "{%")
		if i < 0 {
			raiseAt(l.line, "TemplateSyntaxError", "Missing end of raw directive")
		}
		i += from
		if sign, n := rawEnd(rest[i:]); n > 0 {
			l.data(rest[:i], sign, true)
			l.advance(i + n)
			return
		}
		from = i + 2
	}
}

// rawEnd is the sign and the length of a tag that closes a raw block; the length is 0 for another tag.
func rawEnd(tag string) (sign byte, n int) {
	s := tag[2:]
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[0], s[1:]
	}
	s, ok := strings.CutPrefix(strings.TrimLeftFunc(s, isSpace), "endraw")
	if !ok {
		return 0, 0
	}
	s = strings.TrimLeftFunc(s, isSpace)
	end := blockEnd(s)
	if end == 0 {
		return 0, 0
	}
	return sign, len(tag) - len(s) + end
}

// blockEnd is the length of "%}" with its sign and the white space that it removes, or 0.
func blockEnd(s string) int { return tagEnd(s, "%}") }

func tagEnd(s, end string) int {
	switch {
	case strings.HasPrefix(s, "+"+end):
		return 1 + len(end)
	case strings.HasPrefix(s, "-"+end):
		return len(s) - len(strings.TrimLeftFunc(s[1+len(end):], isSpace))
	case strings.HasPrefix(s, end+"\n"):
		return len(end) + 1 // trim_blocks
	case strings.HasPrefix(s, end):
		return len(end)
	}
	return 0
}

func (l *lexer) comment() {
	rest := l.source[l.at:]
	if rest == "" {
		return
	}
	for i := range rest {
		if n := tagEnd(rest[i:], "#}"); n > 0 {
			l.advance(i + n)
			return
		}
	}
	raiseAt(l.line, "TemplateSyntaxError", "Missing end of comment tag")
}

// expression reads the inside of a tag up to its end, which is of kind end.
func (l *lexer) expression(end kind) {
	for l.at < len(l.source) {
		rest := l.source[l.at:]
		if n := l.closes(rest, end); n > 0 && len(l.brackets) == 0 {
			l.add(token{kind: end})
			l.advance(n)
			return
		}
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case isSpace(r):
			l.advance(size)
		case r >= '0' && r <= '9':
			l.number(rest)
		case r == '_' || unicode.IsLetter(r) || isWord(r):
			l.name(rest)
		case r == '\'' || r == '"':
			l.text(rest, byte(r))
		default:
			l.operator(rest, r)
		}
	}
	// The end of the source within a tag: the parser meets the end of the template.
}

func (l *lexer) closes(rest string, end kind) int {
	if end == tokenBlockEnd {
		return blockEnd(rest)
	}
	switch {
	case strings.HasPrefix(rest, "-}}"):
		return len(rest) - len(strings.TrimLeftFunc(rest[3:], isSpace))
	case strings.HasPrefix(rest, "}}"):
		return 2
	}
	return 0
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.In(r, unicode.Mn, unicode.Mc)
}

func (l *lexer) name(rest string) {
	n := len(rest) - len(strings.TrimLeftFunc(rest, isWord))
	name := rest[:n]
	if !isIdentifier(name) {
		raiseAt(l.line, "TemplateSyntaxError", "Invalid character in identifier")
	}
	l.add(token{kind: tokenName, text: name})
	l.advance(n)
}

var operators = []string{
	"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
}

func (l *lexer) operator(rest string, r rune) {
	for _, op := range operators {
		if !strings.HasPrefix(rest, op) {
			continue
		}
		l.balance(op[0])
		l.add(token{kind: tokenOperator, text: op})
		l.advance(len(op))
		return
	}
	raiseAt(l.line, "TemplateSyntaxError", "unexpected char %s at %d", repr(string(r)), l.at)
}

// balance keeps the brackets that are open: an end of tag within them is none.
func (l *lexer) balance(op byte) {
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}'}
	if c, ok := closing[op]; ok {
		l.brackets = append(l.brackets, c)
		return
	}
	if op != ')' && op != ']' && op != '}' {
		return
	}
	if len(l.brackets) == 0 {
		raiseAt(l.line, "TemplateSyntaxError", "unexpected '%c'", op)
	}
	want := l.brackets[len(l.brackets)-1]
	l.brackets = l.brackets[:len(l.brackets)-1]
	if want != op {
		raiseAt(l.line, "TemplateSyntaxError", "unexpected '%c', expected '%c'", op, want)
	}
}
