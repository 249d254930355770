package judge

import (
	"context"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
)

// Room is how many tokens an answer may have that is compared with a reference of that many
// tokens: slightly more than twice as many. A longer answer is wrong anyway.
func Room(referenceTokens int) int { return 2*referenceTokens + 16 }

// Match answers every example greedily, with Room for the longest reference, and judges the
// answers, in order. own and errors are those of Answer.
func Match(
	ctx context.Context, own stages.Judge, p *policy.Policy, exs []schemas.Example,
) ([]schemas.Verdict, error) {
	longest := 0
	for i := range exs {
		longest = max(longest, len(exs[i].AnswerIDs))
	}
	return Greedy(ctx, own, p, exs, Room(longest))
}

// Passed counts the right answers.
func Passed(verdicts []schemas.Verdict) (n int) {
	for _, v := range verdicts {
		if v.Pass {
			n++
		}
	}
	return n
}
