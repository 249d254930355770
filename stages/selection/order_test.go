package selection_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/policy/policytest"
	"itool/stages/selection"
	"itool/stages/stagetest"
)

// chosen are the IDs of the selected examples, in order.
func chosen(rows []schemas.Selection) string {
	var out []string
	for _, r := range rows {
		if r.Selected {
			out = append(out, r.ExampleID)
		}
	}
	return strings.Join(out, " ")
}

// ranked ranks shuffled scores several times; the order of the scores must not matter.
func ranked(t *testing.T, scores []schemas.Score, order string, ratio float64) string {
	t.Helper()
	cfg := selection.Default()
	cfg.Order, cfg.Ratio = order, ratio
	want := chosen(selection.Rank(scores, cfg, 1))
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		r.Shuffle(len(scores), func(i, j int) { scores[i], scores[j] = scores[j], scores[i] })
		if got := chosen(selection.Rank(scores, cfg, 1)); got != want {
			t.Errorf("%s: %s, in another order of the scores %s", order, want, got)
		}
	}
	return want
}

func TestMixed(t *testing.T) {
	row := func(id string, right, draws int32, h float64, call bool) schemas.Score {
		return schemas.Score{ExampleID: id, Right: right, Draws: draws, Perplexity: h, HasCall: call}
	}
	scores := []schemas.Score{
		row("half-easy", 2, 4, 2, true), row("half-hard", 2, 4, 9, true), row("half-b", 2, 4, 2, true),
		row("quarter", 1, 4, 5, true), row("three", 3, 4, 7, true),
		row("never-hard", 0, 4, 30, true), row("never-easy", 0, 4, 20, true),
		row("solved-hard", 4, 4, 1.5, true), row("solved-easy", 4, 4, 1.1, true), row("unasked", 0, 0, 99, true),
		row("prose-never", 0, 4, 4, false), row("prose-some", 1, 4, 3, false),
	}
	const calls = "half-hard half-b half-easy three quarter never-easy never-hard solved-hard solved-easy unasked"
	for ratio, want := range map[float64]string{
		1: calls + " prose-some prose-never", 0.5: "half-hard half-b half-easy three quarter prose-some",
		0.1: "half-hard prose-some",
	} {
		if got := ranked(t, scores, selection.OrderMixed, ratio); got != want {
			t.Errorf("ratio %g: %s\nwant %s", ratio, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	row := func(id, fault string, h float64, call bool) schemas.Score {
		return schemas.Score{ExampleID: id, Answered: true, ErrorType: fault, Perplexity: h, HasCall: call}
	}
	var scores []schemas.Score
	for i := range 6 { // of one type there are many
		scores = append(scores, row("value-"+string(rune('a'+i)), "parameter value", float64(9-i), true))
	}
	scores = append(scores,
		row("tool", "tool name", 2, true), row("odd", "what a foreign worker says", 3, true),
		row("other", "other", 4, true),
		row("syntax-easy", "code syntax", 2, true), row("syntax-hard", "code syntax", 5, true),
		row("right-hard", "", 50, true), row("right-easy", "", 1, true),
		row("prose", "", 2, false), row("call-unwanted", "tools count", 1, false),
	)
	const first = "value-a tool syntax-hard other" // one of each type, in the paper's order
	for ratio, want := range map[float64]string{
		4. / 13: first + " call-unwanted",
		7. / 13: first + " value-b syntax-easy odd call-unwanted",
		1: first + " value-b syntax-easy odd value-c value-d value-e value-f right-hard right-easy " +
			"call-unwanted prose",
	} {
		if got := ranked(t, scores, selection.OrderErrors, ratio); got != want {
			t.Errorf("ratio %g: %s\nwant %s", ratio, got, want)
		}
	}
}

// TestOrderWithoutAnswers: if the scores hold no answers, the hardest are taken, and the
// rows say so.
func TestOrderWithoutAnswers(t *testing.T) {
	for _, order := range []string{selection.OrderMixed, selection.OrderErrors} {
		cfg := small()
		cfg.Order, cfg.SelfEval, cfg.HeadroomDraws = order, "off", 0
		item := roundOf(t, policytest.Tiny(1), cfg)
		rows := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)
		if want := "no example has answers, so select.order " + order; !strings.Contains(rows[0].JudgeReason, want) {
			t.Errorf("reason %q, want %q", rows[0].JudgeReason, want)
		}
		hardest := cfg
		hardest.Order = selection.OrderPerplexity
		item.Config = hardest
		plain := stagetest.Rows[schemas.Selection](t, selection.New(engine(t)), item)
		if !slices.EqualFunc(rows, plain, func(a, b schemas.Selection) bool { return a.ExampleID == b.ExampleID }) {
			t.Errorf("%s: %s, the hardest are %s", order, chosen(rows), chosen(plain))
		}
	}
}
