package selection

import (
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages/judge"
)

// lengths counts answers that ran out of length.
type lengths struct{ answers, cut, limit, reference int }

// add counts answers.
func (l *lengths) add(verdicts []schemas.Verdict) {
	l.answers += len(verdicts)
	for _, v := range verdicts {
		if v.Cut {
			l.cut++
		}
	}
}

// longest raises the longest reference to that of the selected examples.
func (l *lengths) longest(scores []schemas.Score, rows []schemas.Selection) {
	selected := map[string]bool{}
	for _, r := range rows {
		selected[r.ExampleID] = r.Selected
	}
	for _, s := range scores {
		if selected[s.ExampleID] {
			l.reference = max(l.reference, int(s.Tokens))
		}
	}
}

// writeTo writes the counts into a row.
func (l lengths) writeTo(s *schemas.Selection) {
	s.Answers, s.AnswersCut = int32(l.answers), int32(l.cut)
	s.AnswersLimit, s.ReferenceTokens = int32(l.limit), int32(l.reference)
}

// OutOfLength says, from any row of a selection and before its trees are searched, that
// answers run out of length, and which setting helps. It is "" if at most one answer in
// twenty did. maxAnswerTokens is the limit of the search, expand.max_answer_tokens.
//
// The limit that the references need is judge.Room of the longest one: an answer to it that
// is longer still is wrong in any case.
func OutOfLength(s schemas.Selection, maxAnswerTokens int) string {
	if 20*int64(s.AnswersCut) <= int64(s.Answers) || s.Answers <= 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d answers to validation examples ran out of length at %d tokens (select.max_tokens) "+
		"and count as wrong; the longest reference has %d tokens",
		s.AnswersCut, s.Answers, s.AnswersLimit, s.ReferenceTokens)
	need := judge.Room(int(s.ReferenceTokens))
	var raise []string
	if int(s.AnswersLimit) < need {
		raise = append(raise, fmt.Sprintf("select.max_tokens=%d", need))
	}
	if maxAnswerTokens < need {
		raise = append(raise, fmt.Sprintf("expand.max_answer_tokens=%d", need))
	}
	if len(raise) == 0 {
		return text + ", so there was room enough: the policy does not end its answers. A higher limit would not " +
			"help, a longer warm-up may (warmup.epochs)"
	}
	return fmt.Sprintf("%s, so answers need room for %d. In a new run: --set %s (the search's limit is now %d)",
		text, need, strings.Join(raise, " --set "), maxAnswerTokens)
}
