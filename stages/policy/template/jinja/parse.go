package jinja

import (
	"slices"
	"strings"
)

// The statements of the parser follow jinja2/parser.py.

const maxNesting = 200 // brackets, operators and blocks within each other

type parser struct {
	tokens []token
	at     int
	depth  int
	tags   []string   // open blocks, for messages
	ends   [][]string // tags that may close them
}

func (p *parser) current() token { return p.tokens[p.at] }

// look is the token behind the current one.
func (p *parser) look() token { return p.tokens[min(p.at+1, len(p.tokens)-1)] }

func (p *parser) lookName(name string) bool {
	t := p.look()
	return t.kind == tokenName && t.text == name
}

func (p *parser) next() token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

func (p *parser) fail(line int, format string, args ...any) {
	raiseAt(line, "TemplateSyntaxError", format, args...)
}

// enter counts a level of recursion; the caller defers leave.
func (p *parser) enter() {
	if p.depth++; p.depth > maxNesting {
		overLimit("line %d: expressions and blocks are nested deeper than %d", p.current().line, maxNesting)
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) isOp(op string) bool {
	t := p.current()
	return t.kind == tokenOperator && t.text == op
}

func (p *parser) isName(name string) bool {
	t := p.current()
	return t.kind == tokenName && t.text == name
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expectOp(op string) token {
	if !p.isOp(op) {
		p.unexpected(op)
	}
	return p.next()
}

func (p *parser) expectName() token {
	if p.current().kind != tokenName {
		p.unexpected("name")
	}
	return p.next()
}

func (p *parser) expectKeyword(name string) {
	if !p.isName(name) {
		p.unexpected(name)
	}
	p.next()
}

func (p *parser) expectEnd(k kind) {
	if p.current().kind != k {
		p.unexpected(token{kind: k}.describe())
	}
	p.next()
}

func (p *parser) unexpected(want string) {
	t := p.current()
	if t.kind == tokenEOF {
		p.fail(t.line, "unexpected end of template, expected %s.", repr(want))
	}
	p.fail(t.line, "expected token %s, got %s", repr(want), repr(t.describe()))
}

// template parses all of it.
func (p *parser) template() []node {
	body := p.body()
	if p.current().kind != tokenEOF {
		p.fail(p.current().line, "unexpected %s", repr(p.current().describe()))
	}
	return body
}

// body parses statements up to one of the tags ends, which stays the current token, or up to
// the end of the template if there are none.
func (p *parser) body(ends ...string) (nodes []node) {
	p.enter()
	defer p.leave()
	if len(ends) > 0 {
		p.ends = append(p.ends, ends)
		defer func() { p.ends = p.ends[:len(p.ends)-1] }()
	}
	for {
		switch t := p.current(); t.kind {
		case tokenEOF:
			if len(ends) > 0 {
				p.failTag("", t.line)
			}
			return nodes
		case tokenData:
			nodes = append(nodes, &textNode{p.next().text})
		case tokenVariableBegin:
			p.next()
			nodes = append(nodes, output(t.line, p.tuple(tupleRules{condExpr: true})))
			p.expectEnd(tokenVariableEnd)
		case tokenBlockBegin:
			p.next()
			if c := p.current(); c.kind == tokenName && slices.Contains(ends, c.text) {
				return nodes
			}
			nodes = append(nodes, p.statement()...)
			p.expectEnd(tokenBlockEnd)
		default:
			p.fail(t.line, "unexpected %s", repr(t.describe()))
		}
	}
}

// block parses the end of an opening tag and its body; drop skips the closing tag.
func (p *parser) block(drop bool, ends ...string) []node {
	p.skipOp(":")
	p.expectEnd(tokenBlockEnd)
	body := p.body(ends...)
	if drop {
		p.next()
	}
	return body
}

// failTag: a tag that nothing knows here, or "" for the end of the template.
func (p *parser) failTag(name string, line int) {
	message := "Unexpected end of template."
	if name != "" {
		message = "Encountered unknown tag " + repr(name) + "."
	}
	if len(p.ends) > 0 {
		message += " Jinja was looking for the following tags: "
		for i, end := range p.ends[len(p.ends)-1] {
			if i > 0 {
				message += " or "
			}
			message += repr(end)
		}
		message += "."
	}
	if len(p.tags) > 0 {
		message += " The innermost block that needs to be closed is " + repr(p.tags[len(p.tags)-1]) + "."
	}
	p.fail(line, "%s", message)
}

func (p *parser) statement() []node {
	t := p.current()
	if t.kind != tokenName {
		p.fail(t.line, "tag name expected")
	}
	parse := map[string]func(*parser, int) []node{
		"for": (*parser).forLoop, "if": (*parser).ifElse, "set": (*parser).set, "macro": (*parser).macro,
		"call": (*parser).callBlock, "filter": (*parser).filterBlock, "with": (*parser).with,
		"block": (*parser).namedBlock, "print": (*parser).print, "autoescape": (*parser).autoescape,
		"generation": (*parser).generation, "break": (*parser).control, "continue": (*parser).control,
		"include": (*parser).include, "import": (*parser).imports, "from": (*parser).from, "extends": (*parser).extends,
	}[t.text]
	if parse == nil {
		p.failTag(t.text, t.line)
	}
	p.tags = append(p.tags, t.text)
	defer func() { p.tags = p.tags[:len(p.tags)-1] }()
	return parse(p, t.line)
}

func (p *parser) forLoop(line int) []node {
	p.next()
	n := &forNode{line: line, target: p.target(tupleRules{})}
	p.expectKeyword("in")
	n.over = p.tuple(tupleRules{})
	if p.skipName("if") {
		n.test = p.expression()
	}
	n.recursive = p.skipName("recursive")
	n.nodes = p.block(false, "endfor", "else")
	if n.hasElse = p.next().text == "else"; n.hasElse {
		n.orElse.nodes = p.block(true, "endfor")
	}
	return []node{n}
}

func (p *parser) ifElse(line int) []node {
	n := &ifNode{line: line}
	for {
		p.next()
		test := p.tuple(tupleRules{})
		n.branches = append(n.branches, branch{test, p.block(false, "elif", "else", "endif")})
		if !p.isName("elif") {
			break
		}
	}
	if p.next().text == "else" {
		n.orElse = p.block(true, "endif")
	}
	return []node{n}
}

func (p *parser) set(line int) []node {
	p.next()
	target := p.target(tupleRules{namespace: true})
	if p.skipOp("=") {
		return []node{&setNode{line: line, target: target, value: p.tuple(tupleRules{condExpr: true})}}
	}
	filter := p.filters(nil)
	return []node{&setBlock{line: line, target: target, filter: filter, body: body{nodes: p.block(true, "endset")}}}
}

func (p *parser) with(line int) []node {
	p.next()
	n := &withNode{line: line}
	for p.current().kind != tokenBlockEnd {
		if len(n.targets) > 0 {
			p.expectOp(",")
		}
		n.targets = append(n.targets, p.target(tupleRules{}))
		p.expectOp("=")
		n.values = append(n.values, p.expression())
	}
	n.nodes = p.block(true, "endwith")
	return []node{n}
}

func (p *parser) macro(line int) []node {
	p.next()
	m := newMacro(line)
	m.name = p.targetName()
	p.signature(m)
	m.nodes = p.block(true, "endmacro")
	return []node{m}
}

func newMacro(line int) *macroNode {
	return &macroNode{
		line: line, caller: special{name: "caller"}, kwargs: special{name: "kwargs"}, varargs: special{name: "varargs"},
	}
}

func (p *parser) signature(m *macroNode) {
	p.expectOp("(")
	for !p.isOp(")") {
		if len(m.params) > 0 {
			p.expectOp(",")
		}
		name := p.targetName()
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			p.fail(p.current().line, "non-default argument follows default argument")
		}
		m.params = append(m.params, name)
	}
	p.expectOp(")")
}

func (p *parser) callBlock(line int) []node {
	p.next()
	m := newMacro(line)
	if p.isOp("(") {
		p.signature(m)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		p.fail(line, "expected call")
	}
	if i := slices.Index(call.args.names, "caller"); i >= 0 {
		if !slices.ContainsFunc(call.args.names, isKeyword) {
			raiseAt(line, "SyntaxError", "keyword argument repeated: caller")
		}
		call.args.names = slices.Delete(call.args.names, i, i+1)
		call.args.named = slices.Delete(call.args.named, i, i+1)
	}
	m.nodes = p.block(true, "endcall")
	return []node{&callBlock{line, call, m}}
}

func (p *parser) filterBlock(line int) []node {
	p.next()
	filter := p.filters(p.filter(nil))
	return []node{&filterBlock{line: line, filter: filter, body: body{nodes: p.block(true, "endfilter")}}}
}

// generation is transformers' mark of what an assistant says: a call block that calls its body.
func (p *parser) generation(line int) []node {
	p.next()
	m := newMacro(line)
	m.nodes = p.block(true, "endgeneration")
	return []node{&callBlock{line, nil, m}}
}

func (p *parser) namedBlock(line int) []node {
	p.next()
	b := &blockNode{line: line, name: p.expectName().text}
	b.scoped = p.skipName("scoped")
	b.required = p.skipName("required")
	b.nodes = p.block(true, "endblock")
	for _, n := range b.nodes {
		if t, ok := n.(*textNode); b.required && (!ok || strings.TrimFunc(t.text, isSpace) != "") {
			p.fail(line, "Required blocks can only contain comments or whitespace")
		}
	}
	p.skipName(b.name)
	return []node{b}
}

func (p *parser) print(int) (nodes []node) {
	p.next()
	for p.current().kind != tokenBlockEnd {
		if len(nodes) > 0 {
			p.expectOp(",")
		}
		line := p.current().line
		nodes = append(nodes, output(line, p.expression()))
	}
	return nodes
}

func (p *parser) autoescape(line int) []node {
	p.next()
	n := &autoescapeNode{line: line, value: p.expression()}
	n.nodes = p.block(true, "endautoescape")
	return []node{n}
}

func (p *parser) control(line int) []node {
	return []node{&loopControl{line, p.next().text == "break"}}
}

func (p *parser) extends(line int) []node {
	p.next()
	return []node{&loadNode{line: line, template: p.expression(), extends: true}}
}

func (p *parser) include(line int) []node {
	p.next()
	n := &loadNode{line: line, template: p.expression()}
	if p.isName("ignore") && p.lookName("missing") {
		p.next()
		p.next()
		n.optional = true
	}
	p.importContext()
	return []node{n}
}

func (p *parser) imports(line int) []node {
	p.next()
	n := &loadNode{line: line, template: p.expression()}
	p.expectKeyword("as")
	n.names = []string{p.targetName()}
	p.importContext()
	return []node{n}
}

func (p *parser) from(line int) []node {
	p.next()
	n := &loadNode{line: line, template: p.expression()}
	p.expectKeyword("import")
	for {
		if len(n.names) > 0 {
			p.expectOp(",")
		}
		if p.importContext() {
			return []node{n}
		}
		t := p.current()
		name := p.targetName()
		if strings.HasPrefix(name, "_") {
			raiseAt(t.line, "TemplateAssertionError", "names starting with an underline can not be imported")
		}
		if p.skipName("as") {
			name = p.targetName()
		}
		n.names = append(n.names, name)
		if p.importContext() || !p.isOp(",") {
			return []node{n}
		}
	}
}

// importContext parses "with context" and "without context".
func (p *parser) importContext() bool {
	if (p.isName("with") || p.isName("without")) && p.lookName("context") {
		p.next()
		p.next()
		return true
	}
	return false
}
