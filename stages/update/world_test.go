package update_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"sync"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
	"itool/stages/stagetest"
	"itool/stages/update"
)

const (
	tools = `[{"name":"weather","parameters":{"type":"object",
		"properties":{"city":{"type":"string"}},"required":["city"]}}]`
	noCalls = 8  // prompts that want prose
	calls   = 16 // prompts that want a call
	refusal = "No tool fits."
	round   = 2
)

// world is a tiny policy with an adapter of rank 4 that has learned to answer every prompt
// in the right form, and the stage that updates it.
type world struct {
	t      *testing.T
	files  fs.FS
	policy *policy.Policy
	stage  stages.Stage
}

// learned is the policy's folder, made once.
var learned = sync.OnceValues(func() (fs.FS, error) {
	base := policytest.Tiny(1).(fstest.MapFS)
	p, err := policy.Open(base, policy.Options{})
	if err != nil {
		return nil, err
	}
	phase := train.Phase{Name: "all", Epochs: 60, Rate: 2e-2, BatchSize: calls + noCalls, Shuffle: true}
	for n := range calls + noCalls {
		prompt, answer, err := lesson(p, n)
		if err != nil {
			return nil, err
		}
		phase.Examples = append(phase.Examples, train.Example{ID: fmt.Sprint(n), Prompt: prompt, Answer: answer})
	}
	cfg := train.Default()
	cfg.Rank, cfg.Alpha = 4, 8
	t, err := train.New(p.Model(), cfg, []train.Phase{phase})
	if err != nil {
		return nil, err
	}
	for err == nil {
		_, err = t.Step(context.Background())
	}
	if err != io.EOF {
		return nil, err
	}
	all := maps.Clone(base)
	return all, t.Adapter(false).Save(stagetest.Create(all))
})

func lesson(p *policy.Policy, n int) (prompt, answer []int32, err error) {
	prompt, err = p.Prompt([]policy.Message{{Role: "user", Content: ask(n)}}, nil)
	return prompt, p.Answer(reply(n)), err
}

func ask(n int) string {
	if n < calls {
		return string(rune('A'+n)) + "?"
	}
	return string(rune('a'+n-calls)) + "!"
}

func reply(n int) string {
	if n < calls {
		return "[weather(city='X')]"
	}
	return refusal
}

func newWorld(t *testing.T) world {
	t.Helper()
	files, err := learned()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return world{t, files, p, update.New(engine)}
}

// examples are validation examples, which the policy answers rightly, and a training
// example for every pair.
func (w world) examples() (all []schemas.Example) {
	for n := range calls + noCalls {
		prompt, answer, err := lesson(w.policy, n)
		if err != nil {
			w.t.Fatal(err)
		}
		ex := schemas.Example{
			ID: fmt.Sprintf("v%02d", n), Tools: tools, Reference: reply(n), PromptIDs: prompt, AnswerIDs: answer,
			Template: w.policy.TemplateHash(), Part: "validation",
		}
		if n < calls {
			ex.Calls = 1
		}
		all = append(all, ex)
		ex.ID, ex.Part = fmt.Sprintf("e%02d", n), "train"
		all = append(all, ex)
	}
	return all
}

// pairs prefer chosen to rejected after every prompt.
func (w world) pairs(chosen, rejected string) (all []schemas.Pair) {
	end := w.policy.EndOfTurn()
	cut := func(text string) []int32 { // a fragment does not end the turn
		ids := w.policy.Answer(text)
		return ids[:len(ids)-len(end)]
	}
	for n := range calls {
		prompt, _, err := lesson(w.policy, n)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, schemas.Pair{
			ExampleID: fmt.Sprintf("e%02d", n), Node: 1, PromptIDs: prompt,
			ChosenIDs: cut(chosen), RejectedIDs: cut(rejected), ChosenQ: 1, RejectedQ: -1,
		})
	}
	return all
}

// item is a round with these pairs. The base of the round's policy is "b0".
func (w world) item(cfg update.Config, pairs []schemas.Pair, examples []schemas.Example) stagetest.Item {
	half := len(pairs) / 2
	return stagetest.Item{
		Header: schemas.Header{Round: round}, Config: cfg, Policy: w.files,
		Batches: []schemas.Batch{
			stagetest.Batch(w.t, "e00", pairs[:half]...), stagetest.Batch(w.t, "e08", pairs[half:]...),
		},
		Rounds: []stagetest.Round{
			{Record: "policy", Round: round, Batches: []schemas.Batch{
				stagetest.Batch(w.t, "policy", schemas.Policy{Base: "b0", Status: schemas.StatusTrained}),
			}},
			{Record: "example", Round: 0, Batches: []schemas.Batch{stagetest.Batch(w.t, "shard-0", examples...)}},
		},
	}
}

// config makes small, quick updates at a low rate.
func config() update.Config {
	c := update.Default()
	c.BatchSize, c.Tokens, c.MinPairs, c.MinSteps, c.CheckpointSteps, c.GuardTokens = 4, 256, 8, 4, 3, 32
	c.Rate = 1e-4
	return c
}

func (w world) run(item stagetest.Item) (schemas.Policy, *stagetest.Recorder) {
	w.t.Helper()
	out, err := stagetest.Process(w.t.Context(), w.t, w.stage, item)
	if err != nil {
		w.t.Fatal(err)
	}
	return stagetest.One[schemas.Policy](w.t, out), out
}

// killed kills an item at a report of progress and runs it again from the newest
// checkpoint.
func (w world) killed(item stagetest.Item, after int) (schemas.Policy, *stagetest.Recorder) {
	w.t.Helper()
	item.Resume = stagetest.Killed(w.t, w.stage, item, after).Newest()
	return w.run(item)
}

func metrics(t *testing.T, row schemas.Policy) map[string]float64 {
	t.Helper()
	return stagetest.JSON[map[string]float64](t, row.Metrics)
}

type point struct {
	Loss, Rate, Accuracy float64
}

func curve(t *testing.T, row schemas.Policy) []point {
	t.Helper()
	return stagetest.JSON[[]point](t, row.Curve)
}
