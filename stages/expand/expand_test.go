package expand_test

import (
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/expand"
	"itool/stages/expand/search"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/stagetest"
)

const tools = `[{"name":"f","parameters":{"type":"dict","properties":{"a":{"type":"integer"}},"required":["a"]}}]`

func engine(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func example(t testing.TB, reference string) schemas.Example {
	t.Helper()
	p := policytest.Open(t, 1)
	msgs := []policy.Message{{Role: "user", Content: "call f with 1"}}
	ids, err := p.Prompt(msgs, json.RawMessage(tools))
	if err != nil {
		t.Fatal(err)
	}
	m, err := json.Marshal(msgs)
	if err != nil {
		t.Fatal(err)
	}
	ex := schemas.Example{
		ID: "s-00001", Messages: string(m), Tools: tools, Reference: reference,
		PromptIDs: ids, AnswerIDs: p.Answer(reference), Template: p.TemplateHash(),
		Candidates: 1, Part: "train", Replay: true,
	}
	if reference[0] == '[' {
		ex.Calls = 1
	}
	return ex
}

func item(t testing.TB, ex schemas.Example, judge float64, config any) stagetest.Item {
	return stagetest.Item{
		Policy: policytest.Tiny(1), Config: config,
		Batches: []schemas.Batch{stagetest.Batch(t, ex.ID, ex)},
		Rounds: []stagetest.Round{{Record: "selection", Batches: []schemas.Batch{
			stagetest.Batch(t, "selection", schemas.Selection{ExampleID: ex.ID, Selected: true, JudgeWeight: judge}),
		}}},
	}
}

// config keeps the trees small: the policy's answers are noise.
func config() expand.Config {
	c := expand.Default()
	c.MaxAnswerTokens, c.Width, c.Iterations = 24, 3, 6
	return c
}

func TestContract(t *testing.T) {
	stagetest.Run(t, expand.New(engine(t)), stagetest.Case{Item: item(t, example(t, "[f(a=1)]"), 0, config())})
}

func TestTheResultIsAWholeTree(t *testing.T) {
	for name, c := range map[string]struct {
		reference string
		judge     float64
		preset    string
	}{
		"a call is wanted":               {"[f(a=1)]", 0, ""},
		"prose is wanted":                {"I cannot do that.", 0, ""},
		"self-evaluation counts":         {"[f(a=1)]", 1, ""},
		"the authors' shallow trees":     {"[f(a=1)]", 0, "paper"},
		"shallow trees, self-evaluation": {"[f(a=1)]", 1, "paper"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Preset = c.preset
			ex := example(t, c.reference)
			rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), item(t, ex, c.judge, cfg))
			if !slices.Equal(rows[0].Tokens, ex.PromptIDs) || rows[0].Parent != -1 {
				t.Fatal("the root is not the prompt")
			}
			if rows[0].Reference != c.reference || rows[0].Tools != tools || rows[0].Calls != ex.Calls ||
				rows[1].Reference != "" {
				t.Errorf("root %+v and its child do not have the reference once", rows[0])
			}
			p := policytest.Open(t, 1)
			terminals, opinions := 0, 0
			for i, r := range rows[1:] {
				if r.Node != int32(i+1) || r.Parent < 0 || r.Parent >= r.Node ||
					r.Visits < 1 || r.Prior <= 0 || r.Prior > 1 {
					t.Fatalf("node %d: %+v", i+1, r)
				}
				if r.SelfEval != 0 {
					opinions++
				}
				if !r.Terminal {
					continue
				}
				terminals++
				if want := map[bool]float64{true: 1, false: -1}[r.Pass]; r.Outcome != want {
					t.Errorf("terminal %d: outcome %g, pass %t", r.Node, r.Outcome, r.Pass)
				}
				if !r.Pass && r.ErrorType == "" {
					t.Errorf("terminal %d fails without an error type", r.Node)
				}
				if last := r.Tokens; !r.Cut && !p.IsEnd(last[len(last)-1]) {
					t.Errorf("terminal %d is not cut and does not end the turn", r.Node)
				}
			}
			if terminals == 0 && c.preset == "" {
				t.Error("no roll-out reached an end")
			}
			if (opinions > 0) != (c.judge > 0) {
				t.Errorf("%d self-evaluations with weight %g", opinions, c.judge)
			}
		})
	}
}

// The log-probabilities of the tokens along a path through the tree are those of the
// same tokens in one sequence.
func TestFragmentsContinueTheirPrefix(t *testing.T) {
	ex := example(t, "[f(a=1)]")
	rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), item(t, ex, 0, config()))
	p := policytest.Open(t, 1)
	for _, r := range rows[1:] {
		var answer []int32
		for n := r; n.Parent >= 0; n = rows[n.Parent] {
			answer = append(slices.Clone(n.Tokens), answer...)
		}
		logps, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: ex.PromptIDs, Answer: answer}})
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, l := range logps[0][len(answer)-len(r.Tokens):] {
			sum += float64(l)
		}
		if got, want := r.LogProb, sum/float64(len(r.Tokens)); got < want-1e-4 || got > want+1e-4 {
			t.Fatalf("node %d: log-probability %g in the tree, %g of the sequence", r.Node, got, want)
		}
	}
}

// TestSamples: the baseline without a search is whole answers under the root, ranked
// by their probability.
func TestSamples(t *testing.T) {
	cfg := config()
	cfg.Preset, cfg.Width = expand.PresetSamples, 4
	p := policytest.Open(t, 1)
	rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), item(t, example(t, "[f(a=1)]"), 1, cfg))
	if len(rows) < 3 || len(rows) > 5 {
		t.Fatalf("%d nodes, want the root and at most four answers; noise rarely repeats one", len(rows))
	}
	for _, r := range rows[1:] {
		if r.Parent != 0 || !r.Terminal || r.Outcome == 0 || r.SelfEval != 0 {
			t.Errorf("node %d: %+v, want a judged whole answer", r.Node, r)
		}
		logps, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: rows[0].Tokens, Answer: r.Tokens}})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, l := range logps[0] {
			sum += float64(l)
		}
		if got := math.Log(r.Q); math.Abs(got-sum) > 1e-3 {
			t.Errorf("node %d: Q is exp(%g), the answer's probability exp(%g)", r.Node, got, sum)
		}
	}
}

// TestBestOfN: whole answers, whose Q is what they earn.
func TestBestOfN(t *testing.T) {
	cfg := config()
	cfg.Preset, cfg.Width = expand.PresetBestOfN, 4
	rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), item(t, example(t, "[f(a=1)]"), 1, cfg))
	if len(rows) < 3 || len(rows) > 5 {
		t.Fatalf("%d nodes, want the root and at most four answers; noise rarely repeats one", len(rows))
	}
	for _, r := range rows[1:] {
		if r.Parent != 0 || !r.Terminal || r.SelfEval != 0 || r.Q != r.Outcome || r.Pass != (r.Q == 1) {
			t.Errorf("node %d: %+v, want a whole answer whose Q is its outcome", r.Node, r)
		}
	}
}

// TestRoomForTheReference: the limit is raised to the reference's length, because a
// lower one would fail every right answer.
func TestRoomForTheReference(t *testing.T) {
	cfg := config()
	cfg.MaxAnswerTokens, cfg.Preset = 2, expand.PresetSamples
	ex := example(t, "[f(a=1), f(a=2), f(a=3)]")
	rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), item(t, ex, 0, cfg))
	longest := 0
	for _, r := range rows[1:] {
		longest = max(longest, len(r.Tokens))
	}
	if longest <= 2 || longest > len(ex.AnswerIDs) {
		t.Errorf("the longest answer has %d tokens, want up to the reference's %d", longest, len(ex.AnswerIDs))
	}
}

// A tree that does not fit into the cache does not fit at the next attempt either.
func TestATreeTooLargeForTheCacheIsRejected(t *testing.T) {
	e, err := policy.NewEngine(policy.Options{SessionTokens: policytest.ContextLength})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config()
	cfg.Iterations, cfg.Width, cfg.TokenBudget, cfg.MaxAnswerTokens = 500, 32, 0, 400
	_, err = stagetest.Process(t.Context(), t, expand.New(e), item(t, example(t, "[f(a=1)]"), 0, cfg))
	if !stages.IsReject(err) || !strings.Contains(err.Error(), "token_budget") {
		t.Errorf("got %v, want a rejection that says what to lower", err)
	}
}

// TestUnfinishedRollOuts: where a roll-out was cut short there is no outcome, and C is all of the reward, if it
// counts. So siblings differ in Q though no answer has come to its end.
func TestUnfinishedRollOuts(t *testing.T) {
	p := policytest.Open(t, 1)
	tree := &search.Tree{Nodes: []search.Node{{Parent: -1}}}
	for _, beginning := range []string{"[f(", "[g("} {
		ids := p.Answer(beginning)
		ids = ids[:len(ids)-1] // without the end of the turn
		tree.Nodes = append(tree.Nodes, search.Node{Tokens: ids, Length: len(ids)})
	}
	ex := example(t, "[f(a=1)]")
	for _, weight := range []float64{0, 1} {
		in := input()
		in.Round = func(string, int) iter.Seq2[schemas.Batch, error] {
			return func(yield func(schemas.Batch, error) bool) {
				yield(stagetest.Batch(t, "selection", schemas.Selection{JudgeWeight: weight}), nil)
			}
		}
		oracle, _, err := expand.New(engine(t)).Oracle(in, config(), &ex)
		if err != nil {
			t.Fatal(err)
		}
		r, err := oracle.Evaluate(t.Context(), tree, []int{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if r[0].Outcome != 0 || r[1].Outcome != 0 || r[0].Pass || (r[0].SelfEval != r[1].SelfEval) != (weight > 0) {
			t.Errorf("C counts by %g: rewards %+v", weight, r)
		}
	}
}

// TestOutcome: the search is given ±1 or, if the outcome is graded, partial credit at the ends of answers.
// What passes is told apart in both.
func TestOutcome(t *testing.T) {
	p := policytest.Open(t, 1)
	tree := &search.Tree{Nodes: []search.Node{{Parent: -1}}}
	add := func(answer string, terminal, cut bool) {
		ids := p.Answer(answer)
		tree.Nodes = append(tree.Nodes, search.Node{Tokens: ids, Length: len(ids), Terminal: terminal, Cut: cut})
	}
	add("[f(a=1)]", true, false)
	add("[f(a=2)]", true, false)
	add("[g(a=2)]", true, false)
	add("No.", true, false)
	add("[f(a=2)]", true, true)
	add("[f(a=2)]", false, false) // a roll-out that was cut short by Simulation
	for outcome, want := range map[string][]float64{
		"strict": {1, -1, -1, -1, -1, 0},
		"graded": {1, 0.2, -1. / 7, -1, -1, 0}, // of three units one is wrong, or two are
	} {
		cfg := config()
		cfg.Outcome = outcome
		ex := example(t, "[f(a=1)]")
		oracle, _, err := expand.New(engine(t)).Oracle(input(), cfg, &ex)
		if err != nil {
			t.Fatal(err)
		}
		rewards, err := oracle.Evaluate(t.Context(), tree, []int{1, 2, 3, 4, 5, 6})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rewards {
			if math.Abs(r.Outcome-want[i]) > 1e-12 || r.Pass != (i == 0) {
				t.Errorf("%s, answer %d: %+v, want an outcome of %g", outcome, i, r, want[i])
			}
		}
	}
	cfg := config()
	if cfg.Outcome = "fair"; cfg.Validate() == nil {
		t.Error("an unknown outcome is accepted")
	}
}

// input is what Process gets, without a selection.
func input() stages.Input {
	return stages.Input{
		PolicyDigest: "base", Policy: policytest.Tiny(1),
		Round: func(string, int) iter.Seq2[schemas.Batch, error] { return func(func(schemas.Batch, error) bool) {} },
	}
}
