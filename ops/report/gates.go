package report

import (
	"encoding/json"
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages/evaluate/stats"
	"itool/stages/expand"
	"itool/stages/selection"
	"itool/stages/update"
)

// Gate is a condition that should hold before a gain, or its absence, can be believed. Its
// numbers come from the fields of Report and Round.
type Gate struct {
	Name   string  `json:"name"`
	Bar    string  `json:"bar"`    // the condition in words; "" if the gate has none
	Means  string  `json:"means"`  // what the number says, and what to do if it misses the bar
	Values []Value `json:"values"` // in the order of the policies; empty: not measured
}

// Value is the number of a gate for the training of one policy.
type Value struct {
	Policy  string `json:"policy"` // "warm-up", "round 1" …
	Shown   string `json:"shown"`
	Verdict string `json:"verdict,omitempty"` // yes, no or unclear; "" if the gate has no bar
}

// Verdicts of a gate.
const (
	passed  = "yes"
	missed  = "no"
	unclear = "unclear" // the value misses the bar, but its 95 % interval reaches it
)

// The bars that are not settings.
const (
	plateauBar  = 0.01 // exact match: if more than a point is left, it is no plateau
	headroomBar = 0.10 // exact match: rounds gain a fraction of it, and single points are noise
	movedBar    = 0.1  // nats: the odds of an answer change by a tenth
)

// diagnose fills the numbers that the gates need, then the gates.
func (r *Report) diagnose() {
	for i := range r.Policies {
		if r.Policies[i].Round == 0 {
			r.Plateau = plateauOf(r.Policies[i].Metrics)
		}
	}
	r.gainsOfHeadroom()
	b := r.bars()
	r.Gates = []Gate{
		r.gatePlateau(), r.gateHeadroom(), r.gateShare(), r.gateJudge(b),
		r.gateFunnel(b), r.gateMoved(), r.gateMargin(), r.gateSides(),
	}
}

// bars are the sections of the run's configuration that contain the other bars, and limits.
type bars struct {
	Select selection.Config `json:"select"`
	Expand expand.Config    `json:"expand"`
	Update update.Config    `json:"update"`
}

func (r *Report) bars() bars {
	b := bars{selection.Default(), expand.Default(), update.Default()}
	_ = json.Unmarshal(r.Config, &b) // valid: publish has checked it
	return b
}

// maxCases limits the counts that are accepted from a record: the bootstrap of a billion cases
// would never end.
const maxCases = 1 << 20

// paired is the difference of two shares over the same n cases. Of these, won are right only
// after, and lost only before. It is nil if the counts do not add up.
func paired(n, won, lost int) *stats.Difference {
	if n <= 0 || n > maxCases || won < 0 || lost < 0 || won > n || lost > n-won {
		return nil
	}
	x := make([]float64, n)
	for i := range won {
		x[i] = 1
	}
	for i := range lost {
		x[won+i] = -1
	}
	return &stats.Difference{Interval: stats.Bootstrap(x, bootstrapSeed), Won: won, Lost: lost}
}

func plateauOf(m map[string]float64) *Plateau {
	d := paired(count(m["plateau_cases"]), count(m["plateau_won"]), count(m["plateau_lost"]))
	if d == nil {
		return nil
	}
	return &Plateau{
		Epochs: count(m["plateau_epochs"]), Rate: m["plateau_rate"],
		Before: m["plateau_before"], After: m["plateau_after"], Change: *d,
	}
}

// count converts a number that another program wrote; −1: it is no count.
func count(x float64) int {
	if !(x >= 0 && x <= maxCases) {
		return -1
	}
	return int(x)
}

func headroomOf(s schemas.Selection) *Headroom {
	lost := s.HeadroomGreedy - (s.HeadroomSampled - s.HeadroomWon)
	d := paired(int(s.HeadroomCases), int(s.HeadroomWon), int(lost))
	if d == nil || s.HeadroomDraws <= 0 {
		return nil
	}
	n := float64(s.HeadroomCases)
	return &Headroom{
		Draws: int(s.HeadroomDraws), Greedy: float64(s.HeadroomGreedy) / n, Sampled: float64(s.HeadroomSampled) / n,
		Gap: *d,
	}
}

// gainsOfHeadroom computes which share of its headroom each round gained, and which share of the
// first round's headroom all rounds gained. Without headroom the share stays nil.
func (r *Report) gainsOfHeadroom() {
	for i := range r.Rounds {
		rd := &r.Rounds[i]
		if p := r.PolicyOf(rd.Round + 1); p != nil && p.Accuracy != nil {
			rd.HeadroomShare = shareOfHeadroom(p.Accuracy.Gain, rd.Headroom)
		}
		if rd.Round == 0 && r.Effect != nil {
			r.Effect.HeadroomShare = shareOfHeadroom(r.Effect.Rounds, rd.Headroom)
		}
	}
}

func shareOfHeadroom(gain *stats.Difference, h *Headroom) *float64 {
	if gain == nil || h == nil || h.Gap.Mean <= 0 {
		return nil
	}
	s := gain.Mean / h.Gap.Mean
	return &s
}

func (r *Report) gatePlateau() Gate {
	g := Gate{
		Name: "plateau", Bar: "< +1 point",
		Means: "What one more epoch of plain fine-tuning would change. If that is a point or more, " +
			"train longer (warmup.epochs) before you credit or blame the rounds.",
	}
	p := r.Plateau
	if p == nil {
		g.Means += " Not measured: warmup.plateau=1 measures it and takes the time of one more epoch."
		return g
	}
	if p.Epochs > 1 {
		g.Means = strings.Replace(g.Means, "one more epoch", fmt.Sprintf("%d more epochs", p.Epochs), 1)
	}
	verdict := passed
	switch {
	case p.Change.Low > plateauBar:
		verdict = missed
	case p.Change.Mean >= plateauBar-1e-9:
		verdict = unclear
	}
	g.Values = []Value{{PolicyName(0), wholePoints(p.Change), verdict}}
	return g
}

func (r *Report) gateHeadroom() Gate {
	g := Gate{
		Name: "headroom", Bar: "≥ 10 points",
		Means: "How much more often one of %s is right than the greedy answer. A round cannot gain more. " +
			"Below the bar a search finds little: first improve the warm-up, or use harder data.",
	}
	draws := "k draws at temperature 1"
	for _, rd := range r.Rounds {
		h := rd.Headroom
		if h == nil {
			continue
		}
		draws = fmt.Sprintf("%d draws at temperature 1", h.Draws)
		verdict := passed
		switch {
		case h.Gap.High < headroomBar:
			verdict = missed
		case h.Gap.Mean < headroomBar-1e-9:
			verdict = unclear
		}
		g.add(rd, wholePoints(h.Gap), verdict)
	}
	g.Means = fmt.Sprintf(g.Means, draws)
	if len(g.Values) == 0 && len(r.Rounds) > 0 {
		g.Means += " Not measured: it needs select.headroom_draws, and validation rows with calls."
	}
	return g
}

func (r *Report) gateShare() Gate {
	g := Gate{
		Name: "gain ÷ headroom",
		Means: "The share of its headroom that a round turned into accuracy on the evaluated rows. " +
			"It is as uncertain as that gain.",
	}
	for _, rd := range r.Rounds {
		if s := rd.HeadroomShare; s != nil {
			g.add(rd, shareShown(*s), "")
		}
	}
	return g
}

// shareShown is a share of the headroom. A gain on the evaluated rows may exceed the headroom of the validation rows.
func shareShown(s float64) string {
	switch {
	case s > 1:
		return "all of it"
	case s <= 0:
		return "none"
	}
	return fmt.Sprintf("%.0f %%", 100*s)
}

func (r *Report) gateJudge(b bars) Gate {
	g := Gate{
		Name: "self-evaluation", Bar: fmt.Sprintf("AUC ≥ %.2f, mass ≥ %.2f", b.Select.MinAUC, b.Select.MinMass),
		Means: "AUC: does the policy's judgement tell right answers from wrong ones (0.5: chance)? " +
			"Mass: does it answer with the letters? Below the bar it does not count (C = 0).",
	}
	for _, rd := range r.Rounds {
		if j := rd.Judge; j != nil && j.Mass != nil {
			g.add(rd, Number(j.AUC)+", "+Number(j.Mass), verdictOf(j.Counts))
		}
	}
	return g
}

func (r *Report) gateFunnel(b bars) Gate {
	g := Gate{
		Name: "funnel", Bar: fmt.Sprintf("≥ %d pairs, ≥ %d steps", b.Update.MinPairs, b.Update.MinSteps),
		Means: "Branching nodes → pairs → steps. Below the bar the round is “no update”, which is no result. " +
			"Few branches: raise expand.width or select.ratio. Few pairs: see why they were dropped.",
	}
	for _, rd := range r.Rounds {
		if p := r.PolicyOf(rd.Round + 1); p != nil {
			funnel := fmt.Sprintf("%d → %d → %d", rd.Branching, rd.Pairs, rd.Steps)
			g.add(rd, funnel, verdictOf(p.Status != schemas.StatusNoUpdate))
		}
	}
	return g
}

func (r *Report) gateMoved() Gate {
	g := Gate{
		Name: "|Δ log-probability|", Bar: fmt.Sprintf("≥ %g nats", movedBar),
		Means: "How far the update moved the pairs' answers, mean over both sides. Below the bar the policy " +
			"has hardly changed: raise update.rate or update.epochs, or find more pairs.",
	}
	for _, rd := range r.Rounds {
		if rd.Sides != nil {
			g.add(rd, fmt.Sprintf("%.3f", rd.moved()), verdictOf(rd.moved() >= movedBar))
		}
	}
	return g
}

// moved is how far the update moved the log-probability of an answer, mean over both sides, in
// nats.
func (rd *Round) moved() float64 { return (rd.ChosenChange + rd.RejectedChange) / 2 }

func (r *Report) gateMargin() Gate {
	g := Gate{
		Name: "margin", Bar: "rises",
		Means: "Chosen − rejected log-probability per token, in nats. If it does not rise, the update did not " +
			"learn its pairs: check update.rate, then the pairs.",
	}
	for _, rd := range r.Rounds {
		if s := rd.Sides; s != nil {
			before, after := s.ChosenBefore-s.RejectedBefore, s.ChosenAfter-s.RejectedAfter
			g.add(rd, fmt.Sprintf("%.2f → %.2f", before, after), verdictOf(after > before))
		}
	}
	return g
}

func (r *Report) gateSides() Gate {
	g := Gate{
		Name: "chosen, rejected",
		Means: "How each side of the margin moved. Both may fall while the margin rises, which is normal for a " +
			"preference loss. If chosen falls as far as rejected, raise update.sft_weight.",
	}
	for _, rd := range r.Rounds {
		if s := rd.Sides; s != nil {
			chosen, rejected := s.ChosenAfter-s.ChosenBefore, s.RejectedAfter-s.RejectedBefore
			g.add(rd, fmt.Sprintf("%+.2f, %+.2f", chosen, rejected), "")
		}
	}
	return g
}

// add adds the value for the policy that a round trained.
func (g *Gate) add(rd Round, shown, verdict string) {
	g.Values = append(g.Values, Value{PolicyName(rd.Round + 1), shown, verdict})
}

// wholePoints formats a difference with its interval in whole points, for a narrow table.
func wholePoints(d stats.Difference) string {
	return fmt.Sprintf("%+.1f [%+.0f, %+.0f]", 100*d.Mean, 100*d.Low, 100*d.High)
}

func verdictOf(ok bool) string {
	if ok {
		return passed
	}
	return missed
}

// GateColumns are the names of the policies that have a value in any gate, in their order.
func (r *Report) GateColumns() []string {
	seen := map[string]bool{}
	for _, g := range r.Gates {
		for _, v := range g.Values {
			seen[v.Policy] = true
		}
	}
	var out []string
	for _, p := range r.Policies {
		if seen[p.Name] {
			out = append(out, p.Name)
		}
	}
	for _, rd := range r.Rounds { // the current round has no policy yet
		if name := PolicyName(rd.Round + 1); seen[name] && r.PolicyOf(rd.Round+1) == nil {
			out = append(out, name)
		}
	}
	return out
}

// At is the gate's value for a policy, or a dash if it has none.
func (g Gate) At(policy string) Value {
	for _, v := range g.Values {
		if v.Policy == policy {
			return v
		}
	}
	return Value{Shown: "–"}
}
