package update_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/stagetest"
	"itool/stages/update"
)

const right, wrong = "[weather(city='X')]", "[weather(city='Y')]"

func TestContract(t *testing.T) {
	w := newWorld(t)
	stagetest.Run(t, w.stage, stagetest.Case{Item: w.item(config(), w.pairs(wrong, right), w.examples())})
}

// TestContractOfRetry: the same for an update that the guard refuses once.
func TestContractOfRetry(t *testing.T) {
	w := newWorld(t)
	cfg := config()
	cfg.Rate = 3e-3
	stagetest.Run(t, w.stage, stagetest.Case{Item: w.item(cfg, w.pairs(wrong, right), w.examples())})
}

func TestLosses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		loss  string
		first float64 // loss before the first step; NaN: depends on the weights
		rises string  // a metric that must be higher after than before
	}{
		{"simpo", math.NaN(), "margin"},
		{"dpo", math.Ln2, "margin"},            // the policy is its own reference: −log σ(0)
		{"ipo", 1 / (4 * 0.1 * 0.1), "margin"}, // (0 − 1/2β)²
		{"orpo", math.NaN(), "margin"}, {"chosen_only", math.NaN(), "chosen_logp"}, {"sft", math.NaN(), ""},
	} {
		t.Run(c.loss, func(t *testing.T) {
			cfg := config()
			cfg.Loss, cfg.SFTWeight = c.loss, 0
			row, out := w.run(w.item(cfg, w.pairs(wrong, right), w.examples()))
			m := metrics(t, row)
			if row.Status != schemas.StatusTrained || row.Steps != 8 || row.Examples != 16 {
				t.Fatalf("status %q, %d steps, %d pairs: %s; want trained, 8, 16",
					row.Status, row.Steps, row.Examples, row.Detail)
			}
			if got := curve(t, row)[0].Loss; !math.IsNaN(c.first) && math.Abs(got-c.first) > 1e-4*c.first {
				t.Errorf("the first loss is %g, want %g", got, c.first)
			}
			if c.rises != "" && !(m[c.rises+"_after"] > m[c.rises+"_before"]) {
				t.Errorf("%s %.5f → %.5f, want it to rise", c.rises, m[c.rises+"_before"], m[c.rises+"_after"])
			}
			if !(m["chosen_change"] > 0 && m["rejected_change"] > 0) ||
				m["chosen_tokens"] != 19 || m["rejected_tokens"] != 19 {
				t.Errorf("metrics %v: want changes, and 19 tokens on each side", m)
			}
			if row.Checkpoint != out.Saved[0].Digest || row.Checkpoint == row.Parent || row.Base != "b0" {
				t.Errorf("checkpoint %.8s, parent %.8s, base %q", row.Checkpoint, row.Parent, row.Base)
			}
		})
	}
}

// TestSteps: rivals with other numbers of pairs take as many steps.
func TestSteps(t *testing.T) {
	w := newWorld(t)
	for _, loss := range []string{"simpo", "chosen_only"} {
		cfg := config()
		cfg.Loss, cfg.Steps = loss, 5
		if row, _ := w.run(w.item(cfg, w.pairs(wrong, right), w.examples())); row.Steps != 5 {
			t.Errorf("%s: %d steps, want 5: %s", loss, row.Steps, row.Detail)
		}
	}
}

// TestMeasures: the numbers of the row are those of the policies themselves, and an
// existing adapter is continued at its own rank.
func TestMeasures(t *testing.T) {
	w := newWorld(t)
	pairs := w.pairs(wrong, right)
	row, out := w.run(w.item(config(), pairs, w.examples()))
	after, err := policy.Open(out.Saved[0].Files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := metrics(t, row)
	for when, p := range map[string]*policy.Policy{"before": w.policy, "after": after} {
		var chosen, margin float64
		for _, x := range pairs {
			logps, err := p.LogProbs(t.Context(), []policy.Sequence{
				{Prompt: x.PromptIDs, Answer: x.ChosenIDs}, {Prompt: x.PromptIDs, Answer: x.RejectedIDs},
			})
			if err != nil {
				t.Fatal(err)
			}
			chosen += mean(logps[0]) / float64(len(pairs))
			margin += (mean(logps[0]) - mean(logps[1])) / float64(len(pairs))
		}
		if got := m["chosen_logp_"+when]; math.Abs(got-chosen) > 1e-9 {
			t.Errorf("chosen_logp_%s is %g, want %g", when, got, chosen)
		}
		if got := m["margin_"+when]; math.Abs(got-margin) > 1e-9 {
			t.Errorf("margin_%s is %g, want %g", when, got, margin)
		}
	}
	if a := after.Model().Adapter; a.Rank != 4 || a.Alpha != 8 {
		t.Errorf("the adapter has rank %d and alpha %g, before 4 and 8", a.Rank, a.Alpha)
	}
	if p := curve(t, row); p[0].Rate != config().Rate || m["rate"] != config().Rate {
		t.Errorf("rate %g in the curve, %g in the metrics, want %g", p[0].Rate, m["rate"], config().Rate)
	}
}

func mean(x []float32) (s float64) {
	for _, v := range x {
		s += float64(v) / float64(len(x))
	}
	return s
}

func TestNoUpdate(t *testing.T) {
	w := newWorld(t)
	dropped := w.pairs(wrong, right)
	for i := range dropped {
		dropped[i].Reason, dropped[i].PromptIDs = "similar", nil
	}
	same := w.pairs(wrong, right)
	for i := range same {
		same[i] = same[i%7]
	}
	for _, c := range []struct {
		name                 string
		pairs                []schemas.Pair
		minPairs, minSteps   int
		rows, kept, distinct float64
		detail               string
	}{
		{"no pair at all", nil, 1, 1, 0, 0, 0, "0 distinct pairs are fewer than the 1"},
		{"too few pairs", w.pairs(wrong, right), 17, 1, 16, 16, 16, "16 distinct pairs are fewer than the 17"},
		{"too few steps", w.pairs(wrong, right), 16, 9, 16, 16, 16, "16 pairs make 8 steps, fewer than the 9"},
		{"all dropped by the filter", dropped, 1, 1, 16, 0, 0, "0 distinct pairs"},
		{"repeated pairs", same, 8, 1, 16, 16, 7, "7 distinct pairs are fewer than the 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config()
			cfg.MinPairs, cfg.MinSteps = c.minPairs, c.minSteps
			row, out := w.run(w.item(cfg, c.pairs, w.examples()))
			if row.Status != schemas.StatusNoUpdate || row.Checkpoint != row.Parent || row.Checkpoint == "" ||
				row.Steps != 0 || row.Examples != 0 || row.Base != "b0" {
				t.Errorf("row %+v: want no update and the old policy", row)
			}
			if !strings.Contains(row.Detail, c.detail) {
				t.Errorf("detail %q, want %q", row.Detail, c.detail)
			}
			m := metrics(t, row)
			if m["pairs"] != c.rows || m["pairs_kept"] != c.kept || m["pairs_distinct"] != c.distinct {
				t.Errorf("metrics %v, want %g rows, %g kept, %g distinct", m, c.rows, c.kept, c.distinct)
			}
			if len(out.Saved)+len(out.Checkpoints) != 0 {
				t.Error("something was saved without an update")
			}
		})
	}
}

// TestForeignPairs: pairs that were searched with another policy are counted and left out.
func TestForeignPairs(t *testing.T) {
	w := newWorld(t)
	item := w.item(config(), w.pairs(wrong, right), w.examples())
	item.Batches[0].Header.Policy = "an old policy"
	row, _ := w.run(item)
	m := metrics(t, row)
	if m["pairs_kept"] != 16 || m["pairs_foreign"] != 8 || m["pairs_distinct"] != 8 || row.Examples != 8 {
		t.Errorf("metrics %v, %d pairs trained on; want 16 kept, 8 foreign, 8 distinct, 8", m, row.Examples)
	}
	if !strings.Contains(row.Detail, "8 pairs were searched with another policy") {
		t.Errorf("detail %q does not say it", row.Detail)
	}
}

func TestGuard(t *testing.T) {
	w := newWorld(t)
	none := w.examples()
	for i := range none {
		none[i].Part = "train"
	}
	unfit := w.examples()
	for i := range unfit {
		switch i % 4 { // every other one is for validation
		case 0:
			unfit[i].Tools = "{"
		case 2:
			unfit[i].Template = "cafe"
		}
	}
	const junk = "zzzzzzzz"
	all := update.Default().GuardPrompts
	for _, c := range []struct {
		name     string
		rate     float64
		chosen   string
		prompts  int // of the guard
		examples []schemas.Example
		status   string
		attempts float64
		detail   string
	}{
		{"a low rate passes", 1e-4, wrong, all, w.examples(), schemas.StatusTrained, 1, "simpo on 16 pairs"},
		{"half the rate passes", 3e-3, wrong, all, w.examples(), schemas.StatusTrained, 2,
			"at half the rate, because the guard refused the first attempt: parse rate fell by"},
		{"a high rate is stopped", 4e-2, junk, all, w.examples(), schemas.StatusGuard, 2,
			"the guard refused 2 attempts, so the round keeps its policy: parse rate fell by"},
		{"switched off", 4e-2, junk, 0, w.examples(), schemas.StatusTrained, 1, "the guard is switched off"},
		{"no validation examples", 4e-2, junk, all, none, schemas.StatusTrained, 1,
			"the guard was skipped: there are no validation examples"},
		{"unfit ones are counted", 4e-2, junk, all, unfit, schemas.StatusTrained, 1,
			"24 validation examples cannot be asked or judged and were left out; the guard was skipped"},
		{"four prompts show nothing", 4e-2, junk, 4, w.examples(), schemas.StatusTrained, 1, "simpo on 16 pairs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config()
			cfg.Rate, cfg.GuardPrompts = c.rate, c.prompts
			row, out := w.run(w.item(cfg, w.pairs(c.chosen, right), c.examples))
			m := metrics(t, row)
			if row.Status != c.status || m["attempts"] != c.attempts || !strings.Contains(row.Detail, c.detail) {
				t.Fatalf("%s after %g attempts: %s\nwant %s after %g: %s",
					row.Status, m["attempts"], row.Detail, c.status, c.attempts, c.detail)
			}
			if want := math.Ldexp(c.rate, 1-int(c.attempts)); m["rate"] != want {
				t.Errorf("the last rate is %g, want %g", m["rate"], want)
			}
			stopped := c.status == schemas.StatusGuard
			if (row.Checkpoint == row.Parent) != stopped || (len(out.Saved) == 0) != stopped {
				t.Errorf("checkpoint %.8s of parent %.8s, %d saved", row.Checkpoint, row.Parent, len(out.Saved))
			}
			lost := out.Attached["guard-lost.jsonl"]
			if stopped && bytes.Count(lost, []byte(`"lost":"parse_rate"`)) < 10 {
				t.Errorf("attached %q, want what was lost", lost)
			}
		})
	}
}

// TestKilled: an update that is killed ends with the same bytes, in training, before the
// guard or in it, and in both attempts.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	cfg := config()
	cfg.Rate = 3e-3
	outcomes := map[string]string{"trained at half the rate": wrong, "stopped by the guard": "zzzzzzzz"}
	for name, chosen := range outcomes {
		if chosen != wrong {
			cfg.Rate = 4e-2
		}
		item := w.item(cfg, w.pairs(chosen, right), w.examples())
		row, want := w.run(item)
		if len(want.Steps) != 1+8+1+8+1 || metrics(t, row)["attempts"] != 2 {
			t.Fatalf("%s: progress %q: want the old policy's answers, and twice eight steps and the new one's answers",
				name, want.Steps)
		}
		for _, after := range []int{1, 2, 5, 9, 10, 11, 14, 18} { // 9 and 18 are last steps, 1 and 10 the guard
			t.Run(fmt.Sprintf("%s/%d", name, after), func(t *testing.T) {
				_, got := w.killed(item, after)
				if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) {
					t.Errorf("killed after %q, the result differs", want.Steps[after-1])
				}
				if len(got.Saved) != len(want.Saved) ||
					len(got.Saved) > 0 && got.Saved[0].Digest != want.Saved[0].Digest {
					t.Errorf("killed after %q, the saved policy differs", want.Steps[after-1])
				}
			})
		}
	}
}

func TestRejects(t *testing.T) {
	w := newWorld(t)
	type spoiler = func(*stagetest.Item, *update.Config, []schemas.Pair)
	pairs := func(change func(p []schemas.Pair)) spoiler {
		return func(_ *stagetest.Item, _ *update.Config, p []schemas.Pair) { change(p) }
	}
	for _, c := range []struct {
		name   string
		spoil  spoiler
		reason string
	}{
		{"a side without tokens", pairs(func(p []schemas.Pair) { p[3].RejectedIDs = nil }),
			"pair e03 node 1: prompt, chosen and rejected have"},
		{"foreign tokens", pairs(func(p []schemas.Pair) { p[3].ChosenIDs = []int32{-1} }),
			"is not in the vocabulary"},
		{"longer than the context", pairs(func(p []schemas.Pair) { p[3].PromptIDs = make([]int32, 1<<13) }),
			"longer than the model's context"},
		{"no policy row", func(i *stagetest.Item, _ *update.Config, _ []schemas.Pair) { i.Rounds = i.Rounds[1:] },
			"the policy that opened round 2: policy/v1: 0 rows, want 1"},
		{"a missing example", func(_ *stagetest.Item, c *update.Config, p []schemas.Pair) {
			c.Loss, p[5].ExampleID = "sft", "e99"
		}, "example e99 of a pair is not among the run's examples"},
		{"a rate without effect", func(_ *stagetest.Item, c *update.Config, _ []schemas.Pair) { c.Rate = 1e-300 },
			"training changed no probability"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, pairs := config(), w.pairs(wrong, right)
			item := w.item(cfg, pairs, w.examples())
			c.spoil(&item, &cfg, pairs)
			item.Config, item.Batches = cfg, []schemas.Batch{stagetest.Batch(t, "e00", pairs...)}
			_, err := stagetest.Process(t.Context(), t, w.stage, item)
			if !stages.IsReject(err) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("err = %v, want a Reject that says %q", err, c.reason)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*update.Config)
		want string
	}{
		{"default", func(*update.Config) {}, ""},
		{"dpo has its own beta", func(c *update.Config) { c.Loss = "dpo" }, ""},
		{"low beta, forced", func(c *update.Config) { c.Beta, c.Force = 0.1, true }, ""},
		{"low beta", func(c *update.Config) { c.Beta = 0.1 }, "update.beta: 0.1 with simpo asks for a margin"},
		{"loss", func(c *update.Config) { c.Loss = "ppo" }, `update.loss: "ppo" is none of`},
		{"beta", func(c *update.Config) { c.Beta = -1 }, "update.beta: -1"},
		{"gamma", func(c *update.Config) { c.Gamma = -1 }, "update.gamma: -1"},
		{"sft weight", func(c *update.Config) { c.SFTWeight = math.NaN() }, "update.sft_weight: NaN"},
		{"rate", func(c *update.Config) { c.Rate = math.Inf(1) }, "update.rate: +Inf"},
		{"batch size", func(c *update.Config) { c.BatchSize = 0 }, "update.batch_size: 0"},
		{"epochs", func(c *update.Config) { c.Epochs = 0 }, "update.epochs: 0"},
		{"rank", func(c *update.Config) { c.Rank = 5000 }, "update.rank: 5000"},
		{"min pairs", func(c *update.Config) { c.MinPairs = 0 }, "update.min_pairs: 0"},
		{"min steps", func(c *update.Config) { c.MinSteps = 0 }, "update.min_steps: 0"},
		{"guard prompts", func(c *update.Config) { c.GuardPrompts = -1 }, "update.guard_prompts: -1"},
		{"guard tokens", func(c *update.Config) { c.GuardTokens = 0 }, "update.guard_tokens: 0"},
		{"guard drop", func(c *update.Config) { c.GuardDrop = 0 }, "update.guard_drop: 0"},
		{"best", func(c *update.Config) { c.Best = "luck" }, `update.best: "luck" is neither`},
		{"accuracy rows", func(c *update.Config) { c.AccuracyRows = 0 }, "update.accuracy_rows: 0"},
		{"validate steps", func(c *update.Config) { c.ValidateSteps = -1 }, "update.validate_steps: -1"},
		{"guard p", func(c *update.Config) { c.GuardP = 2 }, "update.guard_p: 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := update.Default()
			c.set(&cfg)
			err := cfg.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}
