package filter

import (
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/judge"
)

// This file holds only the rules: no I/O, no context, no tree. A side is one child of
// the branching node.

// Reason says why a pair was dropped; "" means kept. Reports count these texts.
type Reason string

const (
	Kept             Reason = ""
	ForeignPolicy    Reason = "foreign_policy"      // searched with other weights than this round's
	EmptySide        Reason = "empty_side"          // a side has no tokens beyond the common prefix
	OverLength       Reason = "over_length"         // prompt and longer side exceed max_tokens, or a side maxSide
	Similar          Reason = "similar"             // similarity above the bound
	EqualAfterParse  Reason = "equal_after_parsing" // the same text or the same calls, written differently
	SmallQDifference Reason = "small_q_difference"  // below the bound
	Duplicate        Reason = "duplicate"           // another node of this tree gave the same pair
	ChosenLowQ       Reason = "chosen_low_q"        // mode paper: chosen Q below the bound
	RejectedViable   Reason = "rejected_viable"     // mode proven: a terminal under the rejected side passes
	ChosenUnproven   Reason = "chosen_unproven"     // mode proven: no terminal under the chosen side passes
	Undecided        Reason = "undecided"           // mode fragment: neither the reference nor an answer decides
	NoReference      Reason = "no_reference"        // mode fragment: the same, and the tree has no reference to ask
)

// Acceptance modes.
const (
	ModePaper    = "paper"    // by Q alone
	ModeProven   = "proven"   // a terminal under the chosen side passes, none under the rejected one
	ModeFragment = "fragment" // the reference decides between the two fragments, or the pair is proven
)

// maxSide bounds the edit distance, whose cost is the product of both lengths. No
// fragment of a real answer is nearly as long.
const maxSide = 4096 // tokens

// side is one of the two continuations of a branching node.
type side struct {
	tokens   []int32
	text     string
	terminal bool
	q        float64
	passing  int // terminals at or below it that pass
}

// proven reports whether answers below both sides tell them apart.
func proven(chosen, rejected side) bool { return chosen.passing > 0 && rejected.passing == 0 }

// judge applies the rules that all modes share, in the order of the constants above:
// what makes a pair meaningless comes before what makes it weak. path is the answer's
// text up to the node. It also returns the similarity of the whole fragments.
func (c Config) judge(path string, promptTokens int, chosen, rejected side) (Reason, float64) {
	shared := commonPrefix(chosen.tokens, rejected.tokens)
	longer := max(len(chosen.tokens), len(rejected.tokens))
	if longer > maxSide {
		return OverLength, 0
	}
	similarity := similarity(chosen.tokens, rejected.tokens)
	switch {
	case len(chosen.tokens) == shared || len(rejected.tokens) == shared:
		return EmptySide, similarity
	case c.MaxTokens > 0 && promptTokens+longer > c.MaxTokens:
		return OverLength, similarity
	case similarity > c.Similarity:
		return Similar, similarity
	case chosen.terminal == rejected.terminal && equal(path+chosen.text, path+rejected.text):
		return EqualAfterParse, similarity
	}
	return Kept, similarity
}

// accept applies one acceptance mode. kind is what the reference decides, "" for nothing. Q says nothing
// about a pair that it decides: Q is about what came after the fragments.
func (c Config) accept(mode string, kind judge.Kind, chosen, rejected side) Reason {
	if mode == ModeFragment && kind != "" && rejected.passing == 0 {
		return Kept
	}
	switch {
	case chosen.q-rejected.q < c.MinQDifference || chosen.q == rejected.q:
		return SmallQDifference
	case mode == ModePaper && chosen.q < c.MinChosenQ:
		return ChosenLowQ
	case mode == ModePaper || proven(chosen, rejected):
		return Kept
	case rejected.passing > 0:
		return RejectedViable
	case mode == ModeFragment:
		return Undecided
	}
	return ChosenUnproven
}

// other is the acceptance mode that is not in force.
func other(mode string) string {
	if mode == ModeProven {
		return ModePaper
	}
	return ModeProven
}

func commonPrefix(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// similarity is 1 − edit distance ÷ longer length: 1 for equal, 0 when every token
// differs. Two empty sides are equal.
func similarity(a, b []int32) float64 {
	longer := max(len(a), len(b))
	if longer == 0 {
		return 1
	}
	return 1 - float64(distance(a, b))/float64(longer)
}

// distance is Levenshtein's edit distance, computed in one row of memory. A common
// prefix and a common suffix do not change it and are removed first.
func distance(a, b []int32) int {
	n := commonPrefix(a, b)
	a, b = a[n:], b[n:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	row := make([]int, len(b)+1) // distances of a[:i] to every b[:j]
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := 1
			if x == y {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// closings complete an answer that ends with a fragment: a complete answer needs
// nothing, others the end of a list, of a call's object or of its arguments.
var closings = map[toolcall.Format][]string{
	toolcall.Pythonic:  {"", "]", ")]"},
	toolcall.Hermes:    {"", "</tool_call>", "}</tool_call>", "}}</tool_call>"},
	toolcall.LlamaJSON: {"", "}", "}}"},
}

// equal compares two answers, complete or not, up to the end of the two fragments. They
// are equal as text even if their tokens differ, or as calls. As calls both need the same
// closing: "f(a=1," continues with another argument and "f(a=1)" does not, and that
// difference is worth learning, like the one between ending an answer and going on.
func equal(a, b string) bool {
	if a == b {
		return true
	}
	f := toolcall.FormatOf(a)
	if toolcall.FormatOf(b) != f {
		return false
	}
	a, b = strings.TrimRight(a, " \n"), strings.TrimRight(b, " \n")
	if f != toolcall.Pythonic && strings.HasSuffix(a, ",") && strings.HasSuffix(b, ",") {
		a, b = a[:len(a)-1], b[:len(b)-1] // JSON has no comma before a brace
	}
	for _, end := range closings[f] {
		x, errX := parse(f, a+end)
		y, errY := parse(f, b+end)
		if errX == nil && errY == nil {
			return toolcall.Equal(x, y)
		}
	}
	return false
}

func parse(f toolcall.Format, text string) ([]toolcall.Call, error) {
	if f == toolcall.Pythonic {
		return toolcall.Parse(text) // Read would complete what is missing
	}
	return f.Read(text)
}
