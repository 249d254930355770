package pattern

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"itool/stages/policy/tokenizer/codepoint"
)

// set is a set of code points: ranges in order that do not touch.
type set []codepoint.Range

var (
	anyRune = set{{Lo: 0, Hi: unicode.MaxRune}}
	wordSet = codepoint.Word
)

func single(r rune) set { return set{{Lo: r, Hi: r}} }

func (s set) negated() set {
	var all set
	from := rune(0)
	for _, r := range s {
		if from < r.Lo {
			all = append(all, codepoint.Range{Lo: from, Hi: r.Lo - 1})
		}
		from = r.Hi + 1
	}
	if from <= unicode.MaxRune {
		all = append(all, codepoint.Range{Lo: from, Hi: unicode.MaxRune})
	}
	return all
}

// merged is the set of ranges in any order.
func merged(ranges []codepoint.Range) set {
	slices.SortFunc(ranges, func(a, b codepoint.Range) int { return int(a.Lo) - int(b.Lo) })
	var all set
	for _, r := range ranges {
		if n := len(all); n > 0 && r.Lo <= all[n-1].Hi+1 {
			all[n-1].Hi = max(all[n-1].Hi, r.Hi)
		} else {
			all = append(all, r)
		}
	}
	return all
}

func (s set) and(other set) set {
	return merged(slices.Concat(s.negated(), other.negated())).negated()
}

// classSet is the set of classes of code points.
func (p *parser) classSet(c codepoint.Set) set {
	if _, ok := p.known[c]; !ok {
		p.known[c] = c.Ranges()
	}
	return p.known[c]
}

// folded adds the other case to a set within (?i: ). In ASCII that is the other case and, for k and s, one
// letter more. Beyond ASCII one letter can stand for several, which is not supported.
func (p *parser) folded(at int, s set) set {
	all := slices.Clone(s)
	for _, r := range s {
		if r.Hi >= unicode.MaxASCII {
			p.fail(at, "(?i: ) is supported for ASCII characters only")
		}
		for c := r.Lo; c <= r.Hi; c++ {
			for other := unicode.SimpleFold(c); other != c; other = unicode.SimpleFold(other) {
				all = append(all, codepoint.Range{Lo: other, Hi: other})
			}
		}
	}
	return merged(all)
}

// brackets reads [ ] with all that stands in it.
func (p *parser) brackets() set {
	at := p.at
	p.at++
	p.enter()
	negate := p.accept("^")
	var all set // what the parts before && have in common
	var ranges []codepoint.Range
	some, first := false, true
	for first || !p.peek("]") {
		if p.at == len(p.expr) {
			p.fail(at, "a [ without its ]")
		}
		if first && p.peek("]") {
			p.fail(p.at, "a ] that is meant itself is written \\]")
		}
		first = false
		if p.peek("&&") {
			all, some = p.common(all, some, ranges), true
			ranges = nil
			p.at += 2
			continue
		}
		ranges = append(ranges, p.member()...)
	}
	s := p.common(all, some, ranges)
	p.at++
	p.depth--
	if p.fold {
		if negate || some {
			p.fail(at, "[^ ] and && within (?i: ) are not supported")
		}
		s = p.folded(at, s)
	}
	if negate {
		s = s.negated()
	}
	if len(s) == 0 { // within another bracket Oniguruma does not read it as nothing
		p.fail(at, "a bracket that matches no character")
	}
	return s
}

// common intersects the ranges with the parts before an &&, if there are some.
func (p *parser) common(all set, some bool, ranges []codepoint.Range) set {
	switch {
	case len(ranges) == 0:
		p.fail(p.at, "nothing beside && in brackets")
	case some:
		return all.and(merged(ranges))
	}
	return merged(ranges)
}

// member reads one part of a bracket: a character, a range, an escape, or a bracket within it.
func (p *parser) member() set {
	at := p.at
	switch {
	case p.peek("[:"):
		p.fail(at, "[: :] is not supported")
	case p.peek("["):
		return p.brackets()
	}
	lo, ok := p.character()
	if !ok {
		s := p.escape(true)
		if p.peek("-") && !p.peek("-]") {
			p.fail(p.at, "a - that is meant itself is written \\-")
		}
		return s
	}
	if lo == '-' && p.expr[at] == '-' { // itself, at the beginning and at the end
		if last := p.expr[at-1]; !p.peek("]") && (last != '[' && (last != '^' || p.expr[at-2] != '[')) {
			p.fail(at, "a - that is meant itself is written \\-")
		}
		if p.peek("-") {
			p.fail(at, "a - that is meant itself is written \\-")
		}
		return single('-')
	}
	if !p.peek("-") || p.peek("-]") {
		return single(lo)
	}
	p.at++
	end := p.at
	hi, ok := p.character()
	switch {
	case !ok || p.expr[end] == '-' || p.expr[end] == '[':
		p.fail(end, "a range that does not end with a character")
	case hi < lo:
		p.fail(at, "a range whose end is before its beginning")
	case p.peek("-") && !p.peek("-]"):
		p.fail(p.at, "a - that is meant itself is written \\-")
	}
	return set{{Lo: lo, Hi: hi}}
}

// character reads a character of a bracket; ok is false if it is an escape for several.
func (p *parser) character() (r rune, ok bool) {
	at := p.at
	if at == len(p.expr) {
		p.fail(at, "a [ without its ]")
	}
	if !p.peek(`\`) {
		return p.rune(), true
	}
	if s := p.escape(true); len(s) == 1 && s[0].Lo == s[0].Hi {
		return s[0].Lo, true
	}
	p.at = at
	return 0, false
}

// escape reads a \ and what it stands for. \w has fewer members in brackets.
func (p *parser) escape(brackets bool) set {
	at := p.at
	p.at++
	if p.at == len(p.expr) {
		p.fail(at, `a \ at the end`)
	}
	var classes codepoint.Set
	r := p.rune()
	switch r {
	case 't', 'n', 'v', 'f', 'r', 'a', 'e':
		return p.foldedIf(at, single(map[rune]rune{
			't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'a': '\a', 'e': 0x1B}[r]))
	case 'x', 'u':
		return p.foldedIf(at, single(p.hex(at, r)))
	case 'p', 'P':
		return p.property(at, r == 'P')
	case 's', 'S':
		classes = codepoint.Space
	case 'd', 'D':
		classes = codepoint.Of(codepoint.Nd)
	case 'w', 'W':
		classes = wordSet
		if brackets {
			classes = codepoint.WordInBrackets
		}
	default:
		if r < 0x80 && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9') || r < 0x20 {
			p.fail(at, `\%c is not supported`, r)
		}
		return p.foldedIf(at, single(r))
	}
	if p.fold {
		p.fail(at, `\%c within (?i: ) is not supported`, r)
	}
	if r|0x20 != r { // \S, \D, \W
		return p.classSet(classes).negated()
	}
	return p.classSet(classes)
}

// foldedIf is s, with the other case within (?i: ). In brackets the bracket does that.
func (p *parser) foldedIf(at int, s set) set {
	if p.fold {
		return p.folded(at, s)
	}
	return s
}

// hex reads the number of \xHH, \x{H…} or \uHHHH.
func (p *parser) hex(at int, kind rune) rune {
	var digits string
	if kind == 'x' && p.accept("{") {
		var closed bool
		if digits, _, closed = strings.Cut(p.expr[p.at:], "}"); !closed {
			p.fail(at, `\x{ without its }`)
		}
		p.at += len(digits) + 1
	} else {
		n := map[rune]int{'x': 2, 'u': 4}[kind]
		digits = p.expr[p.at:min(len(p.expr), p.at+n)]
		p.at += len(digits)
		if len(digits) != n {
			digits = ""
		}
	}
	r, err := strconv.ParseUint(digits, 16, 32)
	switch {
	case err != nil || r > unicode.MaxRune || r >= 0xD800 && r <= 0xDFFF:
		p.fail(at, `\%c%s is no code point in hexadecimal digits`, kind, digits)
	case kind == 'x' && len(digits) == 2 && r >= 0x80 && p.expr[p.at-1] != '}':
		p.fail(at, `\x%s is a byte, not a character: write \u00%s`, digits, digits)
	}
	return rune(r)
}

// property reads the name of \p{…}: a general category or a script.
func (p *parser) property(at int, negate bool) set {
	name, _, closed := strings.Cut(p.expr[p.at:], "}")
	if !closed || !strings.HasPrefix(name, "{") {
		p.fail(at, `\p without a name in { }`)
	}
	p.at += len(name) + 1
	name = name[1:]
	if strings.HasPrefix(name, "^") {
		negate, name = !negate, name[1:]
	}
	if p.fold {
		p.fail(at, `\p{ } within (?i: ) is not supported`)
	}
	var s set
	if classes, ok := codepoint.Category(name); ok {
		s = p.classSet(classes)
	} else if ranges, ok := codepoint.Script(name); ok {
		s = ranges
	} else {
		p.fail(at, `\p{%s} is not supported: general categories in their short form and scripts are`,
			name[:min(len(name), 40)])
	}
	if negate {
		return s.negated()
	}
	return s
}
