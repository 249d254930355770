// Package bfcl is the checker of the Berkeley Function Calling Leaderboard v3: it compares
// tool calls with the expected calls and names the first difference. The rules and their
// order are BFCL's, including its oddities, so that verdicts and error names agree with the
// original checker.
//
// The input is the calls that package toolcall read, the schemas of the tools, and the
// expectation: BFCL's possible answers ([ParseExpected]) or a reference answer ([Reference]).
// The result is nil for a pass, or a [Mismatch] with BFCL's error name and the paper's
// deficiency type. For Java and JavaScript the package also reads the literals of arguments.
//
// The package knows no file and no model. It does not add up scores; see
// stages/evaluate/bfcl. It does not panic on any input. The smallest use:
//
//	calls, err := toolcall.Read(answer)
//	if err != nil { ... }
//	m := bfcl.Check(calls, tools, bfcl.Reference(want), bfcl.RuleFor(want))
package bfcl

import (
	"errors"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/source"
)

// Rule says how calls are compared with the expectation.
type Rule uint8

const (
	Simple           Rule = iota // one call; its tool is the first of the tools
	Multiple                     // as many calls as expected; only the first is checked
	Parallel                     // as many calls as expected, in any order
	Irrelevance                  // no call
	Relevance                    // at least one call
	SimpleJava                   // Simple, with literals of Java
	SimpleJavaScript             // Simple, with literals of JavaScript
)

// RuleOf returns the rule of a BFCL category, such as "live_parallel_multiple".
func RuleOf(category string) Rule {
	switch {
	case strings.Contains(category, "irrelevance"):
		return Irrelevance
	case strings.Contains(category, "relevance"):
		return Relevance
	case strings.Contains(category, "parallel"):
		return Parallel
	case strings.Contains(category, "multiple"):
		return Multiple
	case strings.Contains(category, "javascript"):
		return SimpleJavaScript
	case strings.Contains(category, "java"):
		return SimpleJava
	}
	return Simple
}

// Unanswered reports whether a category of BFCL has no possible answers: what counts is whether there is a call.
func Unanswered(category string) bool {
	return category == "irrelevance" || category == "live_irrelevance" || category == "live_relevance"
}

// RuleFor returns the rule for the calls of a reference answer: Multiple for one (its tool is
// found by name), Parallel for several, Irrelevance for none.
func RuleFor(reference []toolcall.Call) Rule {
	switch len(reference) {
	case 0:
		return Irrelevance
	case 1:
		return Multiple
	}
	return Parallel
}

// Judge decodes a raw answer as BFCL v3 does for the rule and checks it. It is never kinder than the original.
func Judge(raw string, tools []toolcall.Tool, want Expected, rule Rule) *Mismatch {
	return JudgeEdition(raw, tools, want, rule, toolcall.V3)
}

// JudgeStrict passes what both editions of BFCL's reader let pass. It returns the mismatch of v3, or else that of v4.
func JudgeStrict(raw string, tools []toolcall.Tool, want Expected, rule Rule) *Mismatch {
	if m := JudgeEdition(raw, tools, want, rule, toolcall.V3); m != nil {
		return m
	}
	return JudgeEdition(raw, tools, want, rule, toolcall.V4)
}

// JudgeEdition is Judge with the given edition of the reader of Python answers.
func JudgeEdition(raw string, tools []toolcall.Tool, want Expected, rule Rule, edition toolcall.Edition) *Mismatch {
	calls, err := Decode(raw, rule, edition)
	if err == nil {
		return Check(calls, tools, want, rule)
	}
	unsure := errors.Is(err, toolcall.ErrUnsure) || errors.Is(err, source.ErrRefused)
	m := Undecodable(err)
	switch {
	case rule == Irrelevance && !unsure:
		return nil // BFCL: an answer that does not decode has no call
	case rule == Irrelevance:
		m = mismatch(irrelevanceCalled, "", "it may hold a call: %v", err)
	case rule == Relevance:
		m = mismatch(relevanceSilent, "", "%v", err)
	case errors.Is(err, source.ErrNoCall):
		m = mismatch(decoderFormat, "", "%v", err)
	}
	m.Unsure = unsure
	return m
}

// Decode reads a raw answer in the language of the rule. The error is a *toolcall.SyntaxError for Python, for Java and
// JavaScript one of package source.
func Decode(raw string, rule Rule, edition toolcall.Edition) ([]toolcall.Call, error) {
	switch rule {
	case SimpleJava:
		return source.Java(raw)
	case SimpleJavaScript:
		return source.JavaScript(raw)
	}
	return toolcall.DecodeEdition(raw, edition)
}
