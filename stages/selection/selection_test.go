package selection_test

import (
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/selection"
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

func TestRank(t *testing.T) {
	var scores []schemas.Score
	for i := range 20 {
		id := string(rune('a' + i))
		scores = append(scores, schemas.Score{ExampleID: id, Perplexity: float64(i % 10), HasCall: i < 15})
	}
	base := selection.Default()
	for name, c := range map[string]struct {
		change func(*selection.Config)
		want   string // the selected examples, in order
	}{
		"a tenth of each stratum": {func(*selection.Config) {}, "jit"},
		"three tenths, rounded":   {func(c *selection.Config) { c.Ratio = 0.3 }, "jihgfts"},
		"ties go to the lower ID": {func(c *selection.Config) { c.Ratio = 0.7 }, "jihgfeodncmtsrq"},
		"a limit, rounded down":   {func(c *selection.Config) { c.Ratio, c.MaxTrees = 1, 10 }, "jihgfeots"},
		"a limit on the trees":    {func(c *selection.Config) { c.Ratio, c.MaxTrees = 1, 4 }, "jiht"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			c.change(&cfg)
			var got string
			rows := selection.Rank(scores, cfg, 1)
			for _, r := range rows {
				if r.Selected {
					got += r.ExampleID
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if len(rows) != len(scores) {
				t.Errorf("%d of %d examples have a row", len(rows), len(scores))
			}
		})
	}
	t.Run("random order differs by seed and not by input order", func(t *testing.T) {
		cfg := base
		cfg.Order = "random"
		a := selection.Rank(scores, cfg, 1)
		slices.Reverse(scores)
		if b := selection.Rank(scores, cfg, 1); !slices.Equal(a, b) {
			t.Error("the order of the scores matters")
		}
		if c := selection.Rank(scores, cfg, 2); slices.Equal(a, c) {
			t.Error("the seed does not matter")
		}
	})
}

func TestCalibratesTheSelfEvaluation(t *testing.T) {
	e := engine(t)
	cfg := selection.Default()
	cfg.MaxTokens = 12
	item := stagetest.Item{
		Policy: policytest.Tiny(1), Config: cfg,
		Batches: []schemas.Batch{
			stagetest.Batch(t, "b0", schemas.Score{ExampleID: "e1", Perplexity: 3, HasCall: true}),
		},
		Rounds: []stagetest.Round{{Record: "example", Batches: []schemas.Batch{stagetest.Batch(t, "s0",
			example(t, "v1", "[f(a=1)]", 1, schemas.PartValidation), example(t, "t1", "No.", 0, schemas.PartTrain))}}},
	}
	stagetest.Run(t, selection.New(e), stagetest.Case{Item: item})
	rows := stagetest.Rows[schemas.Selection](t, selection.New(e), item)
	// Noise puts about 4/256 of its probability on four letters.
	if len(rows) != 1 || rows[0].JudgeWeight != 0 || rows[0].JudgeReason == "" ||
		!(rows[0].JudgeMass > 0 && rows[0].JudgeMass < 0.2) {
		t.Errorf("got %+v, want a self-evaluation that does not count, with its mass and reason", rows)
	}
	cfg.SelfEvalReference = false
	item.Config = cfg
	blind := stagetest.Rows[schemas.Selection](t, selection.New(e), item)
	if blind[0].JudgeMass == rows[0].JudgeMass {
		t.Error("the prompt without the reference is calibrated as the one with it")
	}
	// An answer whose judging prompt does not fit is counted.
	long := example(t, "v2", "[f(a=1)]", 1, schemas.PartValidation)
	long.PromptIDs = slices.Repeat(long.PromptIDs[:1], policytest.ContextLength-20)
	long.Messages = `[{"role":"user","content":"` + strings.Repeat("f", policytest.ContextLength-20) + `"}]`
	item.Rounds[0].Batches = []schemas.Batch{
		stagetest.Batch(t, "s0", example(t, "v1", "[f(a=1)]", 1, schemas.PartValidation), long),
	}
	counted := stagetest.Rows[schemas.Selection](t, selection.New(e), item)
	if want := "2 of 4 answers leave no room for the judging prompt"; !strings.Contains(counted[0].JudgeReason, want) {
		t.Errorf("reason %q, want %q", counted[0].JudgeReason, want)
	}
}
