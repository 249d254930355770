package score_test

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
	"itool/stages/score"
	"itool/stages/stagetest"
)

const tools = `[{"name":"f","parameters":{"type":"object","properties":{
	"a":{"type":"string"},"b":{"type":"integer"}},"required":["a"]}}]`

// question asks for a call of f with a letter; n decides which.
func question(t testing.TB, p *policy.Policy, n int) schemas.Example {
	t.Helper()
	letter := string(rune('A' + n%10))
	ids, err := p.Prompt([]policy.Message{{Role: "user", Content: letter}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := "[f(a='" + letter + "')]"
	return schemas.Example{
		ID: fmt.Sprintf("e%03d", n), Tools: tools, Reference: answer, Calls: 1,
		PromptIDs: ids, AnswerIDs: p.Answer(answer), Template: p.TemplateHash(),
	}
}

// pupil is a tiny policy that learned some letters rightly, and some of them wrongly more
// often than rightly.
func pupil(t testing.TB) fs.FS {
	t.Helper()
	p := policytest.Open(t, 1)
	phase := train.Phase{Name: "school", Epochs: 80, Rate: 0.02, BatchSize: 8, Shuffle: true}
	for n := range 8 {
		ex := question(t, p, n)
		phase.Examples = append(phase.Examples, train.Example{ID: ex.ID, Prompt: ex.PromptIDs, Answer: ex.AnswerIDs})
		if n%3 == 0 {
			wrong := train.Example{ID: ex.ID + "-wrong", Prompt: ex.PromptIDs, Answer: p.Answer("[f(a='Z')]")}
			phase.Examples = append(phase.Examples, wrong, wrong)
		}
	}
	tr, err := train.New(p.Model(), train.Default(), []train.Phase{phase})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = tr.Step(t.Context())
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	files := policytest.Tiny(1).(fstest.MapFS)
	if err := tr.Adapter(false).Save(stagetest.Create(files)); err != nil {
		t.Fatal(err)
	}
	return files
}

func newStage(t testing.TB) stages.Stage {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return score.New(engine)
}

// TestAnswers: the counts are those of answers that are drawn and judged one at a time. An
// example that cannot be judged gets a perplexity and no answers.
func TestAnswers(t *testing.T) {
	files := pupil(t)
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var exs []schemas.Example
	for n := range 10 {
		exs = append(exs, question(t, p, n))
	}
	broken := question(t, p, 0)
	broken.ID, broken.Tools = "e005-broken", "7"
	batch := slices.Insert(slices.Clone(exs), 5, broken)
	cfg := score.Config{Arguments: score.Canonical, Greedy: true, Draws: 3}
	item := stagetest.Item{Policy: files, Config: cfg, Batches: []schemas.Batch{stagetest.Batch(t, "b0", batch...)}}
	stagetest.Run(t, newStage(t), stagetest.Case{Item: item})
	rows := stagetest.Rows[schemas.Score](t, newStage(t), item)
	if r := rows[5]; r.Answered || r.Draws != 0 || r.Perplexity == 0 {
		t.Errorf("got %+v, want a perplexity and no answers", r)
	}
	rows = slices.Delete(rows, 5, 6)
	limit := judge.Room(len(exs[0].AnswerIDs))
	seed := item.Input(t).Header.Seed
	some := 0
	for i := range exs {
		var right int32
		for d := range cfg.Draws {
			v, err := judge.Answer(t.Context(), nil, p, exs[i:i+1], policy.Request{
				MaxTokens: limit, Temperature: 1, Seed: stages.Seed(seed, "score/draws", d) + uint64(i),
			})
			if err != nil {
				t.Fatal(err)
			}
			right += int32(judge.Passed(v))
		}
		greedy, err := judge.Match(t.Context(), nil, p, exs[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		r := rows[i]
		if r.Draws != int32(cfg.Draws) || r.Right != right || !r.Answered || r.ErrorType != greedy[0].ErrorType {
			t.Errorf("got %+v, want %d of %d right, error %q", r, right, cfg.Draws, greedy[0].ErrorType)
		}
		if right > 0 && right < r.Draws {
			some++
		}
	}
	if some == 0 {
		t.Error("no example is right in some draws and wrong in others: this policy tests nothing")
	}
}

// TestAnswersDoNotDependOnWorkers: tasks that are worked on at the same time, in any order,
// give the bytes that each gives alone.
func TestAnswersDoNotDependOnWorkers(t *testing.T) {
	files := pupil(t)
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var items []stagetest.Item
	for k := range 4 {
		items = append(items, stagetest.Item{
			Header: schemas.Header{Key: fmt.Sprint("b", k), Seed: uint64(k)}, Policy: files,
			Config:  score.Config{Arguments: score.Canonical, Greedy: true, Draws: 2},
			Batches: []schemas.Batch{stagetest.Batch(t, fmt.Sprint("b", k), question(t, p, k), question(t, p, k+4))},
		})
	}
	var alone [][]schemas.Score
	for _, item := range items {
		alone = append(alone, stagetest.Rows[schemas.Score](t, newStage(t), item))
	}
	together, stage := make([][]schemas.Score, len(items)), newStage(t)
	var all sync.WaitGroup
	for k := range items {
		all.Go(func() { together[k] = stagetest.Rows[schemas.Score](t, stage, items[k]) })
	}
	all.Wait()
	for k := range items {
		if !slices.Equal(alone[k], together[k]) {
			t.Errorf("task %d: %+v alone, %+v beside others", k, alone[k], together[k])
		}
	}
}

// TestArguments: the canonical order is scored, also if the reference has another one;
// listed scores what is there.
func TestArguments(t *testing.T) {
	p := policytest.Open(t, 1)
	perplexities := func(arguments string, references ...string) (out []float64) {
		var exs []schemas.Example
		for i, reference := range references {
			ex := question(t, p, 0)
			ex.ID, ex.Reference, ex.AnswerIDs = fmt.Sprint(i), reference, p.Answer(reference)
			exs = append(exs, ex)
		}
		item := stagetest.Item{
			Policy: policytest.Tiny(1), Config: score.Config{Arguments: arguments},
			Batches: []schemas.Batch{stagetest.Batch(t, "b0", exs...)},
		}
		for _, r := range stagetest.Rows[schemas.Score](t, newStage(t), item) {
			out = append(out, r.Perplexity)
		}
		return out
	}
	const inOrder, swapped = "[f(a='A', b=1)]", "[f(b=1, a='A')]"
	canonical, listed := perplexities(score.Canonical, inOrder, swapped), perplexities(score.Listed, inOrder, swapped)
	if canonical[0] != canonical[1] || listed[0] == listed[1] || canonical[0] != listed[0] {
		t.Errorf("canonical %v, listed %v", canonical, listed)
	}
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]score.Config{
		`score.arguments: "any" is neither`: {Arguments: "any"},
		"score.draws: -1 is below 0":        {Arguments: score.Listed, Draws: -1},
	} {
		if err := cfg.Validate(); err == nil || err.Error()[:len(want)] != want {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	if err := score.Default().Validate(); err != nil {
		t.Error(err)
	}
}
