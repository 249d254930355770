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
	add := func(record string, round int, key string) {
		out = append(out, Milestone{record + " " + key, round, at[fmt.Sprintf("%s.%d.%s", record, round, key)]})
	}
	ofRows(line.Once, 0, add)
	for r := range rounds {
		ofRows(line.EachRound, r, add)
	}
	ofRows(line.EachPolicy, rounds, add)
	return out, nil
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
// has shown how long its steps take.
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
		if going := ms[i-1].At; !going.IsZero() {
			elapsed := now.Sub(going)
			if done >= 0.05 {
				d, ok = time.Duration(float64(elapsed)/done), true
			}
			d = max(0, d-elapsed)
		}
		if !ok {
			return 0, false
		}
		left += d
	}
	return left, true
}
