package report

import (
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages/selection"
)

// addAnswers adds what the policy answered to a selected example; a zero score: nothing.
func (rd *Round) addAnswers(s schemas.Score) {
	if !s.Answered && s.Draws == 0 {
		return
	}
	if rd.Answers == nil {
		rd.Answers = &Answers{Errors: map[string]int{}}
	}
	a := rd.Answers
	a.Draws = max(a.Draws, int(s.Draws))
	switch {
	case s.Draws == 0:
	case s.Right == 0:
		a.Never++
	case s.Right == s.Draws:
		a.Solved++
	default:
		a.Mixed++
	}
	if s.Answered {
		a.Greedy++
		if s.ErrorType != "" {
			a.Errors[s.ErrorType]++
		}
	}
}

func lengthsOf(s schemas.Selection, maxAnswerTokens int) *Lengths {
	if s.Answers <= 0 || s.AnswersCut < 0 || s.AnswersCut > s.Answers { // of another program: no counts
		return nil
	}
	return &Lengths{
		Answers: int(s.Answers), Cut: int(s.AnswersCut), Limit: int(s.AnswersLimit),
		Tokens: int(s.AnswersTokens), ReferenceTokens: int(s.ReferenceTokens),
		Warning: selection.OutOfLength(s, maxAnswerTokens),
	}
}

// textAnswers shows what was selected, if the examples were answered.
func (r *Report) textAnswers(w *printer) {
	rows := [][]string{{"to make", "selected", "some draws right", "none", "all", "greedily wrong"}}
	for _, rd := range r.Rounds {
		a := rd.Answers
		if a == nil {
			continue
		}
		row := []string{PolicyName(rd.Round + 1), fmt.Sprint(rd.Selected), "–", "–", "–", "–"}
		if a.Draws > 0 {
			row[2], row[3], row[4] = fmt.Sprint(a.Mixed), fmt.Sprint(a.Never), fmt.Sprint(a.Solved)
		}
		if a.Greedy > 0 {
			row[5] = orNone(a.wrong())
		}
		rows = append(rows, row)
	}
	w.table("the selected examples, as the policy answered them when they were scored", rows)
}

// String says it in words.
func (a *Answers) String() string {
	var parts []string
	if a.Draws > 0 {
		parts = append(parts, fmt.Sprintf("%d are right in some of %d draws, %d in none, %d in all",
			a.Mixed, a.Draws, a.Never, a.Solved))
	}
	if a.Greedy > 0 {
		parts = append(parts, "greedily wrong: "+orNone(a.wrong()))
	}
	return strings.Join(parts, "; ")
}

// wrong lists the types of errors.
func (a *Answers) wrong() string {
	var out []string
	for _, c := range Counts(a.Errors) {
		out = append(out, fmt.Sprintf("%d %s", c.N, Plain(c.Name)))
	}
	return strings.Join(out, ", ")
}
