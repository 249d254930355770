package warmup_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/stagetest"
	"itool/stages/warmup"
)

const tools = `[{"name":"get_weather","parameters":{"type":"object",
	"properties":{"city":{"type":"string"}},"required":["city"]}}]`

// fixture makes examples for the tiny policy.
type fixture struct {
	t      *testing.T
	policy *policy.Policy
	stage  stages.Stage
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return fixture{t, policytest.Open(t, 1), warmup.New(engine)}
}

// example asks for the weather in a city that depends on n.
func (c fixture) example(n int, part string, difficulty string) schemas.Example {
	c.t.Helper()
	city := string(rune('A' + n%7))
	prompt, err := c.policy.Prompt([]policy.Message{{Role: "user", Content: "weather in " + city}}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer := "[get_weather(city='" + city + "')]"
	return schemas.Example{
		ID: fmt.Sprintf("e%03d", n), Tools: tools, Reference: answer,
		PromptIDs: prompt, AnswerIDs: c.policy.Answer(answer), Template: c.policy.TemplateHash(),
		Candidates: int32(n % 3), ToolChars: int32(n), Calls: 1, Difficulty: difficulty, Part: part,
	}
}

// examples are so many training examples of each difficulty, and validation examples.
func (c fixture) examples(easy, medium, hard, validation int) (all []schemas.Example) {
	for _, g := range []struct {
		n          int
		part       string
		difficulty string
	}{
		{hard, schemas.PartTrain, "hard"}, {easy, schemas.PartTrain, "easy"},
		{validation, schemas.PartValidation, "easy"}, {medium, schemas.PartTrain, "medium"},
	} {
		for range g.n {
			all = append(all, c.example(len(all), g.part, g.difficulty))
		}
	}
	return all
}

func (c fixture) item(cfg warmup.Config, rows ...schemas.Example) stagetest.Item {
	return stagetest.Item{Config: cfg, Policy: policytest.Tiny(1), Batches: []schemas.Batch{
		stagetest.Batch(c.t, "shard-0", rows[:len(rows)/2]...), stagetest.Batch(c.t, "shard-1", rows[len(rows)/2:]...),
	}}
}

// config is small and quick to run.
func config() warmup.Config {
	c := warmup.Default()
	c.BatchSize, c.Rank, c.Alpha, c.Tokens, c.CheckpointSteps = 4, 4, 8, 256, 2
	return c
}

// run returns the row of an item that must succeed, and the recorded output.
func (c fixture) run(item stagetest.Item) (schemas.Policy, *stagetest.Recorder) {
	c.t.Helper()
	out, err := stagetest.Process(c.t.Context(), c.t, c.stage, item)
	if err != nil {
		c.t.Fatal(err)
	}
	return stagetest.One[schemas.Policy](c.t, out), out
}

func metrics(t *testing.T, row schemas.Policy) map[string]float64 {
	t.Helper()
	return stagetest.JSON[map[string]float64](t, row.Metrics)
}

type point struct {
	Step       int
	Phase      string
	Validation *float64
}

func curve(t *testing.T, row schemas.Policy) []point {
	t.Helper()
	return stagetest.JSON[[]point](t, row.Curve)
}

func TestContract(t *testing.T) {
	c := newFixture(t)
	stagetest.Run(t, c.stage, stagetest.Case{Item: c.item(config(), c.examples(4, 4, 5, 3)...)})
}

func TestPhases(t *testing.T) {
	c := newFixture(t)
	for _, x := range []struct {
		name                           string
		mode                           string
		easy, medium, hard, validation int
		phases                         []string // of the curve, in order
		steps, examples                int
		detail                         string
	}{
		{"until medium", "curriculum medium", 4, 5, 8, 2, []string{"easy", "medium"}, 2 * (1 + 2), 9,
			"trained on 4 easy, 5 medium; validation loss"},
		{"by difficulty", "curriculum", 4, 5, 8, 2, []string{"easy", "medium", "hard"}, 2 * (1 + 2 + 2), 17,
			"trained on 4 easy, 5 medium, 8 hard; validation loss"},
		{"an empty phase is named", "curriculum", 0, 4, 4, 2, []string{"medium", "hard"}, 4, 8,
			"no example is easy: that phase is left out"},
		{"two empty phases", "curriculum", 0, 0, 4, 0, []string{"hard"}, 2, 4, "no example is easy or medium"},
		{"tertiles cut evenly", "tertile", 0, 1, 8, 0, []string{"easy", "medium", "hard"}, 6, 9,
			"trained on 3 easy, 3 medium, 3 hard"},
		{"tertiles of two examples", "tertile", 0, 2, 0, 0, []string{"easy", "medium"}, 4, 2, "no example is hard"},
		{"all at once", "shuffled", 3, 3, 3, 0, []string{"all"}, 6, 9,
			"trained on 9 all; there is no validation, so the last weights are kept"},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := config()
			cfg.Mode, cfg.Until, _ = strings.Cut(x.mode, " ")
			item := c.item(cfg, c.examples(x.easy, x.medium, x.hard, x.validation)...)
			row, out := c.run(item)
			if row.Status != "trained" || int(row.Steps) != x.steps || int(row.Examples) != x.examples {
				t.Errorf("status %q, %d steps, %d examples; want trained, %d, %d",
					row.Status, row.Steps, row.Examples, x.steps, x.examples)
			}
			if !strings.Contains(row.Detail, x.detail) {
				t.Errorf("detail %q, want it to say %q", row.Detail, x.detail)
			}
			var phases []string
			for _, p := range curve(t, row) {
				phases = append(phases, p.Phase)
			}
			if got := slices.Compact(phases); !slices.Equal(got, x.phases) {
				t.Errorf("phases %v, want %v", got, x.phases)
			}
			if len(out.Steps) != x.steps {
				t.Errorf("%d reports of progress, want one per step: %d", len(out.Steps), x.steps)
			}
			base := item.Input(t).PolicyDigest
			saved := out.Saved[0].Digest
			if row.Checkpoint != saved || row.Checkpoint == base || row.Parent != base || row.Base != base {
				t.Errorf("checkpoint %.8s, parent %.8s, base %.8s; want %.8s, %.8s twice",
					row.Checkpoint, row.Parent, row.Base, saved, base)
			}
		})
	}
}

// TestTertile: equal a are ranked by b, then c, then ID.
func TestTertile(t *testing.T) {
	c := newFixture(t)
	rows := c.examples(0, 6, 0, 0)
	for i := range rows {
		rows[i].Candidates, rows[i].ToolChars, rows[i].Calls = 1, 100, 1
	}
	rows[0].Candidates, rows[1].ToolChars, rows[2].Calls = 2, 200, 3 // e000 hardest by a, e001 by b, e002 by c
	cfg := config()
	cfg.Mode, cfg.BatchSize, cfg.Epochs, cfg.ValidationRows = "tertile", 1, 1, 0
	row, _ := c.run(c.item(cfg, rows...))
	if got := fmt.Sprint(metrics(t, row)["examples_easy"], metrics(t, row)["examples_hard"]); got != "2 2" {
		t.Errorf("easy and hard have %s examples, want 2 2", got)
	}
	// The same difficulties, set by hand, give the same bytes.
	for i, level := range []string{"hard", "hard", "medium", "easy", "easy", "medium"} {
		rows[i].Difficulty = level
	}
	_, want := c.run(c.item(cfg, rows...))
	cfg.Mode = "curriculum"
	byHand := []schemas.Example{rows[3], rows[4], rows[5], rows[2], rows[1], rows[0]} // in the order of the rank
	_, got := c.run(c.item(cfg, byHand...))
	if got.Saved[0].Digest != want.Saved[0].Digest {
		t.Error("tertile ranks otherwise than (a, b, c, ID)")
	}
}

func TestLearns(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.Rate, cfg.Epochs = 5e-3, 3
	rows := c.examples(7, 7, 7, 4)
	row, out := c.run(c.item(cfg, rows...))
	m := metrics(t, row)
	if !(m["validation_best"] < m["validation_before"]-0.3) || m["best_step"] == 0 {
		t.Errorf("validation loss %.3f → %.3f at step %g, want a fall of more than 0.3",
			m["validation_before"], m["validation_best"], m["best_step"])
	}
	trained, err := policy.Open(out.Saved[0].Files, policy.Options{})
	if err != nil {
		t.Fatalf("the saved policy does not open: %v", err)
	}
	var seqs []policy.Sequence
	for _, ex := range rows {
		if ex.Part == schemas.PartValidation {
			seqs = append(seqs, policy.Sequence{Prompt: ex.PromptIDs, Answer: ex.AnswerIDs})
		}
	}
	// The saved weights are those with the best loss. The engine's faster kernels round
	// differently than the trainer's.
	if got := nll(t, trained, seqs); math.Abs(got-m["validation_best"]) > 0.02 {
		t.Errorf("the saved policy has a validation loss of %.4f, the best was %.4f", got, m["validation_best"])
	}
	lowest := math.Inf(1)
	for _, p := range curve(t, row) {
		if p.Validation != nil {
			lowest = min(lowest, *p.Validation)
		}
	}
	if lowest != m["validation_best"] {
		t.Errorf("the curve's lowest validation loss is %g, the best %g", lowest, m["validation_best"])
	}
}

func nll(t *testing.T, p *policy.Policy, seqs []policy.Sequence) float64 {
	t.Helper()
	logps, err := p.LogProbs(t.Context(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	n := 0
	for _, l := range logps {
		for _, x := range l {
			sum -= float64(x)
			n++
		}
	}
	return sum / float64(n)
}

// TestKeepsBest: the validation answers are the base's own, so training can only make them
// less likely. Then the base's weights are kept.
func TestKeepsBest(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.Rate = 0.05
	rows := c.examples(4, 4, 4, 3)
	for i := range rows {
		if rows[i].Part == schemas.PartValidation {
			draws, err := c.policy.Generate(t.Context(), [][]int32{rows[i].PromptIDs}, policy.Request{MaxTokens: 8})
			if err != nil {
				t.Fatal(err)
			}
			rows[i].AnswerIDs = draws[0].Tokens
		}
	}
	row, out := c.run(c.item(cfg, rows...))
	m := metrics(t, row)
	if m["best_step"] != 0 || m["validation_best"] != m["validation_before"] ||
		!(m["validation_after"] > m["validation_before"]) {
		t.Fatalf("metrics %v: want the base to remain the best", m)
	}
	if !strings.Contains(row.Detail, "never fell below the base's") {
		t.Errorf("detail %q does not say so", row.Detail)
	}
	base, kept := policytest.Open(t, 1), open(t, out.Saved[0].Files)
	seq := []policy.Sequence{{Prompt: []int32{1, 2, 3}, Answer: []int32{4, 5, 6}}}
	if a, b := nll(t, base, seq), nll(t, kept, seq); a != b {
		t.Errorf("loss %g of the base, %g of what was kept", a, b)
	}
}

func open(t *testing.T, fsys fs.FS) *policy.Policy {
	t.Helper()
	p, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestKilled: a training that is killed at any step and resumed from its newest checkpoint
// saves the same bytes and the same curve, and does not start over.
func TestKilled(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.CheckpointSteps = 3
	item := c.item(cfg, c.examples(5, 5, 9, 3)...)
	row, want := c.run(item)
	total := int(row.Steps)
	for _, after := range []int{1, 3, 4, 5, 8, total - 1} {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			out := stagetest.Killed(t, c.stage, item, after)
			again := item
			again.Resume = out.Newest()
			_, got := c.run(again)
			if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) || got.Saved[0].Digest != want.Saved[0].Digest {
				t.Errorf("killed after %d of %d steps and %d checkpoints, the result differs",
					after, total, len(out.Checkpoints))
			}
			if n := len(out.Checkpoints); n > 0 && len(got.Steps) != total-out.Checkpoints[n-1].Step {
				t.Errorf("resumed at step %d of %d, but %d more were taken",
					out.Checkpoints[n-1].Step, total, len(got.Steps))
			}
		})
	}
}

// TestForeignCheckpoint: a checkpoint that does not fit costs only time.
func TestForeignCheckpoint(t *testing.T) {
	c := newFixture(t)
	item := c.item(config(), c.examples(4, 4, 4, 2)...)
	_, want := c.run(item)
	other := config()
	other.Rate = 1e-4
	_, foreign := c.run(c.item(other, c.examples(4, 4, 4, 2)...))
	files := want.Checkpoints[0].Files.(fstest.MapFS)
	for name, resume := range map[string]fs.FS{
		"empty":                 fstest.MapFS{},
		"another configuration": foreign.Checkpoints[0].Files,
		"no trainer":            fstest.MapFS{"loop.json": files["loop.json"]},
		"cut":                   fstest.MapFS{"loop.json": {Data: files["loop.json"].Data[:20]}},
	} {
		t.Run(name, func(t *testing.T) {
			item := item
			item.Resume = resume
			_, got := c.run(item)
			if got.Saved[0].Digest != want.Saved[0].Digest || !bytes.Equal(got.Results[0].Body, want.Results[0].Body) {
				t.Error("the outcome differs")
			}
			if !strings.Contains(got.Steps[0], "starts over") {
				t.Errorf("progress %q does not say that it starts over", got.Steps[0])
			}
		})
	}
}

func TestNone(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.Mode = "none"
	row, out := c.run(c.item(cfg, c.examples(2, 0, 0, 0)...))
	if row.Status != schemas.StatusBase || row.Steps != 0 || row.Checkpoint != row.Parent ||
		row.Checkpoint == "" || len(out.Saved) != 0 {
		t.Errorf("row %+v with %d policies saved, want the base", row, len(out.Saved))
	}
}

func TestMissingShards(t *testing.T) {
	c := newFixture(t)
	item := c.item(config(), c.examples(4, 0, 0, 0)...)
	item.Failed = []string{"shard-7", "shard-9"}
	if row, _ := c.run(item); !strings.Contains(row.Detail, "2 shards failed and are missing, shard-7 the first") {
		t.Errorf("detail %q does not name the failed shards", row.Detail)
	}
}

func TestRejects(t *testing.T) {
	c := newFixture(t)
	for _, x := range []struct {
		name   string
		spoil  func(*schemas.Example)
		reason string
	}{
		{"no training example", func(e *schemas.Example) { e.Part = "test" }, "no example is for training"},
		{"only dropped ones", func(e *schemas.Example) { e.Part = "dropped" }, "no example is for training"},
		{"another template", func(e *schemas.Example) { e.Template = "cafe" }, "e000 was rendered by template cafe"},
		{"no answer", func(e *schemas.Example) { e.AnswerIDs = nil }, "an answer is empty"},
		{"foreign tokens", func(e *schemas.Example) { e.PromptIDs = []int32{1 << 20} }, "is not within the vocabulary"},
		{"longer than the context", func(e *schemas.Example) {
			e.PromptIDs = make([]int32, policytest.ContextLength)
		}, "more than the model's"},
		{"unknown difficulty", func(e *schemas.Example) { e.Difficulty = "so-so" }, `difficulty: "so-so"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			rows := c.examples(2, 0, 0, 0)
			for i := range rows {
				x.spoil(&rows[i])
			}
			_, err := stagetest.Process(t.Context(), t, c.stage, c.item(config(), rows...))
			if !stages.IsReject(err) || !strings.Contains(err.Error(), x.reason) {
				t.Errorf("err = %v, want a Reject that says %q", err, x.reason)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, x := range []struct {
		name string
		set  func(*warmup.Config)
		want string
	}{
		{"default", func(*warmup.Config) {}, ""},
		{"mode", func(c *warmup.Config) { c.Mode = "hard first" }, `warmup.mode: "hard first" is none of`},
		{"epochs", func(c *warmup.Config) { c.Epochs = 0 }, "warmup.epochs: 0"},
		{"rate", func(c *warmup.Config) { c.Rate = math.NaN() }, "warmup.rate: NaN"},
		{"batch size", func(c *warmup.Config) { c.BatchSize = -1 }, "warmup.batch_size: -1"},
		{"rank", func(c *warmup.Config) { c.Rank = 0 }, "warmup.rank: 0"},
		{"alpha", func(c *warmup.Config) { c.Alpha = 0 }, "warmup.alpha: 0"},
		{"targets", func(c *warmup.Config) { c.Targets = []string{"lm_head"} }, `warmup.targets: "lm_head"`},
		{"ratio", func(c *warmup.Config) { c.WarmupRatio = 2 }, "warmup.warmup_ratio: 2"},
		{"clip", func(c *warmup.Config) { c.Clip = -1 }, "warmup.clip: -1"},
		{"tokens", func(c *warmup.Config) { c.Tokens = 0 }, "warmup.tokens: 0"},
		{"validation", func(c *warmup.Config) { c.ValidateSteps = -1 }, "warmup.validate_steps: -1"},
		{"validation rows", func(c *warmup.Config) { c.ValidationRows = -1 }, "warmup.validation_rows: -1"},
		{"checkpoints", func(c *warmup.Config) { c.CheckpointSteps = -1 }, "warmup.checkpoint_steps: -1"},
		{"plateau", func(c *warmup.Config) { c.Plateau = -1 }, "warmup.plateau: -1"},
		{"best", func(c *warmup.Config) { c.Best = "luck" }, `warmup.best: "luck" is neither`},
		{"accuracy rows", func(c *warmup.Config) { c.AccuracyRows = 0 }, "warmup.accuracy_rows: 0"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := warmup.Default()
			x.set(&c)
			err := c.Validate()
			if (err == nil) != (x.want == "") || err != nil && !strings.HasPrefix(err.Error(), x.want) {
				t.Errorf("err = %v, want %q", err, x.want)
			}
		})
	}
}
