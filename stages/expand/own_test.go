package expand_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/expand"
	"itool/stages/judge"
	"itool/stages/stagetest"
)

type says func(stages.Question) (stages.Outcome, error)

func (f says) Judge(_ context.Context, all []stages.Question) (out []stages.Outcome, err error) {
	for _, q := range all {
		o, err := f(q)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// TestAJudgeThatSaysWhatTheReferenceSays grows the same tree, row by row, by either outcome.
func TestAJudgeThatSaysWhatTheReferenceSays(t *testing.T) {
	asked := 0
	same := says(func(q stages.Question) (stages.Outcome, error) {
		asked++
		x, err := judge.NewExaminer(q.Example)
		if err != nil {
			return stages.Outcome{}, err
		}
		r, graded := x.Graded(q.Answer, false)
		return stages.Outcome{Pass: r.Pass, Score: graded}, nil
	})
	for _, outcome := range []string{expand.OutcomeStrict, expand.OutcomeGraded} {
		cfg := longer()
		cfg.Outcome = outcome
		it := item(t, example(t, "I cannot."), 0, cfg)
		want := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), it)
		it.Judge = same
		if got := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), it); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the trees differ", outcome)
		}
	}
	if asked == 0 {
		t.Error("the judge was never asked")
	}
}

// longer leaves room for some of the policy's noise to come to an end.
func longer() expand.Config {
	c := config()
	c.MaxAnswerTokens, c.TokenBudget = 400, 0
	return c
}

// TestTheJudgesScoreIsTheReward: with graded outcomes O is the judge's score, with strict ones its pass as ±1.
func TestTheJudgesScoreIsTheReward(t *testing.T) {
	score := func(q stages.Question) float64 { return float64(len(q.Answer)%5)/4 - 0.5 }
	own := says(func(q stages.Question) (stages.Outcome, error) {
		return stages.Outcome{Pass: len(q.Answer)%2 == 0, Score: score(q)}, nil
	})
	for outcome, want := range map[string]func(schemas.Candidate, float64) bool{
		expand.OutcomeStrict: func(r schemas.Candidate, _ float64) bool { return (r.Outcome == 1) == r.Pass },
		expand.OutcomeGraded: func(r schemas.Candidate, s float64) bool { return math.Abs(r.Outcome-s) < 1e-12 },
	} {
		cfg := longer()
		cfg.Outcome = outcome
		it := item(t, example(t, "[f(a=1)]"), 0, cfg)
		it.Judge = own
		judged := 0
		rows := stagetest.Rows[schemas.Candidate](t, expand.New(engine(t)), it)
		for i, r := range rows {
			if !r.Terminal || r.Cut || r.Visits == 0 {
				continue
			}
			answer := ""
			for n := i; n > 0; n = int(rows[n].Parent) {
				answer = rows[n].Text + answer
			}
			judged++
			if !want(r, score(stages.Question{Answer: answer})) {
				t.Errorf("%s: node %d, answer %q: outcome %g, pass %t", outcome, i, answer, r.Outcome, r.Pass)
			}
		}
		if judged == 0 {
			t.Fatalf("%s: no answer was judged", outcome)
		}
	}
}

func TestAJudgeThatIsAwayIsNoReject(t *testing.T) {
	away := errors.New("away")
	it := item(t, example(t, "I cannot."), 0, longer())
	it.Judge = says(func(stages.Question) (stages.Outcome, error) { return stages.Outcome{}, away })
	_, err := stagetest.Process(t.Context(), t, expand.New(engine(t)), it)
	if !errors.Is(err, away) || stages.IsReject(err) {
		t.Errorf("got %v, want the judge's error, not rejected", err)
	}
}
