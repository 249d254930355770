package update

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

// guard holds the validation examples that both policies answer, and the old policy's
// answers.
type guard struct {
	examples []schemas.Example
	before   answers
	lost     []byte // document of the last comparison, see lostAnswers
}

// answers are greedy and judged, in the order of the guard's examples. The tokens are
// encoded from the text again; they repeat where the text does.
type answers struct {
	verdicts []schemas.Verdict
	tokens   [][]int32
}

func (r *round) ask(ctx context.Context, p *policy.Policy, exs []schemas.Example) (a answers, err error) {
	a.verdicts, err = judge.Greedy(ctx, r.in.Judge, p, exs, r.cfg.GuardTokens)
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if err != nil {
		return a, stages.Reject(fmt.Errorf("update: guard: %w", err))
	}
	for _, v := range a.verdicts {
		a.tokens = append(a.tokens, p.Answer(v.Answer))
	}
	return a, nil
}

// newGuard spreads its examples evenly over the validation examples. If there are none
// the guard is nil, and the row's Detail says so.
func (r *round) newGuard(ctx context.Context) (*guard, error) {
	if r.cfg.GuardPrompts == 0 {
		r.remarks = append(r.remarks, "the guard is switched off (update.guard_prompts)")
		return nil, nil
	}
	exs, err := r.validation()
	if err != nil {
		return nil, err
	}
	exs = judge.Spread(exs, r.cfg.GuardPrompts)
	if len(exs) == 0 {
		r.remarks = append(r.remarks, "the guard was skipped: there are no validation examples")
		return nil, nil
	}
	r.out.Progress(0, r.steps(), "steps", fmt.Sprintf("guard: the old policy answers %d prompts", len(exs)))
	g := &guard{examples: exs}
	if g.before, err = r.ask(ctx, r.old, exs); err != nil {
		return nil, err
	}
	r.metrics["guard_prompts"] = float64(len(exs))
	return g, nil
}

// check asks the new policy and compares. refusal is why the policy is refused, "" if it is
// accepted.
func (g *guard) check(ctx context.Context, r *round, p *policy.Policy) (refusal string, err error) {
	n := len(g.examples)
	r.out.Progress(r.steps(), r.steps(), "steps", fmt.Sprintf("guard: the new policy answers %d prompts", n))
	after, err := r.ask(ctx, p, g.examples)
	if err != nil {
		return "", err
	}
	all := compare(g.before, after)
	for _, c := range all {
		if c.Cases == 0 {
			continue
		}
		n, name := float64(c.Cases), "guard_"+c.Name
		r.metrics[name+"_before"], r.metrics[name+"_after"] = float64(c.Before)/n, float64(c.After)/n
		r.metrics[name+"_p"], r.metrics[name+"_cases"] = c.P, n
	}
	g.lost, err = lostAnswers(g.before, after)
	return r.cfg.refusal(all), err
}

// mostLost is the most lines of the document that lostAnswers writes.
const mostLost = 50

// lostAnswers lists answers that were good before and are not any more, for people: one JSON
// object per line, at most mostLost.
func lostAnswers(before, after answers) ([]byte, error) {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	lines := 0
	for i := range before.verdicts {
		for _, a := range abilities {
			b, x := before.verdicts[i], after.verdicts[i]
			if lines == mostLost || !a.asks(b) || !a.good(b, before.tokens[i]) || a.good(x, after.tokens[i]) {
				continue
			}
			lines++
			err := enc.Encode(struct {
				Example string `json:"example"`
				Lost    string `json:"lost"`
				Before  string `json:"before"`
				After   string `json:"after"`
			}{b.ExampleID, a.name, b.Answer, x.Answer})
			if err != nil {
				return nil, fmt.Errorf("update: guard: %w", err)
			}
		}
	}
	return doc.Bytes(), nil
}

// attachLostAnswers stores the lost answers of the last attempt. It does so once and at the
// end, because what a resumed update attaches must not depend on where it was killed.
func (r *round) attachLostAnswers(ctx context.Context) error {
	if r.guard == nil || len(r.guard.lost) == 0 {
		return nil
	}
	return r.out.Attach(ctx, "guard-lost.jsonl", bytes.NewReader(r.guard.lost))
}
