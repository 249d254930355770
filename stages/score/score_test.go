package score_test

import (
	"math"
	"slices"
	"testing"

	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/score"
	"itool/stages/stagetest"
)

// TestScore: every example has a score, in order, and the perplexity is that of Eq. 4.
func TestScore(t *testing.T) {
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := policytest.Open(t, 1)
	prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "call f"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exs := []schemas.Example{
		{ID: "e1", PromptIDs: prompt, AnswerIDs: p.Answer("[f(a=1)]"), Template: p.TemplateHash(), Calls: 1},
		{ID: "e2", PromptIDs: prompt, AnswerIDs: p.Answer("No."), Template: p.TemplateHash()},
	}
	item := stagetest.Item{Policy: policytest.Tiny(1), Batches: []schemas.Batch{stagetest.Batch(t, "b0", exs...)}}
	stagetest.Run(t, score.New(engine), stagetest.Case{Item: item})
	rows := stagetest.Rows[schemas.Score](t, score.New(engine), item)
	if len(rows) != len(exs) {
		t.Fatalf("%d scores of %d examples", len(rows), len(exs))
	}
	for i, ex := range exs {
		logps, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: ex.PromptIDs, Answer: ex.AnswerIDs}})
		if err != nil {
			t.Fatal(err)
		}
		var nll float64
		for _, l := range logps[0] {
			nll -= float64(l)
		}
		want := math.Exp(nll / float64(len(ex.AnswerIDs)))
		got := rows[i]
		if got.ExampleID != ex.ID || got.HasCall != (ex.Calls > 0) || math.Abs(got.Perplexity-want) > 1e-6*want {
			t.Errorf("got %+v, want perplexity %g for %s", got, want, ex.ID)
		}
	}
}

// TestProgress: a batch of examples that does not fit into one pass through the model reports each pass.
func TestProgress(t *testing.T) {
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := policytest.Open(t, 1)
	var exs []schemas.Example
	for _, id := range []string{"e1", "e2", "e3"} {
		exs = append(exs, schemas.Example{
			ID: id, PromptIDs: slices.Repeat(p.Answer("f"), policytest.ContextLength/3), AnswerIDs: p.Answer("No."),
			Template: p.TemplateHash(),
		})
	}
	item := stagetest.Item{Policy: policytest.Tiny(1), Batches: []schemas.Batch{stagetest.Batch(t, "b0", exs...)}}
	out, err := stagetest.Process(t.Context(), t, score.New(engine), item)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(out.Steps); n < 2 || out.Steps[n-1] != "3/3 rows: " {
		t.Errorf("progress %q, want several reports that end with 3/3 rows", out.Steps)
	}
}
