package selection_test

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
	"itool/stages/selection"
	"itool/stages/stagetest"
)

const tools = `[{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}]`

// question asks for a call of f with a letter; n decides which.
func question(t testing.TB, p *policy.Policy, n int, part string) schemas.Example {
	t.Helper()
	letter := string(rune('A' + n%10))
	ids, err := p.Prompt([]policy.Message{{Role: "user", Content: letter}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := "[f(a='" + letter + "')]"
	return schemas.Example{
		ID: fmt.Sprintf("e%03d", n), Messages: `[{"role":"user","content":"` + letter + `"}]`,
		Tools: tools, Reference: answer,
		PromptIDs: ids, AnswerIDs: p.Answer(answer), Template: p.TemplateHash(), Calls: 1, Part: part,
	}
}

// pupil is a tiny policy that learned eight of the ten letters. Three of them it learned
// twice as often wrongly, so that the greedy answer is wrong and a draw can be right.
func pupil(t testing.TB) fs.FS {
	t.Helper()
	p := policytest.Open(t, 1)
	phase := train.Phase{Name: "school", Epochs: 80, Rate: 0.02, BatchSize: 8, Shuffle: true}
	for n := range 8 {
		ex := question(t, p, n, schemas.PartTrain)
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
	for {
		if _, err := tr.Step(t.Context()); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	files := policytest.Tiny(1).(fstest.MapFS)
	if err := tr.Adapter(false).Save(stagetest.Create(files)); err != nil {
		t.Fatal(err)
	}
	return files
}

// roundOf is a select item over these examples, with the pupil for a policy.
func roundOf(t testing.TB, files fs.FS, cfg selection.Config, exs ...schemas.Example) stagetest.Item {
	t.Helper()
	return stagetest.Item{
		Policy: files, Config: cfg,
		Batches: []schemas.Batch{stagetest.Batch(t, "b0",
			schemas.Score{ExampleID: "e1", Perplexity: 3, HasCall: true},
			schemas.Score{ExampleID: "e2", Perplexity: 2},
		)},
		Rounds: []stagetest.Round{{Record: "example", Batches: []schemas.Batch{stagetest.Batch(t, "s0", exs...)}}},
	}
}

func small() selection.Config {
	cfg := selection.Default()
	cfg.MaxTokens, cfg.HeadroomDraws, cfg.JudgeExamples = 24, 3, 4
	return cfg
}

// TestHeadroom: the counts are those of drawing one answer at a time, with and without a
// calibration that asks the same examples.
func TestHeadroom(t *testing.T) {
	files := pupil(t)
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all, cases []schemas.Example
	for n := range 30 {
		ex := question(t, p, n, schemas.PartValidation)
		switch n % 4 {
		case 1:
			ex.Part = schemas.PartTrain
		case 2:
			ex.Calls, ex.Reference = 0, "No."
		default:
			cases = append(cases, ex)
		}
		all = append(all, ex)
	}
	cfg := small()
	cfg.SelfEval = "off"
	item := roundOf(t, files, cfg, all...)
	seed := item.Input(t).Header.Seed
	var want schemas.Selection
	want.HeadroomDraws, want.HeadroomCases = int32(cfg.HeadroomDraws), int32(len(cases))
	greedy, err := judge.Greedy(t.Context(), nil, p, cases, cfg.MaxTokens)
	if err != nil {
		t.Fatal(err)
	}
	seeds := []uint64{
		stages.Seed(seed, "select/judge", 1),
		stages.Seed(seed, "select/headroom", 1), stages.Seed(seed, "select/headroom", 2),
	}
	for i := range cases {
		right := false
		for _, s := range seeds { // an example's draw does not depend on the others in its batch
			req := policy.Request{MaxTokens: cfg.MaxTokens, Temperature: 1, Seed: s + uint64(i)}
			v, err := judge.Answer(t.Context(), nil, p, cases[i:i+1], req)
			if err != nil {
				t.Fatal(err)
			}
			right = right || v[0].Pass
		}
		want.HeadroomGreedy += one(greedy[i].Pass)
		want.HeadroomSampled += one(right)
		want.HeadroomWon += one(right && !greedy[i].Pass)
	}
	rows := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)
	t.Logf("draws, cases, greedy, sampled, won: %v", counts(want))
	for _, r := range rows {
		if got := counts(r); got != counts(want) {
			t.Errorf("row %s: draws, cases, greedy, sampled, won = %v, want %v", r.ExampleID, got, counts(want))
		}
	}
	if g := rows[0].HeadroomGreedy; g == 0 || g == rows[0].HeadroomCases {
		t.Errorf("%d of %d greedy answers are right: this policy tests nothing", g, rows[0].HeadroomCases)
	}
	stagetest.Run(t, selection.New(engine(t)), stagetest.Case{Item: item})

	t.Run("with a calibration", func(t *testing.T) {
		item := roundOf(t, files, small(), all...)
		stagetest.Run(t, selection.New(engine(t)), stagetest.Case{Item: item})
		r := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)[0]
		if r.HeadroomCases != want.HeadroomCases || r.HeadroomGreedy != want.HeadroomGreedy || r.JudgeReason == "" {
			t.Errorf("got %+v, want the examples and greedy answers of before, and a calibration", r)
		}
		item.Config = func() selection.Config { c := small(); c.HeadroomDraws = 0; return c }()
		alone := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)[0]
		if alone.JudgeMass != r.JudgeMass || alone.JudgeReason != r.JudgeReason {
			t.Errorf("the headroom changes the calibration: %v %q, without it %v %q",
				r.JudgeMass, r.JudgeReason, alone.JudgeMass, alone.JudgeReason)
		}
	})
	t.Run("more draws find no less", func(t *testing.T) {
		last := int32(-1)
		for k := 1; k <= 6; k += 5 {
			cfg.HeadroomDraws = k
			item := roundOf(t, files, cfg, all...)
			r := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)[0]
			if r.HeadroomSampled < last || r.HeadroomSampled-r.HeadroomWon > r.HeadroomGreedy ||
				r.HeadroomGreedy != want.HeadroomGreedy {
				t.Errorf("k = %d: %v after %d sampled", k, counts(r), last)
			}
			last = r.HeadroomSampled
		}
	})
}

func one(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

func counts(s schemas.Selection) [5]int32 {
	return [5]int32{s.HeadroomDraws, s.HeadroomCases, s.HeadroomGreedy, s.HeadroomSampled, s.HeadroomWon}
}

// TestHeadroomEdges: if nothing can be measured the counts are 0, and the reason says why.
func TestHeadroomEdges(t *testing.T) {
	p := policytest.Open(t, 1)
	valid := func(n int, change func(*schemas.Example)) (out []schemas.Example) {
		for i := range n {
			ex := question(t, p, i, schemas.PartValidation)
			change(&ex)
			out = append(out, ex)
		}
		return out
	}
	same := func(*schemas.Example) {}
	asIs := func(*selection.Config) {}
	training := valid(2, func(e *schemas.Example) { e.Part = schemas.PartTrain })
	prose := valid(2, func(e *schemas.Example) { e.Calls, e.Reference = 0, "No." })
	broken := valid(3, func(e *schemas.Example) { e.Tools = "7" })
	foreign := valid(2, func(e *schemas.Example) { e.Template = "cafe" })
	for _, c := range []struct {
		name         string
		change       func(*selection.Config)
		exs          []schemas.Example
		draws, cases int32
		reason       string
	}{
		{"no validation examples", asIs, training, 0, 0, "no validation examples"},
		{"none with calls", asIs, prose, 0, 0, ""},
		{"switched off", func(c *selection.Config) { c.HeadroomDraws = 0 }, valid(2, same), 0, 0, ""},
		{"on no examples", func(c *selection.Config) { c.HeadroomExamples = 0 }, valid(2, same), 0, 0, ""},
		{"on fewer than exist", func(c *selection.Config) { c.HeadroomExamples = 3 }, valid(7, same), 3, 3, ""},
		{"no self-evaluation", func(c *selection.Config) { c.SelfEval = "off" }, valid(2, same), 3, 2, "switched off"},
		{"neither", func(c *selection.Config) {
			c.SelfEval, c.HeadroomDraws = "off", 0
		}, valid(2, same), 0, 0, "switched off"},
		{"three cannot be judged", asIs, append(valid(2, same), broken...), 3, 2,
			"3 validation examples cannot be asked or judged"},
		{"another template", asIs, foreign, 0, 0, "2 validation examples cannot be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := small()
			c.change(&cfg)
			item := roundOf(t, policytest.Tiny(1), cfg, c.exs...)
			r := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)[0]
			if r.HeadroomDraws != c.draws || r.HeadroomCases != c.cases || !strings.Contains(r.JudgeReason, c.reason) {
				t.Errorf("%d draws of %d cases, reason %q; want %d, %d, %q",
					r.HeadroomDraws, r.HeadroomCases, r.JudgeReason, c.draws, c.cases, c.reason)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*selection.Config){
		"select.headroom_draws: -1":    func(c *selection.Config) { c.HeadroomDraws = -1 },
		"select.headroom_examples: -1": func(c *selection.Config) { c.HeadroomExamples = -1 },
	} {
		c := selection.Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}
