package bfcl

import "itool/schemas/toolcall"

// MaxGraded is the most calls that Grade compares, on either side.
const MaxGraded = 64

// Distance counts how far calls are from the expected ones, in units.
type Distance struct {
	Units  int // of the expectation: 1 for the name of each call, 2 for each argument that must be given
	Faults int // how many units are wrong, missing or superfluous
}

// Grade counts the faults of calls. In a call that stands for a wanted one these are
//
//   - 1 for another tool,
//   - 1 for an argument with a value that Check would refuse,
//   - 2 for an argument that must be given and is not: its name and its value are missing,
//   - 2 for an argument that is not expected.
//
// A right argument that may be left out counts nothing, given or not. A wanted call that no call
// stands for counts all of its units, and so does a call that stands for none. Calls stand for the
// wanted ones in the way that has the fewest faults, so their order does not matter.
//
// Whether a value is right is decided by Check's own comparison, with the types of the wanted tool.
// Grade does not say whether the calls pass: Check has rules beyond single calls and arguments. ok is
// false if a rule names no calls, or if there are more than MaxGraded on a side.
func Grade(calls []toolcall.Call, tools []toolcall.Tool, want Expected, rule Rule) (d Distance, ok bool) {
	if rule == Irrelevance || rule == Relevance || len(want) == 0 || max(len(want), len(calls)) > MaxGraded {
		return d, false
	}
	costs, units := costs(calls, tools, want, rule)
	for i, j := range assignment(costs) {
		d.Faults += costs[i][j]
	}
	d.Units = units
	return d, true
}

// Align returns for each call which wanted one it stands for, in the way that has the fewest faults; −1: for none.
// ok is that of Grade.
func Align(calls []toolcall.Call, tools []toolcall.Tool, want Expected, rule Rule) (stands []int, ok bool) {
	if rule == Irrelevance || rule == Relevance || len(want) == 0 || max(len(want), len(calls)) > MaxGraded {
		return nil, false
	}
	costs, _ := costs(calls, tools, want, rule)
	stands = assignment(costs)[:len(calls)]
	for i, j := range stands {
		if j >= len(want) {
			stands[i] = -1
		}
	}
	return stands, true
}

// costs are the faults of each call, or of none, standing for each wanted one, or for none. units are those of
// all wanted ones.
func costs(calls []toolcall.Call, tools []toolcall.Tool, want Expected, rule Rule) (costs [][]int, units int) {
	n := max(len(calls), len(want))
	costs = make([][]int, n)
	for i := range costs {
		costs[i] = make([]int, n)
	}
	for j := range n {
		var w Single
		if j < len(want) {
			w = want.Single(j, tools, rule)
			units += w.units()
		}
		for i := range n {
			switch {
			case j >= len(want):
				costs[i][j] = 1 + 2*len(calls[i].Args)
			case i >= len(calls):
				costs[i][j] = w.units()
			default:
				costs[i][j] = w.faults(calls[i])
			}
		}
	}
	return costs, units
}

// Single is one wanted call and what its arguments are checked with.
type Single struct {
	want Want
	tool toolcall.Tool
	lang language
}

// Single returns wanted call i, from 0, as Check compares calls with it.
func (e Expected) Single(i int, tools []toolcall.Tool, rule Rule) Single {
	return Single{e[i], toolOf(tools, e[i], rule), languageOf(rule)}
}

// Tool is the name that the call must have.
func (s Single) Tool() string { return s.tool.Name }

// Takes reports whether the call may have an argument of this name.
func (s Single) Takes(name string) bool {
	_, wanted := s.want.arg(name)
	return wanted
}

// Args are the arguments that the call may have, in the order of the expectation, with values as a call writes them:
// of a reference its own, of possible answers BFCL's, in which "" may stand for an argument that is left out and
// each key of a dict has a list.
func (s Single) Args() []Accept {
	if s.want.reference == nil {
		return s.want.Args
	}
	args := make([]Accept, len(s.want.reference.Args))
	for i, a := range s.want.reference.Args {
		args[i] = Accept{Name: a.Name, Values: []toolcall.Value{a.Value}}
	}
	return args
}

// Fits reports whether Check accepts an argument. As for whole calls, the reference's own value is
// right even against the schema of its tool.
func (s Single) Fits(arg toolcall.Arg) bool {
	if s.want.reference != nil {
		only := func(v toolcall.Value) []toolcall.Call {
			return []toolcall.Call{{Args: []toolcall.Arg{{Name: arg.Name, Value: v}}}}
		}
		if v, given := s.want.reference.Arg(arg.Name); given && toolcall.Equal(only(v), only(arg.Value)) {
			return true
		}
	}
	return checkParam(arg, s.tool, s.want, s.lang) == nil
}

// Lacks counts the arguments that are not given: those that must be, and those that may be.
func (s Single) Lacks(given func(name string) bool) (required, optional int) {
	for _, a := range s.want.Args {
		switch {
		case given(a.Name):
		case a.Optional:
			optional++
		default:
			required++
		}
	}
	return required, optional
}

// units are the parts of a wanted call that can be missing.
func (s Single) units() int {
	required, _ := s.Lacks(func(string) bool { return false })
	return 1 + 2*required
}

// faults compares one call with the wanted one.
func (s Single) faults(call toolcall.Call) (n int) {
	if call.Name != s.Tool() {
		n++
	}
	for _, arg := range call.Args {
		if !s.Takes(arg.Name) {
			n += 2
		} else if !s.Fits(arg) {
			n++
		}
	}
	missing, _ := s.Lacks(func(name string) bool { _, given := call.Arg(name); return given })
	return n + 2*missing
}

// assignment gives each row a column of its own, so that the sum of the entries is the least: by the Hungarian
// method with potentials (Kuhn, Munkres), in O(n³). costs is square.
func assignment(costs [][]int) []int {
	n := len(costs)
	// Row and column 0 are none; rowOf[j] is the row that column j is assigned to.
	byRow, byColumn, rowOf := make([]int, n+1), make([]int, n+1), make([]int, n+1)
	for i := 1; i <= n; i++ {
		assign(costs, i, byRow, byColumn, rowOf)
	}
	columns := make([]int, n)
	for j := 1; j <= n; j++ {
		columns[rowOf[j]-1] = j - 1
	}
	return columns
}

// assign gives row i a column: along the cheapest path on which rows change their columns.
func assign(costs [][]int, i int, byRow, byColumn, rowOf []int) {
	const far = int(^uint(0) >> 1)
	n := len(costs)
	least, from, seen := make([]int, n+1), make([]int, n+1), make([]bool, n+1)
	for j := range least {
		least[j] = far
	}
	rowOf[0] = i
	at := 0
	for rowOf[at] != 0 {
		seen[at] = true
		row, step, next := rowOf[at], far, 0
		for j := 1; j <= n; j++ {
			if seen[j] {
				continue
			}
			if c := costs[row-1][j-1] - byRow[row] - byColumn[j]; c < least[j] {
				least[j], from[j] = c, at
			}
			if least[j] < step {
				step, next = least[j], j
			}
		}
		for j := 0; j <= n; j++ {
			if seen[j] {
				byRow[rowOf[j]] += step
				byColumn[j] -= step
			} else if least[j] != far {
				least[j] -= step
			}
		}
		at = next
	}
	for ; at != 0; at = from[at] {
		rowOf[at] = rowOf[from[at]]
	}
}
