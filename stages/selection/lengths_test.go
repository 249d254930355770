package selection_test

import (
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/selection"
	"itool/stages/stagetest"
)

// TestLengths: the answers that ran out of length are those of drawing one answer at a
// time, and the longest reference is that of the selected and the asked examples.
func TestLengths(t *testing.T) {
	files := pupil(t)
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var exs []schemas.Example
	for n := range 10 {
		exs = append(exs, question(t, p, n, schemas.PartValidation))
	}
	cfg := small()
	cfg.JudgeExamples, cfg.MaxTokens = 0, 12 // a right answer has 11 tokens and its end
	item := roundOf(t, files, cfg, exs...)
	item.Batches = []schemas.Batch{stagetest.Batch(t, "b0",
		schemas.Score{ExampleID: "e1", Perplexity: 3, Tokens: 40, HasCall: true},
		schemas.Score{ExampleID: "e2", Perplexity: 2, Tokens: 90, HasCall: true},
	)}
	seed := item.Input(t).Header.Seed
	reqs := []policy.Request{{MaxTokens: 12}}
	for _, s := range []uint64{
		stages.Seed(seed, "select/judge", 1),
		stages.Seed(seed, "select/headroom", 1), stages.Seed(seed, "select/headroom", 2),
	} {
		reqs = append(reqs, policy.Request{MaxTokens: 12, Temperature: 1, Seed: s})
	}
	cut := int32(0)
	var tokens []int32
	for _, req := range reqs {
		for i := range exs {
			one := req
			one.Seed += uint64(i)
			v, err := judge.Answer(t.Context(), nil, p, exs[i:i+1], one)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, v[0].Tokens)
			if v[0].Cut {
				cut++
			}
		}
	}
	if cut == 0 || cut == 40 {
		t.Fatalf("%d of 40 answers are cut: this policy tests nothing", cut)
	}
	slices.Sort(tokens)
	for _, r := range stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item) {
		if r.AnswersTokens != tokens[37] { // two of forty may be longer
			t.Errorf("all but one in twenty have %d tokens, want %d of %v", r.AnswersTokens, tokens[37], tokens)
		}
		if r.Answers != 40 || r.AnswersCut != cut || r.AnswersLimit != 12 || r.ReferenceTokens != 40 {
			t.Errorf("got %+v, want %d of 40 answers cut at 12, the longest selected reference 40", r, cut)
		}
	}
	cfg.HeadroomDraws, cfg.SelfEval = 0, "off"
	item.Config = cfg
	r := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)[0]
	if r.Answers != 0 || r.AnswersCut != 0 || r.ReferenceTokens != 40 || selection.OutOfLength(r, 1) != "" {
		t.Errorf("got %+v, want no answers and nothing to say", r)
	}
}

func TestOutOfLength(t *testing.T) {
	for _, c := range []struct {
		name                         string
		answers, cut, limit, longest int32
		search                       int
		has, hasNot                  string
	}{
		{"nothing was asked", 0, 0, 0, 300, 64, "", ""},
		{"one in twenty", 100, 5, 92, 300, 90, "", ""},
		{"longer than the search's limit", 100, 5, 256, 50, 89,
			"of 100 answers to validation examples more than one in twenty have over 89 tokens, at which the search|" +
				"--set expand.max_answer_tokens=116 (", "select.max_tokens="},
		{"longer than the search's limit, with room enough", 100, 5, 256, 30, 89, "does not end its answers", "--set"},
		{"both limits", 866, 217, 96, 120, 96,
			"217 of 866 answers to validation examples ran out of length at 96 tokens (select.max_tokens)|" +
				"the longest reference has 120 tokens, so answers need room for 256|" +
				"--set select.max_tokens=256 --set expand.max_answer_tokens=256|is now 96", ""},
		{"only the calibration's", 100, 50, 96, 120, 256, "--set select.max_tokens=256", "expand.max_answer_tokens="},
		{"only the search's", 100, 50, 256, 120, 96, "--set expand.max_answer_tokens=256", "select.max_tokens="},
		{"room enough", 100, 50, 96, 40, 96, "does not end its answers", "--set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := selection.OutOfLength(schemas.Selection{
				Answers: c.answers, AnswersCut: c.cut, AnswersLimit: c.limit, AnswersTokens: 90,
				ReferenceTokens: c.longest,
			}, c.search)
			for _, part := range strings.Split(c.has, "|") {
				if !strings.Contains(got, part) || c.has == "" && got != "" {
					t.Errorf("got %q, want %q", got, part)
				}
			}
			if c.hasNot != "" && strings.Contains(got, c.hasNot) {
				t.Errorf("got %q, want no %q", got, c.hasNot)
			}
		})
	}
}
