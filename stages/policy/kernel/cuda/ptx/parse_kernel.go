package ptx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kernel reads an .entry behind that word.
func (p *parser) kernel() {
	k := &Kernel{Name: p.next(), files: p.mod.files, labels: map[string]int{}, vars: map[string]*variable{},
		constOf: map[uint64]int{}}
	p.k, p.tables, p.file, p.source = k, map[string][]string{}, 0, 0
	for _, v := range p.mod.vars {
		k.vars[v.name] = v
	}
	p.parameters()
	p.bounds()
	names := map[string]int{}
	for i, s := range specials {
		k.regs = append(k.regs, register{s, 32})
		names[s] = i
	}
	p.scopes = []map[string]int{names}
	for first := true; first || len(p.scopes) > 1; first = false {
		p.statement()
	}
	p.resolveTables()
	p.mod.Kernels[k.Name] = k
}

func (p *parser) parameters() {
	if !p.accept("(") {
		return
	}
	for !p.accept(")") {
		if len(p.k.ParamSizes) >= 1<<10 {
			p.fail("more than %d parameters", 1<<10)
		}
		v := p.variable()
		offset := alignUp(p.k.ParamBytes, v.align)
		v.offset = uint64(offset)
		p.k.ParamBytes = offset + v.size
		p.k.ParamSizes, p.k.ParamOffsets = append(p.k.ParamSizes, v.size), append(p.k.ParamOffsets, offset)
		p.k.vars[v.name] = v
		p.accept(",")
	}
}

// bounds reads what stands between the parameters and the body.
func (p *parser) bounds() {
	for p.peek() != "{" {
		switch t := p.next(); t {
		case ".maxntid", ".reqntid":
			p.k.maxThreads = p.int(1024)
			for p.accept(",") {
				p.k.maxThreads *= p.int(1024)
			}
		case ".minnctapersm", ".maxnreg":
			p.int(1 << 10)
		default:
			p.fail("%s is not supported", t)
		}
	}
}

// statement reads a scope's begin or end, a declaration, a label or an instruction.
func (p *parser) statement() {
	switch t := p.peek(); t {
	case "{": // inline assembly opens scopes
		p.next()
		if len(p.scopes) > 100 {
			p.fail("scopes are nested too deeply")
		}
		p.scopes = append(p.scopes, map[string]int{})
	case "}":
		p.next()
		p.scopes = p.scopes[:len(p.scopes)-1]
	case ".reg":
		p.registers()
	case ".shared", ".local":
		p.blockVariable()
	case ".loc":
		p.location()
	case ".pragma":
		for p.next() != ";" {
		}
	default:
		switch {
		case p.at+1 < len(p.tokens) && p.tokens[p.at+1].text == ":":
			p.label()
		case strings.HasPrefix(t, "."):
			p.fail("%s is not supported", t)
		default:
			p.instruction()
		}
	}
}

func (p *parser) registers() {
	p.next()
	t := p.next()
	bits := typeBits[strings.TrimPrefix(t, ".")]
	if bits == 0 || bits > 64 {
		p.fail("registers of type %s", t)
	}
	for {
		name := p.next()
		if p.accept("<") {
			for i := range p.int(maxRegisters) {
				p.register(name+strconv.Itoa(i), bits)
			}
			p.expect(">")
		} else {
			p.register(name, bits)
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
}

func (p *parser) register(name string, bits int) {
	if len(p.k.regs) >= maxRegisters {
		p.fail("more than %d registers", maxRegisters)
	}
	p.scopes[len(p.scopes)-1][name] = len(p.k.regs)
	p.k.regs = append(p.k.regs, register{name, bits})
}

func (p *parser) lookup(name string) (int, bool) {
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if r, ok := p.scopes[i][name]; ok {
			return r, true
		}
	}
	return 0, false
}

func (p *parser) blockVariable() {
	k := p.k
	if len(k.vars) >= maxVariables {
		p.fail("more than %d variables", maxVariables)
	}
	v := p.variable()
	k.vars[v.name] = v
	if v.space == "shared" {
		k.shared = append(k.shared, v)
		return
	}
	v.offset = uint64(alignUp(k.localBytes, v.align))
	if k.localBytes = int(v.offset) + v.size; k.localBytes > maxLocal {
		p.fail("%d bytes of local memory", k.localBytes)
	}
}

// location reads .loc; line 0 stands for none in particular.
func (p *parser) location() {
	words := p.restOfLine(3)
	file, err1 := strconv.Atoi(words[1])
	line, err2 := strconv.Atoi(words[2])
	if err1 != nil || err2 != nil {
		p.fail(".loc without file and line")
	}
	if line > 0 {
		p.file, p.source = file, line
	}
}

func (p *parser) label() {
	name := p.next()
	p.next()
	if !p.accept(".branchtargets") {
		p.k.labels[name] = len(p.k.code)
		return
	}
	for {
		p.tables[name] = append(p.tables[name], p.next())
		if p.accept(";") {
			return
		}
		p.expect(",")
	}
}

func (p *parser) instruction() {
	if len(p.k.code) >= maxCode {
		p.fail("more than %d instructions", maxCode)
	}
	in := &instruction{guard: -1, line: p.line(), file: p.file, source: p.source}
	if p.accept("@") {
		in.guardNot = p.accept("!")
		r, ok := p.lookup(p.next())
		if !ok {
			p.fail("the guard is no register")
		}
		in.guard = r
	}
	in.op = p.next()
	if in.parts = strings.Split(in.op, "."); slices.Contains(in.parts, "") {
		p.fail("a part of the instruction %q is empty", in.op)
	}
	for !p.accept(";") {
		in.args = append(in.args, p.operand(0))
		if p.peek() != ";" {
			p.expect(",")
		}
	}
	p.k.code = append(p.k.code, in)
}

func (p *parser) operand(depth int) operand {
	if depth > maxNesting {
		p.fail("operands are nested too deeply")
	}
	t := p.peek()
	switch {
	case t == "":
		p.fail("the file ends too early")
	case t == "{":
		p.next()
		o := operand{kind: vecOperand}
		for !p.accept("}") {
			o.vec = append(o.vec, p.operand(depth+1))
			p.accept(",")
		}
		return o
	case t == "[":
		p.next()
		o := operand{kind: memOperand, vec: []operand{p.operand(depth + 1)}}
		for p.accept("+") {
			o.off += int64(p.number())
		}
		p.expect("]")
		return o
	case t == "!":
		p.next()
		o := p.operand(depth + 1)
		o.not = true
		return o
	case t == "-" || t[0] >= '0' && t[0] <= '9':
		return operand{kind: immOperand, imm: p.number()}
	}
	o := p.name()
	if p.accept("|") {
		o = operand{kind: pairOperand, vec: []operand{o, p.operand(depth + 1)}}
	}
	return o
}

// name reads a register, variable or label.
func (p *parser) name() operand {
	t := p.next()
	if t == "_" {
		return operand{kind: sinkOperand}
	}
	if r, ok := p.lookup(t); ok {
		return operand{kind: regOperand, reg: r}
	}
	if v, ok := p.k.vars[t]; ok {
		return operand{kind: symOperand, sym: v}
	}
	if t[0] == '%' {
		p.fail("register %s is not declared", t)
	}
	return operand{kind: labelOperand, name: t}
}

// resolveTables turns the labels of jump tables into instructions.
func (p *parser) resolveTables() {
	for _, in := range p.k.code {
		if in.op != "brx.idx" && in.op != "brx.idx.uni" {
			continue
		}
		in.flow = flowJump
		if len(in.args) != 2 || in.args[0].kind != regOperand || len(p.tables[in.args[1].name]) == 0 {
			p.fail("brx.idx of line %d has no table", in.line)
		}
		for _, l := range p.tables[in.args[1].name] {
			t, ok := p.k.labels[l]
			if !ok {
				p.fail("label %s of a jump table is missing", l)
			}
			in.table = append(in.table, t)
		}
	}
}

// link lays out shared memory, resolves labels and finds where branches meet again.
func (k *Kernel) link(m *Module) error {
	var shared []*variable // the module's first: they then lie at the same place in every kernel
	for _, v := range m.vars {
		if v.space == "shared" && v.size > 0 {
			shared = append(shared, v)
		}
	}
	for _, v := range append(shared, k.shared...) {
		v.offset = uint64(alignUp(k.sharedBytes, v.align))
		k.sharedBytes = int(v.offset) + v.size
	}
	for _, in := range k.code {
		switch in.parts[0] {
		case "bra":
			if len(in.args) != 1 {
				return fmt.Errorf("line %d: bra without a label", in.line)
			}
			t, ok := k.labels[in.args[0].name]
			if !ok {
				return fmt.Errorf("line %d: label %q is missing", in.line, in.args[0].name)
			}
			in.flow, in.target = flowBranch, t
		case "ret", "exit":
			in.flow = flowExit
		}
	}
	return k.findReconvergence()
}

// constant gives the register that holds an immediate.
func (k *Kernel) constant(v uint64) int {
	i, ok := k.constOf[v]
	if !ok {
		i = len(k.consts)
		k.constOf[v] = i
		k.consts = append(k.consts, v)
	}
	return len(k.regs) + i
}
