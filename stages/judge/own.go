package judge

import (
	"context"
	"fmt"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall/bfcl"
	"itool/stages"
)

// ErrOwn begins the name of a fault that a judge of the user's own found; its reason follows.
const ErrOwn = "judge"

// longestReason bounds the reason in the name of a fault, in bytes: reports count these names.
const longestReason = 120

// Ask asks a judge of the user's own. The error is the judge's; a judge that gives another number of outcomes
// than there are questions is at fault, too.
func Ask(ctx context.Context, own stages.Judge, questions []stages.Question) ([]stages.Outcome, error) {
	said, err := own.Judge(ctx, questions)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if len(said) != len(questions) {
		return nil, fmt.Errorf("judge: %d outcomes for %d answers", len(said), len(questions))
	}
	return said, nil
}

// Overruled is r with what a judge of the user's own says of the answer. How the answer reads, and the type of
// its error if the reference finds one, stay.
func (r Result) Overruled(said stages.Outcome) Result {
	if said.Pass {
		return Result{Pass: true, Parsed: r.Parsed}
	}
	out := Result{Parsed: r.Parsed, ErrorName: ErrOwn, ErrorType: r.ErrorType}
	if r.Pass {
		out.ErrorType = string(bfcl.Other)
	}
	if said.Reason != "" {
		out.ErrorName += ": " + clip(said.Reason)
	}
	return out
}

// overrule writes into the verdicts what a judge of the user's own says of the answers. Answers that ran out of
// length fail, and it is not asked about them: one that happens to be right would teach to stop too late.
func overrule(ctx context.Context, own stages.Judge, exs []schemas.Example, verdicts []schemas.Verdict) error {
	var questions []stages.Question
	var asked []int
	for i, v := range verdicts {
		if v.Cut {
			if v.Pass { // by a benchmark that counts such answers
				verdicts[i].Pass, verdicts[i].ErrorName, verdicts[i].ErrorType = false, ErrCut, string(bfcl.Other)
			}
			continue
		}
		questions = append(questions, stages.Question{Example: &exs[i], Answer: v.Answer})
		asked = append(asked, i)
	}
	if len(asked) == 0 {
		return nil
	}
	said, err := Ask(ctx, own, questions)
	if err != nil {
		return err
	}
	for k, i := range asked {
		v := &verdicts[i]
		r := Result{Pass: v.Pass, Parsed: v.Parsed, ErrorName: v.ErrorName, ErrorType: v.ErrorType}.Overruled(said[k])
		v.Pass, v.ErrorName, v.ErrorType = r.Pass, r.ErrorName, r.ErrorType
	}
	return nil
}

// clip is at most longestReason bytes of a reason, on one line.
func clip(reason string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	if len(reason) <= longestReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:longestReason-len("…")], "") + "…"
}
