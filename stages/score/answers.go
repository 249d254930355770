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
	req := policy.Request{MaxTokens: judge.Room(longest)}
	if cfg.Greedy {
		out.Progress(0, cfg.Answers(), "draws", fmt.Sprintf("%d examples answered greedily", len(asked)))
		verdicts, err := judge.Answer(ctx, in.Judge, p, asked, req)
		if err != nil {
			return err
		}
		for n, v := range verdicts {
			row := &rows[places[n]]
			row.Answered, row.ErrorType = true, v.ErrorType
		}
	}
	req.Temperature = 1
	for d := range cfg.Draws {
		out.Progress(cfg.Answers()-cfg.Draws+d, cfg.Answers(), "draws", fmt.Sprintf("%d examples answered", len(asked)))
		req.Seed = stages.Seed(in.Header.Seed, "score/draws", d)
		verdicts, err := judge.Answer(ctx, in.Judge, p, asked, req)
		if err != nil {
			return err
		}
		for n, v := range verdicts {
			row := &rows[places[n]]
			if row.Draws++; v.Pass {
				row.Right++
			}
		}
	}
	return nil
}
