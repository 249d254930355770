package report

import (
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Verdict is what a reader must know first: one sentence, at most one warning, one thing to do.
type Verdict struct {
	Tone    Tone   `json:"tone"`
	Text    string `json:"text"`
	Warning string `json:"warning,omitempty"`
	Next    string `json:"next,omitempty"`
}

// Tone says what a verdict means for its reader; a page shows it as a colour.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Bad     Tone = "bad"
	Neutral Tone = "neutral" // no effect is shown, or nothing was tried
	Going   Tone = "going"   // the run goes on
)

// Verdict condenses the report. What it says about the rounds comes from Effect.Rounds, the paired difference
// of the last policy to the warm-up.
func (r *Report) Verdict() Verdict {
	v := r.outcome()
	if v.Warning == "" && v.Tone != Bad {
		v.Warning = r.firstWarning()
	}
	return v
}

func (r *Report) outcome() Verdict {
	switch {
	case r.Stalled != "":
		return Verdict{Tone: Bad, Text: "The run is stalled and waits for you", Next: Plain(r.Stalled)}
	case r.Status == schemas.StatusFailed:
		return Verdict{Tone: Bad, Text: "The run failed", Warning: Plain(r.Detail), Next: r.failedNext()}
	case r.Status == schemas.StatusCancelled:
		return Verdict{Tone: Neutral, Text: "The run was cancelled", Next: r.forkNext()}
	case r.Status == schemas.StatusGuard:
		return Verdict{
			Tone: Bad, Text: "The guard stopped the run; its last good policy stands", Warning: Plain(r.Detail),
			Next: "lower update.rate, then " + r.forkNext(),
		}
	case r.Running():
		return r.soFar()
	}
	return r.gained()
}

// soFar is the verdict on a run that goes on.
func (r *Report) soFar() Verdict {
	v := Verdict{Tone: Going, Text: "The run goes on; nothing is evaluated yet"}
	if len(r.Waiting) > 0 {
		v.Warning = Plain(r.Waiting[0])
	}
	switch e := r.Effect; {
	case e != nil && e.Rounds != nil:
		v.Text = "So far " + lower(r.sentence("rounds", e.Rounds).Text)
	case e != nil && e.WarmUp != nil:
		v.Text = "So far " + lower(r.sentence("warm-up", e.WarmUp).Text)
	case r.firstEvaluated() != nil:
		p := r.firstEvaluated()
		v.Text = fmt.Sprintf("The %s answers %.0f %% right; the run goes on", p.Name, 100*p.Accuracy.Headline().Mean)
	}
	return v
}

// gained is the verdict on a run that is done.
func (r *Report) gained() Verdict {
	if r.firstEvaluated() == nil {
		return Verdict{Tone: Neutral, Text: "Done, but nothing was evaluated", Next: r.WhyNoAccuracy()}
	}
	if why, next := r.untrained(); why != "" {
		return Verdict{Tone: Bad, Text: "The rounds trained nothing: " + why, Next: next}
	}
	e := r.Effect
	switch {
	case e == nil || e.Rounds == nil && e.WarmUp == nil:
		return Verdict{Tone: Neutral, Text: "Done; there is nothing to compare", Next: r.exportNext()}
	case e.Rounds == nil:
		return r.sentence("warm-up", e.WarmUp)
	}
	return r.sentence("rounds", e.Rounds)
}

// sentence judges a paired difference by its interval.
func (r *Report) sentence(what string, d *stats.Difference) Verdict {
	switch {
	case d.Low > 0:
		return Verdict{Tone: Good, Text: fmt.Sprintf("The %s helped: %s", what, inPoints(d)), Next: r.exportNext()}
	case d.High < 0:
		return Verdict{
			Tone: Bad, Text: fmt.Sprintf("The %s did harm: %s", what, inPoints(d)),
			Next: "lower update.rate, or export an earlier round: itool export " + r.Run + " --round 0 --out adapter",
		}
	}
	return Verdict{
		Tone: Neutral, Text: fmt.Sprintf("No effect of the %s is shown: %s", what, inPoints(d)),
		Next: r.noEffectNext(d),
	}
}

// lower is a sentence that goes on behind other words.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// inPoints formats a difference of shares: "+22 points (11 to 33)".
func inPoints(d *stats.Difference) string {
	return fmt.Sprintf("%s points (%s to %s)", signed(d.Mean), unsigned(d.Low), unsigned(d.High))
}

func signed(share float64) string { return minus(fmt.Sprintf("%+.0f", 100*share)) }

func unsigned(share float64) string { return minus(fmt.Sprintf("%.0f", 100*share)) }

// minus writes a number with the sign that people write, and no zero below zero.
func minus(s string) string {
	if s == "-0" || s == "+0" {
		return "0"
	}
	return strings.ReplaceAll(s, "-", "−")
}

// untrained says why no round trained anything, and what helps; "": some did, or there was none.
func (r *Report) untrained() (why, next string) {
	rounds := 0
	for _, p := range r.Policies {
		if p.Round > 0 && p.Changed() {
			return "", ""
		}
		if p.Round > 0 {
			rounds, why = rounds+1, Plain(p.Detail)
		}
	}
	if rounds == 0 || len(r.Rounds) == 0 {
		return "", ""
	}
	most := 0
	for _, rd := range r.Rounds {
		most = max(most, rd.Pairs)
	}
	if need := r.bars().Update.MinPairs; most < need {
		why = fmt.Sprintf("%d pairs, %d needed", most, need)
	}
	return why, "raise select.ratio, or search wider with expand.width"
}

// noEffectNext is what helps when no effect is shown.
func (r *Report) noEffectNext(d *stats.Difference) string {
	for _, rd := range r.Rounds {
		if h := rd.Headroom; h != nil && h.Gap.High < headroomBar {
			return "there is little to find: improve the warm-up (warmup.epochs), or take harder data"
		}
	}
	if d.High-d.Low > 0.06 {
		return fmt.Sprintf("%d rows are few: evaluate more (split.test_share), or raise select.ratio", d.N)
	}
	return "give the rounds more to learn from: raise select.ratio or expand.width"
}

func (r *Report) exportNext() string {
	return "take the adapter: itool export " + r.Run + " --out adapter"
}

func (r *Report) forkNext() string {
	return fmt.Sprintf("go on from a round: itool fork %s --from-round N --name OTHER", r.Run)
}

func (r *Report) failedNext() string {
	if len(r.Failures) > 0 {
		return "see what was given up: itool failed " + r.Run
	}
	return "mend what the error names, then " + r.forkNext()
}

// firstWarning is the gravest reason not to believe the numbers; "": there is none.
func (r *Report) firstWarning() string {
	for _, p := range r.Policies {
		if a := p.Accuracy; a != nil && a.Parsed.N > 0 && a.Parsed.Mean == 0 && p.Round >= 0 {
			return fmt.Sprintf("no answer of %s can be read as a call: check chat template and call format", p.Name)
		}
	}
	for i := range r.Rounds {
		if texts := r.Rounds[i].tooShort(); len(texts) > 0 {
			return PolicyName(r.Rounds[i].Round+1) + ": " + texts[0]
		}
	}
	if n := len(r.Failures); n > 0 {
		return fmt.Sprintf("%d items were given up and are missing in the numbers", n)
	}
	for _, name := range []string{"plateau", "margin", "|Δ log-probability|", "headroom"} {
		for _, g := range r.Gates {
			for _, v := range g.Values {
				if g.Name == name && v.Verdict == missed {
					return v.Policy + ": " + warnings[name]
				}
			}
		}
	}
	return ""
}
