package selection

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"

	"itool/schemas"
	"itool/schemas/toolcall/bfcl"
	"itool/stages"
)

// Values of Config.Order.
const (
	OrderPerplexity = "perplexity"
	OrderRandom     = "random"
	OrderMixed      = "mixed"
	OrderErrors     = "errors"
)

var orders = []string{OrderPerplexity, OrderRandom, OrderMixed, OrderErrors}

// unordered says that nothing tells the examples apart that the order asks for, "" if
// something does.
func unordered(scores []schemas.Score, order string) string {
	for _, s := range scores {
		if order == OrderMixed && s.Draws > 0 || order == OrderErrors && s.Answered {
			return ""
		}
	}
	if len(scores) == 0 || order != OrderMixed && order != OrderErrors {
		return ""
	}
	return "no example has answers, so select.order " + order + " took the hardest first"
}

// arrange sorts examples with calls before those without and, within these strata, by the
// order. The result does not depend on the order that it is given.
func arrange(scores []schemas.Score, order string, seed uint64) {
	slices.SortFunc(scores, func(a, b schemas.Score) int { return cmp.Compare(a.ExampleID, b.ExampleID) })
	switch order {
	case OrderRandom:
		r := rand.New(rand.NewPCG(stages.Seed(seed, "select/order", 0), 0))
		r.Shuffle(len(scores), func(i, j int) { scores[i], scores[j] = scores[j], scores[i] })
	case OrderMixed:
		slices.SortStableFunc(scores, mixedFirst)
	default:
		slices.SortStableFunc(scores, hardestFirst)
	}
	slices.SortStableFunc(scores, func(a, b schemas.Score) int { return -compareBools(a.HasCall, b.HasCall) })
	if order == OrderErrors {
		calls := sort.Search(len(scores), func(i int) bool { return !scores[i].HasCall })
		deal(scores[:calls])
		deal(scores[calls:])
	}
}

func hardestFirst(a, b schemas.Score) int { return cmp.Compare(b.Perplexity, a.Perplexity) }

// mixedFirst begins with the examples that some draws get right and some wrong, the most
// even first and, among equals, the hardest: a search can find both sides of a pair there.
// Then come those that no draw got right, the easiest first, and then those that every
// draw got right, the hardest first: of both the ones that are nearest to mixed. Examples
// without draws, which cannot be asked or judged, are the last.
func mixedFirst(a, b schemas.Score) int {
	kind := kindOf(a)
	if d := cmp.Compare(kind, kindOf(b)); d != 0 {
		return d
	}
	switch kind {
	case mixed:
		return cmp.Or(cmp.Compare(oddness(a), oddness(b)), hardestFirst(a, b))
	case never:
		return hardestFirst(b, a)
	}
	return hardestFirst(a, b)
}

// kind says what draws tell of an example.
type kind int

const (
	mixed  kind = iota // some draws are right, some wrong
	never              // all are wrong
	solved             // all are right
	unasked
)

func kindOf(s schemas.Score) kind {
	switch {
	case s.Draws == 0:
		return unasked
	case s.Right == 0:
		return never
	case s.Right == s.Draws:
		return solved
	}
	return mixed
}

// oddness is how far the right draws are from half of them, as a share.
func oddness(s schemas.Score) float64 {
	d := 2*float64(s.Right)/float64(s.Draws) - 1
	return max(d, -d)
}

// types of errors in the order in which they take turns, the paper's (appendix A.1).
var types = []string{
	string(bfcl.ParameterValue), string(bfcl.ParameterName), string(bfcl.ParameterCount),
	string(bfcl.ToolsCount), string(bfcl.ToolName), string(bfcl.CodeSyntax), string(bfcl.Other),
}

// deal puts the examples with a wrong greedy answer first, one of each type of error in
// turn, until the types run out of examples one by one. Within a type, and behind the
// wrong ones, the order stays.
func deal(stratum []schemas.Score) {
	turn := make(map[string]int, len(stratum)) // by example
	seen := make(map[string]int, len(types))   // examples of a type so far
	for _, s := range stratum {
		t := typeOf(s)
		turn[s.ExampleID] = seen[t]
		seen[t]++
	}
	slices.SortStableFunc(stratum, func(a, b schemas.Score) int {
		wrongA, wrongB := a.ErrorType != "", b.ErrorType != ""
		if !wrongA || !wrongB {
			return -compareBools(wrongA, wrongB)
		}
		return cmp.Or(cmp.Compare(turn[a.ExampleID], turn[b.ExampleID]),
			cmp.Compare(slices.Index(types, typeOf(a)), slices.Index(types, typeOf(b))))
	})
}

// typeOf is the type of an example's error. One that the paper does not have is "other".
func typeOf(s schemas.Score) string {
	if s.ErrorType != "" && !slices.Contains(types, s.ErrorType) {
		return string(bfcl.Other)
	}
	return s.ErrorType
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
