package pretrain

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"itool/ops/synth"
	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/stages/judge"
	"itool/stages/policy"
)

// Exam is the result of a base on requests that it was not trained on.
type Exam struct {
	Recall       float64 `json:"recall"` // share of unseen three-token values recalled from a list
	Rows         int     `json:"rows"`
	CallRows     int     `json:"call_rows"`      // rows whose right answer contains calls
	Parsed       float64 `json:"parsed"`         // share of CallRows whose greedy answer can be read as calls
	Exact        float64 `json:"exact"`          // share of CallRows whose greedy answer passes
	PassAt4      float64 `json:"pass_at_4"`      // share of CallRows where one of four draws at temperature 1 passes
	Prose        float64 `json:"prose"`          // share of the other rows whose greedy answer is prose
	TokensPerSec float64 `json:"tokens_per_sec"` // greedy decoding; the time includes the prompts
	Samples      []Shown `json:"samples"`        // the first few
}

// Shown is one greedy answer.
type Shown struct {
	Request string `json:"request"`
	Want    string `json:"want"`
	Got     string `json:"got"`
}

// maxAnswer is more than the number of tokens of any answer of synth.
const maxAnswer = 160

// Examine lets p answer the rows: once greedily, and four times with random draws. clock is
// only used to measure the speed.
func Examine(
	ctx context.Context, p *policy.Policy, rows []synth.Row, seed uint64, clock func() time.Time,
) (Exam, error) {
	exs := make([]schemas.Example, len(rows))
	for i, row := range rows {
		var err error
		if exs[i], err = example(p, row, i); err != nil {
			return Exam{}, err
		}
	}
	start := clock()
	greedy, err := judge.Greedy(ctx, nil, p, exs, maxAnswer)
	if err != nil {
		return Exam{}, err
	}
	seconds := clock().Sub(start).Seconds()
	passed := make([]bool, len(exs))
	for d := range uint64(4) {
		req := policy.Request{Temperature: 1, MaxTokens: maxAnswer, Seed: seed + d<<32}
		vs, err := judge.Answer(ctx, nil, p, exs, req)
		if err != nil {
			return Exam{}, err
		}
		for i, v := range vs {
			passed[i] = passed[i] || v.Pass
		}
	}
	e := Exam{Rows: len(exs)}
	tokens := 0
	for i, v := range greedy {
		tokens += int(v.Tokens)
		if !v.HasCall {
			e.Prose += count(v.Pass)
			continue
		}
		e.CallRows++
		e.Parsed += count(v.Parsed)
		e.Exact += count(v.Pass)
		e.PassAt4 += count(passed[i])
	}
	for _, share := range []*float64{&e.Parsed, &e.Exact, &e.PassAt4} {
		*share /= float64(max(1, e.CallRows))
	}
	e.Prose /= float64(max(1, e.Rows-e.CallRows))
	e.TokensPerSec = float64(tokens) / max(seconds, 1e-9)
	for i := range min(8, len(rows)) {
		e.Samples = append(e.Samples, Shown{rows[i].Request(), rows[i].Answer(), greedy[i].Answer})
	}
	return e, nil
}

func count(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func example(p *policy.Policy, row synth.Row, i int) (schemas.Example, error) {
	ids, err := p.Prompt([]policy.Message{{Role: "user", Content: row.Request()}}, row.Tools)
	if err != nil {
		return schemas.Example{}, err
	}
	messages, err := json.Marshal(row.Messages[:1])
	if err != nil {
		return schemas.Example{}, err
	}
	calls, err := toolcall.Read(row.Answer())
	if err != nil {
		calls = nil // a refusal
	}
	return schemas.Example{
		ID: fmt.Sprint(i), Messages: string(messages), Tools: string(row.Tools), Reference: row.Answer(),
		PromptIDs: ids, AnswerIDs: p.Answer(row.Answer()), Calls: int32(len(calls)),
	}, nil
}
