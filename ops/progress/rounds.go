package progress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// Right is how many of the questions that a policy was asked it answers right: of those that want a call, as the
// report counts them.
type Right struct{ Right, Asked int }

func (r Right) String() string { return fmt.Sprintf("%.0f %%", r.percent()) }

func (r Right) percent() float64 { return 100 * float64(r.Right) / float64(max(1, r.Asked)) }

// learn reads what a change of the rounds tells: when they opened, policies and their accuracy. What was read is
// not read again.
func (t *Tracker) learn(ctx context.Context, c *courier.Courier) (err error) {
	if t.rounds < 0 {
		if t.rounds, err = rounds(ctx, c, t.run); err != nil {
			return err
		}
	}
	state := t.state()
	if state == t.known || t.rounds < 0 {
		return nil
	}
	t.ms, err = Milestones(ctx, c, t.run, t.rounds)
	if errors.Is(err, broker.ErrNoRun) {
		return nil
	}
	if err != nil {
		return err
	}
	for round := 0; round <= t.rounds; round++ {
		if _, ok := t.policies[round]; ok {
			continue
		}
		p, err := c.Policy(ctx, t.run, round)
		if errors.Is(err, broker.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		t.policies[round] = p
	}
	for _, r := range t.view.Rounds {
		if _, ok := t.right[r.Round]; ok || r.Record != schemas.RecordVerdict || !r.Gathered {
			continue
		}
		right, asked, err := report.Right(ctx, c, t.run, r.Round)
		if err != nil {
			return err
		}
		t.right[r.Round] = Right{right, asked}
	}
	t.known = state
	return nil
}

// state changes when a round opens or closes, or the run ends.
func (t *Tracker) state() string {
	var b strings.Builder
	for _, r := range t.view.Rounds {
		fmt.Fprintf(&b, "%s %v,", roundID(r), r.Gathered)
	}
	fmt.Fprint(&b, t.view.End != nil)
	return b.String()
}

// rounds reads how many rounds a run is to have; −1: it is not there yet.
func rounds(ctx context.Context, c *courier.Courier, run string) (int, error) {
	started, _, err := c.Description(ctx, run)
	if errors.Is(err, broker.ErrNoRun) || errors.Is(err, broker.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	cfg := struct{ Line line.Config }{line.Default()}
	_ = json.Unmarshal([]byte(started.Config), &cfg) // publishing has checked it
	return min(max(0, cfg.Line.Rounds), 1000), nil
}

// Over says of each round that has ended since it was last asked what came of it, a line each; the warm-up comes
// first.
func (t *Tracker) Over() (lines []string) {
	for ; t.next <= t.rounds && t.over(t.next); t.next++ {
		lines = append(lines, t.outcome(t.next))
	}
	return lines
}

// over reports whether a policy is there, and evaluated if it is to be.
func (t *Tracker) over(round int) bool {
	p, ok := t.policies[round]
	if !ok {
		return false
	}
	if _, asked := t.right[round]; asked || p.Status != schemas.StatusTrained || t.view.End != nil {
		return true
	}
	for _, r := range t.view.Rounds { // evaluation opens with the policy: it has not, though the search goes on
		if r.Record == schemas.RecordVerdict && r.Round == round {
			return false
		}
	}
	return t.current() >= round && len(t.right) == 0 && t.searched(round)
}

// searched reports whether the search with a policy has begun.
func (t *Tracker) searched(round int) bool {
	for _, r := range t.view.Rounds {
		if r.Record == schemas.RecordPair && r.Round >= round {
			return true
		}
	}
	return false
}

// outcome says what came of a round.
func (t *Tracker) outcome(round int) string {
	p, parts := t.policies[round], []string(nil)
	if r, ok := t.right[round]; ok {
		text := r.String() + " right"
		if before, ok := t.right[round-1]; ok {
			text += fmt.Sprintf(" (%+.0f)", r.percent()-before.percent())
		}
		parts = append(parts, text)
	}
	if took := t.took(round); took > 0 {
		parts = append(parts, took.Round(time.Second).String())
	}
	of := "pairs"
	if round == 0 {
		of = "examples"
	}
	if p.Status == schemas.StatusTrained {
		parts = append(parts, fmt.Sprintf("%d %s", p.Examples, of), fmt.Sprintf("%d steps", p.Steps))
	} else {
		parts = append(parts, report.Plain(p.Status+": "+p.Detail))
	}
	return fmt.Sprintf("%-8s %s", report.PolicyName(round), strings.Join(parts, ", "))
}

// took is how long a round took, from the policy before it to its own; 0: unknown.
func (t *Tracker) took(round int) time.Duration {
	var from, to time.Time
	for i, m := range t.ms {
		switch isPolicy := m.Name == schemas.RecordPolicy+" "+schemas.KeyPolicy; {
		case i == 0 && round == 0, isPolicy && m.Round == round-1:
			from = m.At
		case isPolicy && m.Round == round:
			to = m.At
		}
	}
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return max(0, to.Sub(from))
}
