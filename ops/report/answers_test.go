package report_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"itool/ops/report"
	"itool/schemas"
)

// TestAnswers: what was selected is counted by what the policy answered, and answers that
// ran out of length are said with the setting that helps, before a tree was searched.
func TestAnswers(t *testing.T) {
	b := newFixture(t)
	write(b, "run", 0, "run", schemas.Run{Name: run, Dataset: "[]",
		Config: `{"select":{"max_tokens":96},"expand":{"max_answer_tokens":80}}`})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "policy", 0, "policy", schemas.Policy{Status: "trained", Metrics: "{}", Curve: "[]"})
	score := func(id string, right int32, fault string) schemas.Score {
		return schemas.Score{ExampleID: id, Perplexity: 2, Draws: 4, Right: right, Answered: true, ErrorType: fault}
	}
	write(b, "score", 0, "b0", score("e1", 2, "tool name"), score("e2", 0, "tool name"), score("e3", 4, ""),
		score("e4", 1, "code syntax"), score("e5", 3, "other"), schemas.Score{ExampleID: "e6", Perplexity: 2})
	var rows []schemas.Selection
	for _, id := range []string{"e1", "e2", "e3", "e4", "e5", "e6"} {
		rows = append(rows, schemas.Selection{
			ExampleID: id, Selected: id != "e5", JudgeAUC: math.NaN(), JudgeMass: math.NaN(),
			Answers: 866, AnswersCut: 217, AnswersLimit: 96, ReferenceTokens: 120,
		})
	}
	write(b, "selection", 0, "selection", rows...)
	r := gather(b)
	want := &report.Answers{
		Draws: 4, Mixed: 2, Never: 1, Solved: 1, Greedy: 4, Errors: map[string]int{"tool name": 2, "code syntax": 1},
	}
	if got := r.Rounds[0].Answers; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	const warning = "round 1: before the search: 217 of 866 answers to validation examples ran out of length at 96"
	const remedy = "--set select.max_tokens=256 --set expand.max_answer_tokens=256 (the search's limit is now 80)"
	text, html := render(t, r)
	for _, part := range []string{warning, remedy, "greedily wrong", "2 tool name, 1 code syntax"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
	for _, part := range []string{"2 are right in some of 4 draws, 1 in none, 1 in all", "ran out of length"} {
		if !strings.Contains(html, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}
