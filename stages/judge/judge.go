// Package judge says whether an answer is right, and how sure the model is of it.
//
// It is shared by the stages that ask: expand rewards with it, select calibrates
// it, update guards with it, evaluate reports it. It knows examples, answers and
// the engine's door; it keeps nothing.
package judge

import (
	"context"
	"encoding/json"
	"fmt"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/policy"
)

// Result is the outcome of one answer.
type Result struct {
	Pass      bool
	Parsed    bool   // it reads as calls, or is ended prose where prose is wanted
	ErrorName string // the checker's own name of the first fault, "" on a pass
	ErrorType string // the paper's deficiency type (appendix A.1), "" on a pass
}

// Names of the faults that the AST check does not know.
const (
	ErrCut          = "answer:cut"           // ran out of length
	ErrCallUnwanted = "answer:call_unwanted" // the reference holds no call
	ErrEmpty        = "answer:empty"
)

// Examiner judges answers to one example. Making it parses the tools and the
// reference once; a tree asks it hundreds of times.
type Examiner struct {
	tools   []toolcall.Tool
	want    bfcl.Expected
	rule    bfcl.Rule
	hasCall bool
	format  toolcall.Format // that the reference is written in, and the answer must be
}

// NewExaminer reads the example's tools and what counts as right: the possible
// answers of a benchmark if there are any, else the reference. An example that
// cannot be judged is an error naming the field.
func NewExaminer(ex *schemas.Example) (*Examiner, error) {
	tools, err := toolcall.ParseTools(json.RawMessage(ex.Tools))
	if err != nil {
		return nil, fmt.Errorf("example %s: tools: %w", ex.ID, err)
	}
	e := &Examiner{tools: tools, hasCall: ex.Calls > 0, format: toolcall.FormatOf(ex.Reference)}
	if !e.hasCall {
		return e, nil
	}
	if ex.Acceptable != "" {
		if e.want, err = bfcl.ParseExpected(json.RawMessage(ex.Acceptable)); err != nil {
			return nil, fmt.Errorf("example %s: acceptable: %w", ex.ID, err)
		}
		e.rule = bfcl.RuleOf(ex.Category)
		return e, nil
	}
	calls, err := e.format.Read(ex.Reference)
	if err != nil {
		return nil, fmt.Errorf("example %s: reference: %w", ex.ID, err)
	}
	e.want, e.rule = bfcl.Reference(calls), bfcl.RuleFor(calls)
	return e, nil
}

// HasCall reports whether the reference holds a call.
func (e *Examiner) HasCall() bool { return e.hasCall }

// Outcome judges one answer. cut says that it ran out of length, which never
// passes: an unfinished answer that happens to parse would teach to stop late.
func (e *Examiner) Outcome(answer string, cut bool) Result {
	if !e.hasCall {
		return prose(answer, cut)
	}
	calls, err := e.format.Read(answer)
	if err != nil {
		m := bfcl.Undecodable(err)
		return Result{ErrorName: m.Name, ErrorType: string(m.Type)}
	}
	m := bfcl.Check(calls, e.tools, e.want, e.rule)
	switch {
	case m != nil:
		return Result{Parsed: !cut, ErrorName: m.Name, ErrorType: string(m.Type)}
	case cut:
		return Result{ErrorName: ErrCut, ErrorType: string(bfcl.Other)}
	}
	return Result{Pass: true, Parsed: true}
}

// prose judges where no call is wanted: the answer must be ended prose without a
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

// Greedy answers every example greedily and judges the answers, in order.
func Greedy(ctx context.Context, p *policy.Policy, exs []schemas.Example, maxTokens int) ([]schemas.Verdict, error) {
	return Answer(ctx, p, exs, policy.Request{MaxTokens: maxTokens})
}

// Answer draws one answer per example as req says and judges it. Example i draws
// with seed req.Seed + i.
func Answer(ctx context.Context, p *policy.Policy, exs []schemas.Example, req policy.Request) ([]schemas.Verdict, error) {
	prompts := make([][]int32, len(exs))
	for i := range exs {
		prompts[i] = exs[i].PromptIDs
	}
	draws, err := p.Generate(ctx, prompts, req)
	if err != nil {
		return nil, err
	}
	out := make([]schemas.Verdict, len(exs))
	for i := range exs {
		x, err := NewExaminer(&exs[i])
		if err != nil {
			return nil, err
		}
		text := p.Text(draws[i].Tokens)
		r := x.Outcome(text, draws[i].Reason != policy.ReasonEndOfTurn)
		out[i] = schemas.Verdict{
			ExampleID: exs[i].ID, Part: exs[i].Part, Category: exs[i].Category, HasCall: x.hasCall,
			Answer: text, Tokens: int32(len(draws[i].Tokens)), Parsed: r.Parsed, Pass: r.Pass,
			ErrorName: r.ErrorName, ErrorType: r.ErrorType,
			Cut: draws[i].Reason != policy.ReasonEndOfTurn, LogProb: mean(draws[i].LogProbs),
		}
	}
	return out, nil
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
