package progress

import (
	"context"
	"fmt"
	"time"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
)

// Milestone is a turning point of a run: a round of tasks opens or closes, a policy is there.
type Milestone struct {
	Name  string // the same in every round, such as "manifest score"
	Round int
	At    time.Time // when it was reached, by the broker's clock; zero: not yet
	// Took is how long the step that ends here took for an earlier policy, if no round of the run has the step; 0:
	// unknown. Only the last policy's evaluation is a step of its own, earlier ones go on beside the next round.
	Took time.Duration
}

// Milestones are all turning points of a run of so many rounds, in their order. They are read from the
// run's stream, so that who begins to watch late knows as much as who watched from the start. They cost three
// requests and a header for each.
func Milestones(ctx context.Context, c *courier.Courier, run string, rounds int) ([]Milestone, error) {
	at := map[string]time.Time{}
	for _, record := range []string{schemas.RecordManifest, schemas.RecordGather, schemas.RecordPolicy} {
		for m, err := range c.Broker.List(ctx, run, record+".*.*") {
			if err != nil {
				return nil, err
			}
			at[fmt.Sprintf("%s.%d.%s", record, m.Round, m.Key)] = m.Time
		}
	}
	var out []Milestone
	when := func(record string, round int, key string) time.Time {
		return at[fmt.Sprintf("%s.%d.%s", record, round, key)]
	}
	add := func(record string, round int, key string) {
		out = append(out, Milestone{Name: record + " " + key, Round: round, At: when(record, round, key)})
	}
	ofRows(line.Once, 0, add)
	for r := range rounds {
		ofRows(line.EachRound, r, add)
	}
	ofRows(line.EachPolicy, rounds, func(record string, round int, key string) {
		add(record, round, key)
		out[len(out)-1].Took = tookBefore(record, round, key, when)
	})
	return out, nil
}

// tookBefore is how long a step of the rounds that each policy has took for the latest one before round: from the
// policy to the manifest, or from there to the gather. 0: unknown.
func tookBefore(record string, round int, key string, when func(string, int, string) time.Time) time.Duration {
	for r := round - 1; r >= line.Base; r-- {
		policy := when(schemas.RecordPolicy, r, schemas.KeyPolicy)
		opened, closed := when(schemas.RecordManifest, r, key), when(schemas.RecordGather, r, key)
		switch {
		case policy.IsZero() || opened.IsZero() || closed.IsZero():
		case record == schemas.RecordManifest:
			return max(1, opened.Sub(policy))
		default:
			return max(1, closed.Sub(opened))
		}
	}
	return 0
}

// ofRows adds the milestones of the rows whose turn comes then.
func ofRows(when line.When, round int, add func(record string, round int, key string)) {
	for _, row := range line.Rows(nil) {
		spec := row.Spec()
		switch {
		case row.When != when:
		case row.Round != nil:
			add(schemas.RecordManifest, round, row.Round.Result)
			add(schemas.RecordGather, round, row.Round.Result)
		case spec.Writes == schemas.RecordPolicy && when == line.Once:
			add(schemas.RecordPolicy, 0, schemas.KeyPolicy)
		case spec.Writes == schemas.RecordPolicy:
			add(schemas.RecordPolicy, round+1, schemas.KeyPolicy)
		}
	}
}

// Left estimates how long a run still takes. A step takes as long as it did in the round before; of the
// step that goes on, done is the share that is done, 0 if that is unknown. known is false before the first round
// has shown how long its steps take, and while a step takes longer than that.
func Left(ms []Milestone, done float64, now time.Time) (left time.Duration, known bool) {
	took := map[string]time.Duration{}
	for i, m := range ms {
		if i == 0 && m.At.IsZero() {
			return 0, false
		}
		if i == 0 {
			continue
		}
		if before := ms[i-1].At; !m.At.IsZero() && !before.IsZero() {
			took[m.Name] = m.At.Sub(before)
			continue
		}
		d, ok := took[m.Name]
		if !ok && m.Took > 0 {
			d, ok = m.Took, true
		}
		if going := ms[i-1].At; !going.IsZero() {
			elapsed := now.Sub(going)
			switch {
			case done >= 0.05:
				d, ok = time.Duration(float64(elapsed)/min(done, 1)), true
			case d <= elapsed:
				return 0, false
			}
			d -= elapsed
		}
		if !ok {
			return 0, false
		}
		left += d
	}
	return left, true
}

// OpenShare is how much is done of the round that a run of so many rounds waits for; false: no round is open. Policies
// before the last are evaluated beside the line.
func OpenShare(views []line.RoundView, rounds int) (share float64, open bool) {
	for _, r := range views {
		row, _ := line.Rows(nil).Maker(r.Record, r.Round)
		if r.Gathered || r.Total == 0 || row.When == line.EachPolicy && r.Round < rounds {
			continue
		}
		done := r.Done
		if s, ok := r.Slowest(); ok {
			done = s.Done
		}
		return float64(done) / float64(r.Total), true
	}
	return 0, false
}
