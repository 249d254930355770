package ptx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parser reads a module. Its methods leave by a panic with a parseError, which Parse returns.
type parser struct {
	tokens []token
	at     int
	mod    *Module
	k      *Kernel
	scopes []map[string]int    // registers by name, the innermost scope last
	tables map[string][]string // jump tables of the kernel
	file   int                 // of the last .loc
	source int

	variableBytes int // of variables with values
}

type parseError struct{ error }

// Parse reads a PTX file. Whether an instruction is known shows in Machine.Load.
func Parse(src string) (m *Module, err error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, mod: &Module{Kernels: map[string]*Kernel{}, files: map[int]string{}}}
	defer catch(&err)
	for p.at < len(p.tokens) {
		p.directive()
	}
	for _, k := range p.mod.Kernels {
		if err := k.link(p.mod); err != nil {
			return nil, fmt.Errorf("ptx: kernel %s: %w", k.Name, err)
		}
	}
	return p.mod, nil
}

// catch turns the panic of a parser or compiler into its error.
func catch(err *error) {
	switch e := recover().(type) {
	case nil:
	case parseError:
		*err = e.error
	default:
		panic(e)
	}
}

func (p *parser) fail(format string, args ...any) {
	panic(parseError{fmt.Errorf("ptx: line %d: %s", p.line(), fmt.Sprintf(format, args...))})
}

// line is that of the next token, or of the last one.
func (p *parser) line() int {
	if len(p.tokens) == 0 {
		return 0
	}
	return p.tokens[min(p.at, len(p.tokens)-1)].line
}

func (p *parser) peek() string {
	if p.at >= len(p.tokens) {
		return ""
	}
	return p.tokens[p.at].text
}

func (p *parser) next() string {
	t := p.peek()
	if t == "" {
		p.fail("the file ends too early")
	}
	p.at++
	return t
}

func (p *parser) accept(t string) bool {
	if p.peek() != t {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(t string) {
	if p.peek() == "" {
		p.next()
	}
	if !p.accept(t) {
		p.fail("%q where %q was expected", p.peek(), t)
	}
}

// restOfLine takes the tokens of a directive that has no semicolon; at least min of them.
func (p *parser) restOfLine(least int) (words []string) {
	line := p.line()
	for p.at < len(p.tokens) && p.tokens[p.at].line == line {
		words = append(words, p.next())
	}
	if len(words) < least {
		p.fail("a directive is not complete")
	}
	return words
}

func (p *parser) int(most int) int {
	t := p.next()
	n, err := strconv.ParseInt(t, 0, 64)
	if err != nil || n < 0 || n > int64(most) {
		p.fail("%q where a number up to %d was expected", t, most)
	}
	return int(n)
}

// number gives the bits of an immediate: 12, -3, 0x1F, 0f3F800000, 0d3FF0000000000000, 1.5.
func (p *parser) number() uint64 {
	negative := p.accept("-")
	t := p.next()
	var v uint64
	var err error
	switch {
	case strings.HasPrefix(t, "0f") || strings.HasPrefix(t, "0F"):
		v, err = strconv.ParseUint(t[2:], 16, 32)
	case strings.HasPrefix(t, "0d") || strings.HasPrefix(t, "0D"):
		v, err = strconv.ParseUint(t[2:], 16, 64)
	case strings.Contains(t, "."):
		var f float64
		f, err = strconv.ParseFloat(t, 32)
		v = uint64(math.Float32bits(float32(f)))
	default:
		v, err = strconv.ParseUint(strings.TrimSuffix(t, "U"), 0, 64)
	}
	if err != nil {
		p.fail("number %q", t)
	}
	if negative {
		v = -v
	}
	return v
}

// directive reads one part of the top level.
func (p *parser) directive() {
	switch t := p.peek(); t {
	case ".version", ".target", ".address_size":
		p.restOfLine(2)
	case ".file":
		p.next()
		number := p.int(1 << 20)
		p.mod.files[number] = strings.Trim(p.next(), `"`)
		p.at--
		p.restOfLine(1)
	case ".section":
		for p.next() != "}" {
		}
	case ".visible", ".extern", ".weak", ".common":
		p.next()
	case ".entry":
		p.next()
		p.kernel()
	case ".global", ".const", ".shared":
		if len(p.mod.vars) >= maxVariables {
			p.fail("more than %d variables", maxVariables)
		}
		p.mod.vars = append(p.mod.vars, p.variable())
	default:
		p.fail("%s is not supported", t)
	}
}

// variable reads ".space .align n .type name[dims] = {…};". A parameter ends at , or ) instead.
func (p *parser) variable() *variable {
	v := &variable{space: p.next()[1:]}
	elem := p.attributes(v)
	v.name, v.size = p.next(), elem
	v.align = max(v.align, elem, 1)
	if v.align&(v.align-1) != 0 {
		p.fail("alignment %d is no power of two", v.align)
	}
	for p.accept("[") {
		if p.peek() == "]" {
			v.size = 0
		} else if v.size *= p.int(maxVariable); v.size > maxVariable {
			p.fail("variable %s has more than %d bytes", v.name, maxVariable)
		}
		p.expect("]")
	}
	if v.space == "param" {
		return v
	}
	if p.accept("=") {
		if p.variableBytes += v.size; p.variableBytes > maxVariable {
			p.fail("the variables have more than %d bytes", maxVariable)
		}
		p.initialiser(v, elem)
	}
	p.expect(";")
	return v
}

// attributes reads alignment and type, and returns the bytes of an element.
func (p *parser) attributes(v *variable) (elem int) {
	for strings.HasPrefix(p.peek(), ".") {
		switch t := p.next(); t {
		case ".align":
			v.align = p.int(1 << 10)
		case ".ptr", ".global", ".shared":
		default:
			bits := typeBits[t[1:]]
			if bits < 8 {
				p.fail("type %s", t)
			}
			elem = bits / 8
		}
	}
	if elem == 0 {
		p.fail("a variable without a type")
	}
	return elem
}

func (p *parser) initialiser(v *variable, elem int) {
	v.init = make([]byte, 0, v.size)
	value := func() {
		if len(v.init)+elem > v.size {
			p.fail("variable %s has more values than its size", v.name)
		}
		v.init = appendLE(v.init, p.number(), elem)
	}
	if !p.accept("{") {
		value()
	} else {
		for !p.accept("}") {
			value()
			p.accept(",")
		}
	}
	v.init = append(v.init, make([]byte, v.size-len(v.init))...)
}

func appendLE(b []byte, v uint64, n int) []byte {
	for i := range n {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}
