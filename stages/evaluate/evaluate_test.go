package evaluate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/evaluate"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/stagetest"
)

const tools = `[{"name":"get_weather","parameters":{"type":"object",
	"properties":{"city":{"type":"string"}},"required":["city"]}}]`

// bench makes cases for the tiny policy, whose answers are reproducible noise.
type bench struct {
	t      *testing.T
	policy *policy.Policy
	stage  stages.Stage
}

func newBench(t *testing.T) bench {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return bench{t, policytest.Open(t, 1), evaluate.New(engine)}
}

func (b bench) cases(n int) (all []schemas.Example) {
	b.t.Helper()
	for i := range n {
		prompt, err := b.policy.Prompt([]policy.Message{{Role: "user", Content: fmt.Sprintf("case %d", i)}}, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		ex := schemas.Example{
			ID: fmt.Sprintf("c%d", i), Category: "simple", Tools: tools,
			Reference: "[get_weather(city='Oslo')]", Calls: 1,
			PromptIDs: prompt, Template: b.policy.TemplateHash(), Part: "test",
		}
		if i%2 == 1 {
			ex.Category, ex.Reference, ex.Calls = "", "No tool fits.", 0
		}
		all = append(all, ex)
	}
	return all
}

func (b bench) item(maxTokens int, cases ...schemas.Example) stagetest.Item {
	return stagetest.Item{
		Config: evaluate.Config{MaxTokens: maxTokens}, Policy: policytest.Tiny(1),
		Batches: []schemas.Batch{stagetest.Batch(b.t, "test-0", cases...)},
	}
}

func TestContract(t *testing.T) {
	b := newBench(t)
	stagetest.Run(t, b.stage, stagetest.Case{Item: b.item(8, b.cases(3)...)})
}

// TestVerdicts: each case has one verdict, in order, with the fields of the case, and it
// is the same alone as in a batch.
func TestVerdicts(t *testing.T) {
	b := newBench(t)
	cases := b.cases(5)
	rows := stagetest.Rows[schemas.Verdict](t, b.stage, b.item(12, cases...))
	if len(rows) != len(cases) {
		t.Fatalf("%d verdicts of %d cases", len(rows), len(cases))
	}
	for i, v := range rows {
		ex := cases[i]
		if v.ExampleID != ex.ID || v.Category != ex.Category || v.Part != ex.Part || v.HasCall != (ex.Calls > 0) {
			t.Errorf("verdict %+v does not belong to case %s", v, ex.ID)
		}
		if v.Tokens < 1 || v.Tokens > 12 || v.Cut == ended(t, b.policy, ex, 12) || !(v.LogProb <= 0) {
			t.Errorf("case %s: %d tokens, cut %v, log-probability %g", ex.ID, v.Tokens, v.Cut, v.LogProb)
		}
		if !v.Pass && (v.ErrorName == "" || v.ErrorType == "") || v.Pass && v.ErrorType != "" {
			t.Errorf("case %s: pass %v with error %q, %q", ex.ID, v.Pass, v.ErrorName, v.ErrorType)
		}
		alone := stagetest.Rows[schemas.Verdict](t, b.stage, b.item(12, ex))
		if alone[0] != v {
			t.Errorf("case %s: alone %+v, in the batch %+v", ex.ID, alone[0], v)
		}
	}
}

// TestProgress: a batch reports every row that has ended, up to the last.
func TestProgress(t *testing.T) {
	b := newBench(t)
	out, err := stagetest.Process(t.Context(), t, b.stage, b.item(12, b.cases(3)...))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"1/3 rows: ", "2/3 rows: ", "3/3 rows: "}; !slices.Equal(out.Steps, want) {
		t.Errorf("progress %q, want %q", out.Steps, want)
	}
}

// ended reports whether the policy ends its greedy answer within n tokens.
func ended(t *testing.T, p *policy.Policy, ex schemas.Example, n int) bool {
	t.Helper()
	draws, err := p.Generate(t.Context(), [][]int32{ex.PromptIDs}, policy.Request{MaxTokens: n})
	if err != nil {
		t.Fatal(err)
	}
	return draws[0].Reason == policy.ReasonEndOfTurn
}

func TestRejects(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name   string
		spoil  func(*schemas.Example)
		reason string
	}{
		{"another template", func(e *schemas.Example) { e.Template = "cafe" }, "c2 was rendered by template cafe"},
		{"tools do not parse", func(e *schemas.Example) { e.Tools = "{" }, "example c2: tools:"},
		{"possible answers do not parse", func(e *schemas.Example) { e.Acceptable = "[{" }, "example c2: acceptable:"},
		{"a reference that is no call", func(e *schemas.Example) { e.Reference = "Oslo" }, "example c2: reference:"},
		{"longer than the context", func(e *schemas.Example) {
			e.PromptIDs = make([]int32, 2*policytest.ContextLength)
		}, "longer than the model's context"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cases := b.cases(4)
			c.spoil(&cases[2])
			_, err := stagetest.Process(t.Context(), t, b.stage, b.item(8, cases...))
			if !stages.IsReject(err) || !strings.HasPrefix(err.Error(), "evaluate: ") ||
				!strings.Contains(err.Error(), c.reason) {
				t.Errorf("err = %v, want a Reject of evaluate that says %q", err, c.reason)
			}
		})
	}
	_, err := stagetest.Process(t.Context(), t, b.stage, b.item(0, b.cases(1)...))
	if !stages.IsReject(err) || !strings.Contains(err.Error(), "evaluate.max_tokens: 0") {
		t.Errorf("err = %v, want a Reject that names evaluate.max_tokens", err)
	}
}
