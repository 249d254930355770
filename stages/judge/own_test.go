package judge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// says is a judge made of a function.
type says func([]stages.Question) ([]stages.Outcome, error)

func (f says) Judge(_ context.Context, q []stages.Question) ([]stages.Outcome, error) { return f(q) }

// asked are examples that the tiny policy answers with noise, some of which runs out of length.
func asked(p *policy.Policy) (exs []schemas.Example) {
	for i := range 12 {
		exs = append(exs, schemas.Example{
			ID: string(rune('a' + i)), Tools: tools, Calls: 1, Reference: "[f(a=1)]",
			PromptIDs: []int32{int32(1 + i), int32(7 + i)}, Template: p.TemplateHash(),
		})
	}
	return exs
}

// TestAJudgeOfOnesOwn: its outcomes take the place of the reference's, in order; answers that were cut fail
// without it; how an answer reads stays.
func TestAJudgeOfOnesOwn(t *testing.T) {
	p := policytest.Open(t, 1)
	exs := asked(p)
	req := policy.Request{MaxTokens: 40, Temperature: 1, Seed: 3}
	plain, err := judge.Answer(t.Context(), nil, p, exs, req)
	if err != nil {
		t.Fatal(err)
	}
	var questions []stages.Question
	own := says(func(q []stages.Question) (out []stages.Outcome, err error) {
		questions = append(questions, q...)
		for i := range q {
			out = append(out, stages.Outcome{Pass: i%2 == 0, Reason: "line one\nline two " + strings.Repeat("é", 400)})
		}
		return out, nil
	})
	got, err := judge.Answer(t.Context(), own, p, exs, req)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, v := range got {
		if v.Answer != plain[i].Answer || v.Parsed != plain[i].Parsed || v.Cut != plain[i].Cut {
			t.Errorf("%s: %+v, without the judge %+v", v.ExampleID, v, plain[i])
		}
		if v.Cut {
			if v.Pass || v != plain[i] {
				t.Errorf("%s was cut: got %+v, want %+v", v.ExampleID, v, plain[i])
			}
			continue
		}
		if questions[n].Example.ID != v.ExampleID || questions[n].Answer != v.Answer || v.Pass != (n%2 == 0) {
			t.Errorf("question %d is %q of %s, the verdict %+v", n, questions[n].Answer, questions[n].Example.ID, v)
		}
		if v.Pass != (v.ErrorName == "") || v.Pass != (v.ErrorType == "") {
			t.Errorf("pass and error disagree: %+v", v)
		}
		if !v.Pass && (!strings.HasPrefix(v.ErrorName, "judge: line one line two éé") || len(v.ErrorName) > 130) {
			t.Errorf("the fault is called %q", v.ErrorName)
		}
		n++
	}
	if n < 2 || n == len(got) {
		t.Fatalf("%d of %d answers were judged: the test wants some, and some that were cut", n, len(got))
	}
}

// outcomes is a judge that gives so many more outcomes than it should.
func outcomes(more int) says {
	return func(q []stages.Question) ([]stages.Outcome, error) { return make([]stages.Outcome, len(q)+more), nil }
}

func TestAJudgeThatFails(t *testing.T) {
	p := policytest.Open(t, 1)
	away := errors.New("away")
	for name, own := range map[string]says{
		"an error": func([]stages.Question) ([]stages.Outcome, error) { return nil, away },
		"too few":  outcomes(-1),
		"too many": outcomes(1),
	} {
		_, err := judge.Answer(t.Context(), own, p, asked(p), policy.Request{MaxTokens: 40, Temperature: 1, Seed: 3})
		if err == nil || !strings.HasPrefix(err.Error(), "judge: ") {
			t.Errorf("%s: got %v", name, err)
		}
		if name == "an error" && !errors.Is(err, away) {
			t.Errorf("%s: %v does not wrap the cause", name, err)
		}
	}
}

// TestOverruled: what a judge says and what the reference finds, in one result.
func TestOverruled(t *testing.T) {
	wrong := judge.Result{Parsed: true, ErrorName: "value_error:string", ErrorType: "parameter value"}
	for name, c := range map[string]struct {
		by   judge.Result
		said stages.Outcome
		want judge.Result
	}{
		"it saves what the reference refuses": {wrong, stages.Outcome{Pass: true},
			judge.Result{Pass: true, Parsed: true}},
		"it refuses what the reference takes": {judge.Result{Pass: true, Parsed: true}, stages.Outcome{Reason: "slow"},
			judge.Result{Parsed: true, ErrorName: "judge: slow", ErrorType: "other"}},
		"both refuse": {wrong, stages.Outcome{},
			judge.Result{Parsed: true, ErrorName: "judge", ErrorType: "parameter value"}},
	} {
		if got := c.by.Overruled(c.said); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
