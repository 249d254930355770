package score_test

import (
	"math"
	"testing"

	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/score"
	"itool/stages/stagetest"
)

func engine(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func example(t testing.TB, id, answer string, calls int32, part string) schemas.Example {
	t.Helper()
	p := policytest.Open(t, 1)
	ids, err := p.Prompt([]policy.Message{{Role: "user", Content: "call f"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return schemas.Example{
		ID: id, Messages: `[{"role":"user","content":"call f"}]`, Tools: "[]", Reference: answer, PromptIDs: ids,
		AnswerIDs: p.Answer(answer), Template: p.TemplateHash(), Calls: calls, Part: part,
	}
}

func TestScore(t *testing.T) {
	exs := []schemas.Example{example(t, "e1", "[f(a=1)]", 1, "train"), example(t, "e2", "No.", 0, "train")}
	item := stagetest.Item{Policy: policytest.Tiny(1), Batches: []schemas.Batch{stagetest.Batch(t, "b0", exs...)}}
	stagetest.Run(t, score.New(engine(t)), stagetest.Case{Item: item})
	rows := stagetest.Rows[schemas.Score](t, score.New(engine(t)), item)
	seq := policy.Sequence{Prompt: exs[1].PromptIDs, Answer: exs[1].AnswerIDs}
	logps, err := policytest.Open(t, 1).LogProbs(t.Context(), []policy.Sequence{seq})
	if err != nil {
		t.Fatal(err)
	}
	var nll float64
	for _, l := range logps[0] {
		nll -= float64(l)
	}
	want := math.Exp(nll / float64(len(exs[1].AnswerIDs)))
	if len(rows) != 2 || rows[0].ExampleID != "e1" || !rows[0].HasCall || rows[1].HasCall ||
		math.Abs(rows[1].Perplexity-want) > 1e-6*want {
		t.Errorf("got %+v, want perplexity %g for e2", rows, want)
	}
}
