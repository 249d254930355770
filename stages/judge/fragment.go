package judge

import (
	"slices"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

// Kind is what the reference decides between two fragments with the same beginning.
type Kind string

const (
	KindValue     Kind = "value"     // both give the same argument, one with a right value
	KindParameter Kind = "parameter" // one gives an argument that no right call has, the other a right one
	KindTool      Kind = "tool"      // both name a tool, one a wanted one
	KindEnd       Kind = "end"       // one stops too early or goes on too long, where the other does right
	KindCall      Kind = "call"      // one begins a call and the other writes words
)

// Kinds are all kinds.
var Kinds = []Kind{KindValue, KindParameter, KindTool, KindEnd, KindCall}

// Fragment is what a fragment of an answer decides, judged by the reference.
type Fragment []mark

// mark is one decision and its verdict.
type mark struct {
	toolcall.Decision
	verdict verdict
	kind    Kind // of a wrong one
}

type verdict uint8

const (
	open verdict = iota // the reference does not say
	right
	wrong
)

// stop is the end of the turn, which no text shows.
const stop toolcall.DecisionKind = 255

// Fragment judges what an answer decides in the fragment behind the text before. ended says that the
// turn ends there, and that it was not cut.
//
// A decision is right if a right answer can have it there, and wrong if none can. What was wrong before
// does not count: a wrong call stands for none of the wanted ones, and a wrong argument leaves open
// which its call stands for. A comma with nothing left to give is wrong, though a reader forgives it
// before a bracket, and so is an argument that is given again, of which BFCL takes the last.
//
// Some are left open: after words if the reference begins with words, too; after a call of a wrong
// tool, its arguments; all that [toolcall.Format.Decisions] leaves open; and all under BFCL's rules for
// Java and JavaScript, for (ir)relevance, and for more than [bfcl.MaxGraded] calls.
func (e *Examiner) Fragment(before, fragment string, ended bool) Fragment {
	if len(before)+len(fragment) > maxText || !e.decides() {
		return nil
	}
	known := len(e.format.Decisions(before, e.tools))
	all := e.format.Decisions(before+fragment, e.tools)
	r := reading{e: e, text: before + fragment, marks: make(Fragment, 0, len(all)+1)}
	for _, d := range all {
		r.judge(d)
	}
	if ended {
		r.judge(toolcall.Decision{Kind: stop})
	}
	return r.marks[known:]
}

// maxText bounds the text that is read again for every fragment, in bytes.
const maxText = 1 << 16

func (e *Examiner) decides() bool {
	if !e.hasCall {
		return true
	}
	switch e.rule {
	case bfcl.Simple, bfcl.Multiple, bfcl.Parallel:
		return len(e.want) > 0 && len(e.want) <= bfcl.MaxGraded
	}
	return false
}

// Over reports whether the reference prefers fragment a to b, which have the same beginning, and what
// decides: in a everything is right, and at the first difference b is wrong about the same thing.
func (a Fragment) Over(b Fragment) (Kind, bool) {
	if slices.ContainsFunc(a, func(m mark) bool { return m.verdict != right }) {
		return "", false
	}
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case y.verdict == wrong:
			return decider(x, y)
		case y.verdict != right || x.Kind != y.Kind || x.Name != y.Name:
			return "", false
		}
	}
	return "", false
}

// decider is the kind of a difference: a right decision x against a wrong one y. It is none if they are
// not about the same thing.
func decider(x, y mark) (kind Kind, ok bool) {
	switch kind, ok = y.kind, true; kind {
	case KindValue:
		ok = x.Kind == toolcall.Given && x.Name == y.Name
	case KindParameter:
		if x.Kind == toolcall.Closed {
			return KindEnd, true
		}
		ok = x.Kind == toolcall.Given
	case KindTool:
		ok = x.Kind == toolcall.Named
	}
	if !ok {
		return "", false
	}
	return kind, true
}

// reading judges the decisions of an answer one after the other.
type reading struct {
	e     *Examiner
	text  string // of the answer so far
	marks Fragment

	named  int      // calls so far
	stands []int    // the wanted calls that the last call can stand for; none if its tool is wrong
	given  []string // arguments of the last call
	faulty bool     // an argument of the last call is wrong
	closed [][]int  // for each call without faults, the wanted ones that it can stand for
}

func (r *reading) judge(d toolcall.Decision) {
	m := mark{Decision: d}
	if r.e.hasCall {
		m.verdict, m.kind = r.verdict(d)
	} else {
		m.verdict, m.kind = r.withoutCall(d)
	}
	r.marks = append(r.marks, m)
}

// withoutCall is the verdict if the reference has no call. All behind the first call is left open.
func (r *reading) withoutCall(d toolcall.Decision) (verdict, Kind) {
	if r.named > 0 {
		return open, ""
	}
	switch d.Kind {
	case toolcall.Words:
		return right, ""
	case stop: // a single word could have become a call
		return is(r.last() == toolcall.Words || toolcall.IsProse(r.text), KindCall)
	}
	r.named++
	return wrong, KindCall
}

func (r *reading) verdict(d toolcall.Decision) (verdict, Kind) {
	pythonic, want := r.e.format == toolcall.Pythonic, len(r.e.want)
	switch d.Kind {
	case toolcall.Words:
		if r.e.words {
			return open, ""
		}
		return wrong, KindCall
	case toolcall.Named:
		return r.begin(d.Name)
	case toolcall.Given:
		return r.argument(d)
	case toolcall.More:
		return r.more()
	case toolcall.Closed:
		return r.close()
	case toolcall.Again:
		return is(r.named < want, KindEnd)
	case toolcall.Ended:
		if !pythonic {
			return right, "" // another block may follow
		}
		return r.end()
	case toolcall.Beyond:
		return wrong, KindEnd
	case stop:
		if last := r.last(); last == toolcall.Ended {
			return r.end()
		} else if r.named == 0 && (last == toolcall.Words || toolcall.IsProse(r.text)) {
			return wrong, KindCall
		}
	}
	return open, ""
}

func is(fine bool, kind Kind) (verdict, Kind) {
	if fine {
		return right, ""
	}
	return wrong, kind
}

// last is the last decision, stop if there is none.
func (r *reading) last() toolcall.DecisionKind {
	if len(r.marks) == 0 {
		return stop
	}
	return r.marks[len(r.marks)-1].Kind
}

// end is the end of all calls. That there are too many was wrong where the first of them began.
func (r *reading) end() (verdict, Kind) {
	if r.named > len(r.e.want) {
		return open, ""
	}
	return is(r.named == len(r.e.want), KindEnd)
}

// begin begins a call.
func (r *reading) begin(tool string) (verdict, Kind) {
	r.named++
	r.stands, r.given, r.faulty = nil, nil, false
	if r.named > len(r.e.want) {
		return open, ""
	}
	for i := range r.e.want {
		if r.e.single(i).Tool() == tool && r.free(i) {
			r.stands = append(r.stands, i)
		}
	}
	return is(len(r.stands) > 0, KindTool)
}

// free reports whether the calls without faults can stand for wanted ones other than i: Kuhn's
// algorithm for bipartite matching.
func (r *reading) free(i int) bool {
	by := map[int]int{} // wanted call → the call that stands for it
	for c := range r.closed {
		if !r.match(c, by, map[int]bool{i: true}) {
			return false
		}
	}
	return true
}

func (r *reading) match(c int, by map[int]int, tried map[int]bool) bool {
	for _, w := range r.closed[c] {
		if tried[w] {
			continue
		}
		tried[w] = true
		if other, taken := by[w]; !taken || r.match(other, by, tried) {
			by[w] = c
			return true
		}
	}
	return false
}

// argument judges one argument of the last call.
func (r *reading) argument(d toolcall.Decision) (verdict, Kind) {
	if len(r.stands) == 0 {
		return open, ""
	}
	takes := r.which(func(s bfcl.Single) bool { return s.Takes(d.Name) })
	if len(takes) == 0 || slices.Contains(r.given, d.Name) {
		r.faulty = true
		return wrong, KindParameter
	}
	r.given, r.stands = append(r.given, d.Name), takes
	args := r.e.argument(d)
	fits := r.which(func(s bfcl.Single) bool {
		return len(args) > 0 && !slices.ContainsFunc(args, func(a toolcall.Arg) bool { return !s.Fits(a) })
	})
	if len(fits) == 0 {
		r.faulty = true
		return wrong, KindValue
	}
	r.stands = fits
	return right, ""
}

// which are the wanted calls that the last call can stand for and that have a property.
func (r *reading) which(has func(bfcl.Single) bool) (some []int) {
	for _, i := range r.stands {
		if has(r.e.single(i)) {
			some = append(some, i)
		}
	}
	return some
}

func (r *reading) isGiven(name string) bool { return slices.Contains(r.given, name) }

func (r *reading) more() (verdict, Kind) {
	if len(r.stands) == 0 {
		return open, ""
	}
	return is(len(r.which(func(s bfcl.Single) bool {
		required, optional := s.Lacks(r.isGiven)
		return required+optional > 0
	})) > 0, KindEnd)
}

func (r *reading) close() (verdict, Kind) {
	if len(r.stands) == 0 {
		return open, ""
	}
	complete := r.which(func(s bfcl.Single) bool {
		required, _ := s.Lacks(r.isGiven)
		return required == 0
	})
	if len(complete) > 0 && !r.faulty {
		r.closed = append(r.closed, complete)
	}
	return is(len(complete) > 0, KindEnd)
}

func (e *Examiner) single(i int) bfcl.Single { return e.want.Single(i, e.tools, e.rule) }

// argument reads an argument as the only one of a call, as whole answers are read: once, or with every
// edition of a benchmark's reader, and none if one of these cannot read it.
func (e *Examiner) argument(d toolcall.Decision) (args []toolcall.Arg) {
	before, behind := "[f(", ")]"
	switch e.format {
	case toolcall.Hermes:
		before, behind = `<tool_call>{"name": "f", "arguments": {`, "}}</tool_call>"
	case toolcall.LlamaJSON:
		before, behind = `{"name": "f", "parameters": {`, "}}"
	}
	text := before + d.Text + behind
	readers := []func() ([]toolcall.Call, error){func() ([]toolcall.Call, error) { return e.read(text) }}
	if e.benchmark && e.format == toolcall.Pythonic {
		readers = nil
		for _, edition := range []toolcall.Edition{toolcall.V3, toolcall.V4} {
			readers = append(readers, func() ([]toolcall.Call, error) { return bfcl.Decode(text, e.rule, edition) })
		}
	}
	for _, read := range readers {
		calls, err := read()
		if err != nil || len(calls) != 1 || len(calls[0].Args) != 1 || calls[0].Args[0].Name != d.Name {
			return nil
		}
		args = append(args, calls[0].Args[0])
	}
	return args
}
