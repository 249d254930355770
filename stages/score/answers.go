package score

import (
	"context"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

// answer has the policy answer the examples as cfg says, and writes what came of it into
// rows, which belong to the examples one by one. Examples that cannot be asked or judged
// get no answers. What is drawn depends on the task's seed and on the example's place in
// the task, not on who works on it.
func answer(
	ctx context.Context, cfg Config, p *policy.Policy, in stages.Input, out stages.Output,
	exs []schemas.Example, rows []schemas.Score,
) error {
	var asked []schemas.Example
	var places []int
	longest := 0
	for i := range exs {
		if judge.Askable(p, &exs[i]) {
			asked, places = append(asked, exs[i]), append(places, i)
			longest = max(longest, len(exs[i].AnswerIDs))
		}
	}
	if len(asked) == 0 || cfg.Answers() == 0 {
		return nil
	}
	var reqs []policy.Request
	if cfg.Greedy {
		reqs = append(reqs, policy.Request{})
	}
	for d := range cfg.Draws {
		reqs = append(reqs, policy.Request{Temperature: 1, Seed: stages.Seed(in.Header.Seed, "score/draws", d)})
	}
	for r := range reqs {
		reqs[r].MaxTokens = judge.Room(longest)
	}
	out.Progress(0, len(asked), "rows", fmt.Sprintf("each is answered %d times", len(reqs)))
	all, err := judge.AnswerEach(ctx, in.Judge, p, asked, reqs)
	if err != nil {
		return err
	}
	for r, verdicts := range all {
		for n, v := range verdicts {
			row := &rows[places[n]]
			if cfg.Greedy && r == 0 {
				row.Answered, row.ErrorType = true, v.ErrorType
				continue
			}
			if row.Draws++; v.Pass {
				row.Right++
			}
		}
	}
	return nil
}
