package selection

import (
	"fmt"
	"slices"
	"strings"

	"itool/schemas"
	"itool/stages/judge"
)

// lengths counts answers that ran out of length.
type lengths struct {
	cut, limit, reference int
	tokens                []int // of each answer
}

// add counts answers.
func (l *lengths) add(verdicts []schemas.Verdict) {
	for _, v := range verdicts {
		l.tokens = append(l.tokens, int(v.Tokens))
		if v.Cut {
			l.cut++
		}
	}
}

// most is a length that at most one answer in twenty exceeds.
func (l lengths) most() int {
	if len(l.tokens) == 0 {
		return 0
	}
	slices.Sort(l.tokens)
	return l.tokens[len(l.tokens)-1-len(l.tokens)/20]
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
	s.Answers, s.AnswersCut = int32(len(l.tokens)), int32(l.cut)
	s.AnswersLimit, s.AnswersTokens, s.ReferenceTokens = int32(l.limit), int32(l.most()), int32(l.reference)
}

// OutOfLength says, from any row of a selection and before its trees are searched, that
// answers run out of length, and which setting helps. It is "" if at most one answer in
// twenty does. maxAnswerTokens is the limit of the search, expand.max_answer_tokens.
//
// The limit that the references need is judge.Room of the longest one: an answer to it that
// is longer still is wrong in any case.
func OutOfLength(s schemas.Selection, maxAnswerTokens int) string {
	var text string
	switch {
	case s.Answers <= 0:
		return ""
	case 20*int64(s.AnswersCut) > int64(s.Answers):
		text = fmt.Sprintf("%d of %d answers to validation examples ran out of length at %d tokens "+
			"(select.max_tokens) and count as wrong", s.AnswersCut, s.Answers, s.AnswersLimit)
	case int(s.AnswersTokens) > maxAnswerTokens:
		text = fmt.Sprintf("of %d answers to validation examples more than one in twenty have over %d tokens, "+
			"at which the search cuts them (expand.max_answer_tokens)", s.Answers, maxAnswerTokens)
	default:
		return ""
	}
	text += fmt.Sprintf("; the longest reference has %d tokens", s.ReferenceTokens)
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
