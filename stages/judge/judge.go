// Package judge says whether an answer is right, and how sure the model is of it.
//
// An example and an answer go in; a Result, a Verdict or a Reading comes out. What
// can fail is an example whose tools or reference do not parse, and the engine.
//
// The stages that ask a policy share it: expand computes rewards with it, select
// calibrates the self-evaluation, warmup and update measure what training changed, and
// evaluate reports it. askable.go decides which examples can be asked, judge.go
// whether an answer is right, own.go asks a judge of the user's own instead, and
// selfeval.go what the policy itself thinks of it. It stores nothing, and of the
// engine it knows only package policy.
package judge

import (
	"context"
	"encoding/json"
	"fmt"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages"
	"itool/stages/policy"
)

// Result is the outcome of one answer.
type Result struct {
	Pass      bool
	Parsed    bool   // it reads as calls or, where prose is wanted, as complete prose
	ErrorName string // the checker's own name of the first fault, "" on a pass
	ErrorType string // the paper's deficiency type (appendix A.1), "" on a pass
}

// Names of the faults that the AST check does not have.
const (
	ErrCut          = "answer:cut"           // it reached the length limit
	ErrCallUnwanted = "answer:call_unwanted" // it holds a call, the reference does not
	ErrEmpty        = "answer:empty"
)

// Examiner judges answers to one example. NewExaminer parses the tools and the
// reference once, because a tree asks hundreds of times.
type Examiner struct {
	tools   []toolcall.Tool
	want    bfcl.Expected
	rule    bfcl.Rule
	hasCall bool
	format  toolcall.Format // of the reference; the answer must have the same
	words   bool            // the reference begins with words, and calls follow

	benchmark bool // BFCL's own reader reads the answers
	asked     bool // a test row without a reference: nothing is learnt from it
}

// NewExaminer reads the example's tools and what counts as right: a benchmark's
// possible answers if the example has them, else the reference. If the example cannot
// be judged, the error names the field.
func NewExaminer(ex *schemas.Example) (*Examiner, error) {
	tools, err := toolcall.ParseTools(json.RawMessage(ex.Tools))
	if err != nil {
		return nil, fmt.Errorf("example %s: tools: %w", ex.ID, err)
	}
	e := &Examiner{tools: tools, hasCall: ex.Calls > 0, format: toolcall.FormatOf(ex.Reference)}
	e.words = e.hasCall && e.format.BeginsWithWords(ex.Reference)
	asked := ex.Part == schemas.PartTest && ex.Reference == ""
	if !e.hasCall {
		if e.benchmark = bfcl.Unanswered(ex.Category); e.benchmark {
			e.rule, e.asked = bfcl.RuleOf(ex.Category), asked
		}
		return e, nil
	}
	if ex.Acceptable != "" {
		if e.want, err = bfcl.ParseExpected(json.RawMessage(ex.Acceptable)); err != nil {
			return nil, fmt.Errorf("example %s: acceptable: %w", ex.ID, err)
		}
		e.rule, e.benchmark, e.asked = bfcl.RuleOf(ex.Category), true, asked
		return e, nil
	}
	calls, err := e.read(ex.Reference)
	if err != nil {
		return nil, fmt.Errorf("example %s: reference: %w", ex.ID, err)
	}
	e.want, e.rule = bfcl.Reference(calls), bfcl.RuleFor(calls)
	return e, nil
}

// HasCall reports whether the reference holds a call, or a benchmark's row without one wants any.
func (e *Examiner) HasCall() bool { return e.hasCall || e.asked && e.rule == bfcl.Relevance }

// Outcome judges one answer. cut says that it reached the length limit; such an answer
// never passes, because one that happens to parse would teach to stop too late. In a
// benchmark's row without a reference, which teaches nothing, it counts as the benchmark counts it.
func (e *Examiner) Outcome(answer string, cut bool) Result {
	r, _ := e.outcome(answer, cut)
	return r
}

// outcome also returns the calls of an answer that reads as calls.
func (e *Examiner) outcome(answer string, cut bool) (Result, []toolcall.Call) {
	if !e.hasCall && !e.benchmark {
		return prose(answer, cut), nil
	}
	m, calls := e.check(answer)
	switch {
	case m != nil:
		return Result{Parsed: (!cut || e.asked) && !m.Unreadable(), ErrorName: m.Name, ErrorType: string(m.Type)}, calls
	case cut && !e.asked:
		return Result{ErrorName: ErrCut, ErrorType: string(bfcl.Other)}, calls
	}
	return Result{Pass: true, Parsed: true}, calls
}

// check reads an answer and compares it with the expectation. A benchmark's row is read as the benchmark reads it, so
// that no reward is kinder: pythonic answers as every edition of BFCL's reader does; those in JSON by the format, as
// BFCL has a reader for each model that writes it. Where no reference says what the model writes, its answer does.
func (e *Examiner) check(answer string) (*bfcl.Mismatch, []toolcall.Call) {
	if f := toolcall.FormatOf(answer); (e.asked || e.rule == bfcl.Irrelevance) && f != toolcall.Pythonic {
		if calls, err := f.Read(answer); err == nil {
			return bfcl.Check(calls, e.tools, e.want, e.rule), calls
		}
	}
	if e.benchmark && e.format == toolcall.Pythonic {
		calls, _ := bfcl.Decode(answer, e.rule, toolcall.V3) // no calls if there is an error
		return bfcl.JudgeStrict(answer, e.tools, e.want, e.rule), calls
	}
	calls, err := e.read(answer)
	if err != nil {
		return bfcl.Undecodable(err), nil
	}
	return bfcl.Check(calls, e.tools, e.want, e.rule), calls
}

// read reads calls as split reads them from the data, and serve from an answer. Words may stand
// before them.
func (e *Examiner) read(answer string) ([]toolcall.Call, error) {
	if e.benchmark {
		return e.format.Read(answer)
	}
	turn, err := e.format.ReadTurn(answer)
	if err != nil {
		return nil, err
	}
	calls, _, err := toolcall.Bind(turn.Calls, e.tools)
	return calls, err
}

// prose judges an answer where no call is wanted: it must be complete prose without a
// call in it.
func prose(answer string, cut bool) Result {
	switch {
	case cut:
		return Result{ErrorName: ErrCut, ErrorType: string(bfcl.Other)}
	case toolcall.IsProse(answer):
		return Result{Pass: true, Parsed: true}
	case answer == "":
		return Result{ErrorName: ErrEmpty, ErrorType: string(bfcl.Other)}
	}
	_, err := toolcall.FormatOf(answer).Read(answer)
	return Result{Parsed: err == nil, ErrorName: ErrCallUnwanted, ErrorType: string(bfcl.ToolsCount)}
}

// Greedy answers every example greedily and judges the answers, in order. Answers have
// at most maxTokens tokens. own and errors are those of Answer.
func Greedy(
	ctx context.Context, own stages.Judge, p *policy.Policy, exs []schemas.Example, maxTokens int,
) ([]schemas.Verdict, error) {
	return Answer(ctx, own, p, exs, policy.Request{MaxTokens: maxTokens})
}

// Answer draws one answer per example as req says and judges it, in order: AnswerEach with one request.
func Answer(
	ctx context.Context, own stages.Judge, p *policy.Policy, exs []schemas.Example, req policy.Request,
) ([]schemas.Verdict, error) {
	out, err := AnswerEach(ctx, own, p, exs, []policy.Request{req})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// AnswerEach draws one answer per example and request, and judges it: by request, in the order of the examples. Example
// i draws with seed Seed + i of each request. Requests share the prompts, see policy.GenerateEach. own, unless it is
// nil, decides what is right. An error is the engine's, such as policy.ErrTooLong, the judge's, or comes from an
// example that cannot be judged.
func AnswerEach(
	ctx context.Context, own stages.Judge, p *policy.Policy, exs []schemas.Example, reqs []policy.Request,
) ([][]schemas.Verdict, error) {
	prompts, examiners := make([][]int32, len(exs)), make([]*Examiner, len(exs))
	for i := range exs {
		x, err := NewExaminer(&exs[i])
		if err != nil {
			return nil, err
		}
		prompts[i], examiners[i] = exs[i].PromptIDs, x
	}
	draws, err := p.GenerateEach(ctx, prompts, reqs)
	if err != nil {
		return nil, err
	}
	all := make([][]schemas.Verdict, len(reqs))
	for r := range all {
		out := make([]schemas.Verdict, len(exs))
		for i, x := range examiners {
			out[i] = x.verdict(&exs[i], p.Text(draws[r][i].Tokens), &draws[r][i])
		}
		if own != nil {
			if err := overrule(ctx, own, exs, out); err != nil {
				return nil, err
			}
		}
		all[r] = out
	}
	return all, nil
}

// verdict judges what was drawn for an example.
func (e *Examiner) verdict(ex *schemas.Example, text string, d *policy.Draw) schemas.Verdict {
	cut := d.Reason != policy.ReasonEndOfTurn
	r := e.Outcome(text, cut)
	return schemas.Verdict{
		ExampleID: ex.ID, Part: ex.Part, Category: ex.Category, HasCall: e.HasCall(),
		Answer: text, Tokens: int32(len(d.Tokens)), Parsed: r.Parsed, Pass: r.Pass,
		ErrorName: r.ErrorName, ErrorType: r.ErrorType, Cut: cut, LogProb: mean(d.LogProbs),
	}
}

func mean(x []float32) float64 {
	if len(x) == 0 {
		return 0
	}
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
