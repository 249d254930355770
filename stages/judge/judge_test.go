package judge_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

const tools = `[{"name":"f","parameters":{"type":"dict",
	"properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}}]`

func TestOutcome(t *testing.T) {
	call := schemas.Example{ID: "e", Tools: tools, Reference: "[f(a=1)]", Calls: 1}
	bench := call
	bench.Category, bench.Acceptable = "live_simple", `[{"f":{"a":[1,2],"b":["","x"]}}]`
	flag := bench
	flag.Tools = strings.ReplaceAll(tools, "string", "boolean")
	flag.Acceptable = `[{"f":{"a":[1],"b":[true]}}]`
	silent := schemas.Example{ID: "e", Tools: tools, Reference: "No tool fits.", Category: "live_irrelevance"}
	hermes := call
	hermes.Reference = `<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>`
	prose := schemas.Example{ID: "e", Tools: tools, Reference: "No tool fits."}
	asked := func(category, acceptable string, calls int32) schemas.Example {
		return schemas.Example{ID: "e", Tools: tools, Category: category, Acceptable: acceptable, Calls: calls,
			Part: schemas.PartTest}
	}
	none, some := asked("irrelevance", "", 0), asked("live_relevance", "", 0)
	java := asked("java", `[{"f":{"a":[1],"b":["","x"]}}]`, 1)
	right := judge.Result{Pass: true, Parsed: true}
	fault := func(name, kind string, parsed bool) judge.Result {
		return judge.Result{Parsed: parsed, ErrorName: name, ErrorType: kind}
	}
	value := fault("value_error:others", "parameter value", true)
	undecodable := fault("ast_decoder:decoder_failed", "code syntax", false)
	silence := fault("irrelevance_error:decoder_success", "tools count", true)
	unwanted := fault(judge.ErrCallUnwanted, "tools count", true)
	for name, c := range map[string]struct {
		ex     schemas.Example
		answer string
		cut    bool
		want   judge.Result
	}{
		"the reference":       {call, "[f(a=1)]", false, right},
		"another value":       {call, "[f(a=2)]", false, value},
		"an acceptable value": {bench, "[f(a=2)]", false, right},
		"BFCL reads true as a name": {flag, "[f(a=1, b=true)]", false, fault("type_error:simple",
			"parameter value", true)},
		"True is no name":                {flag, "[f(a=1, b=True)]", false, right},
		"a list in a list: v3 reads it":  {bench, "[[f(a=1)]]", false, undecodable},
		"a blank before it: v4 reads it": {bench, "[ f(a=1)]", false, undecodable},
		"words where BFCL wants no call": {silent, "I cannot (really) do that", false, right},
		"BFCL reads these as a call":     {silent, "42 (about)", false, silence},
		"JSON where BFCL wants no call":  {silent, hermes.Reference, false, silence},
		"right but cut":                  {call, "[f(a=1)]", true, fault(judge.ErrCut, "other", false)},
		"prose instead of a call":        {call, "I cannot.", false, undecodable},
		"the reference of Hermes":        {hermes, hermes.Reference, false, right},
		"another format than Hermes":     {hermes, "[f(a=1)]", false, undecodable},
		"Hermes where prose is wanted":   {prose, hermes.Reference, false, unwanted},
		"prose where prose is wanted":    {prose, "I cannot do that.", false, right},
		"a call where prose is wanted":   {prose, "[f(a=1)]", false, unwanted},
		"nothing where prose is wanted":  {prose, "", false, fault(judge.ErrEmpty, "other", false)},
		"no call is wanted":              {none, "I cannot", true, right},
		"no call is wanted, not cut":     {none, "", false, right},
		"a call and none is wanted":      {none, "[f(a=1)]", true, silence},
		"Hermes, and no call is wanted":  {none, hermes.Reference, false, silence},
		"any call is wanted":             {some, "[g()]", true, right},
		"any call of Hermes is wanted":   {some, "Well:\n" + hermes.Reference, false, right},
		"words where any call is wanted": {some, "I cannot.", false, fault("relevance_error:decoder_failed",
			"tools count", false)},
		"Java":                           {java, `f(a=1, b="x")`, false, right},
		"another value in Java":          {java, `f(a=2, b="x")`, false, value},
		"unfinished prose":               {prose, "I cannot", true, fault(judge.ErrCut, "other", false)},
		"half a call where prose wanted": {prose, "[f(a=", false, fault(judge.ErrCallUnwanted, "tools count", false)},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := judge.NewExaminer(&c.ex)
			if err != nil {
				t.Fatal(err)
			}
			if got := x.Outcome(c.answer, c.cut); got != c.want {
				t.Errorf("%q: got %+v, want %+v", c.answer, got, c.want)
			}
		})
	}
}

func TestBrokenExamplesAreNamed(t *testing.T) {
	for name, ex := range map[string]schemas.Example{
		"tools":      {ID: "e", Tools: "7"},
		"acceptable": {ID: "e", Tools: tools, Calls: 1, Acceptable: "{"},
		"reference":  {ID: "e", Tools: tools, Calls: 1, Reference: "[f(a="},
	} {
		if _, err := judge.NewExaminer(&ex); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(err)
		}
	}
}

// TestSelfEvaluation: a reading is a distribution with its weighted mean, and does not
// depend on what was read before.
func TestSelfEvaluation(t *testing.T) {
	p := policytest.Open(t, 1)
	e, err := judge.NewSelfEvaluator(p)
	if err != nil {
		t.Fatal(err)
	}
	ex := schemas.Example{ID: "e", Messages: `[{"role":"user","content":"call f"}]`, Reference: "[f(a=1)]"}
	r, err := e.Evaluate(t.Context(), &ex, "[f(a=2)]", true)
	if err != nil {
		t.Fatal(err)
	}
	sum, c := 0.0, 0.0
	for i, x := range r.Probs {
		sum += x
		c += x * judge.Weights[i]
	}
	if math.Abs(sum-1) > 1e-9 || math.Abs(c-r.C) > 1e-9 || r.Mass <= 0 || r.Mass > 1 {
		t.Errorf("got %+v: probabilities sum to %g, C should be %g", r, sum, c)
	}
	// Prompts read before are reused, and must not change a reading.
	for _, other := range []string{"[f(a=2)]", "[f(a=234)]", "[g()]", ""} {
		if _, err := e.Evaluate(t.Context(), &ex, other, other != ""); err != nil {
			t.Fatal(err)
		}
		again, err := e.Evaluate(t.Context(), &ex, "[f(a=2)]", true)
		if err != nil || again != r {
			t.Errorf("a reading after that of %q differs: %+v, %v", other, again, err)
		}
	}
}

// TestEvaluationPrompt: Eq. 7 conditions on the tools and on the whole conversation, so the
// prompt holds both. It begins with the tokens that the policy has answered.
func TestEvaluationPrompt(t *testing.T) {
	p := policytest.Open(t, 1)
	before := []policy.Message{
		{Role: "system", Content: "be brief"}, {Role: "user", Content: "first question"},
		{Role: "assistant", Content: "[f(a=7)]"}, {Role: "tool", Content: "found 7"},
		{Role: "user", Content: "and then"},
	}
	messages, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	ex := schemas.Example{ID: "e", Messages: string(messages), Tools: tools, Reference: "[f(a=1)]", Calls: 1}
	if ex.PromptIDs, err = p.Prompt(before, json.RawMessage(tools)); err != nil {
		t.Fatal(err)
	}
	e, err := judge.NewSelfEvaluator(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []bool{true, false} {
		prompts, err := e.Prompts(&ex, "[f(a=2)]", with)
		if err != nil {
			t.Fatal(err)
		}
		for r, ids := range prompts {
			text := p.Text(ids)
			for _, part := range []string{
				"f(a: integer, b?: string)", "be brief", "first question", "[f(a=7)]", "found 7", "and then",
				"[f(a=2)]", "A. ", "D. ",
			} {
				if !strings.Contains(text, part) {
					t.Errorf("reference %t, rotation %d: %q is not in %q", with, r, part, text)
				}
			}
			if strings.Contains(text, ex.Reference) != with {
				t.Errorf("reference %t: %q", with, text)
			}
			if !slices.Equal(ids[:len(ex.PromptIDs)], ex.PromptIDs) {
				t.Errorf("%q does not begin with what the policy answered", text)
			}
		}
	}
}

// TestEvaluationErrors: what does not fit is ErrTooLong, and an unreadable example is named.
func TestEvaluationErrors(t *testing.T) {
	e, err := judge.NewSelfEvaluator(policytest.Open(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a long story ", policytest.ContextLength/13)
	ex := schemas.Example{ID: "e1", Messages: `[{"role":"user","content":"` + long + `"}]`, Tools: "[]"}
	if _, err := e.Evaluate(t.Context(), &ex, "No.", false); !errors.Is(err, policy.ErrTooLong) {
		t.Errorf("a long conversation: %v, want ErrTooLong", err)
	}
	ex.Messages = "7"
	if _, err := e.Evaluate(t.Context(), &ex, "No.", false); err == nil || !strings.Contains(err.Error(), "e1") {
		t.Errorf("broken messages: %v, want an error that names e1", err)
	}
}

func TestAUC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + r.IntN(12)
		score, pass := make([]float64, n), make([]bool, n)
		for i := range n {
			score[i], pass[i] = float64(r.IntN(4)), r.IntN(2) == 0
		}
		// The slow, obvious twin counts pairs.
		var wins, pairs float64
		for i := range n {
			for j := range n {
				if pass[i] && !pass[j] {
					pairs++
					switch {
					case score[i] > score[j]:
						wins++
					case score[i] == score[j]:
						wins += 0.5
					}
				}
			}
		}
		got, want := judge.AUC(score, pass), wins/pairs
		if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-12 {
			t.Fatalf("AUC(%v, %v) = %g, want %g", score, pass, got, want)
		}
	}
}
