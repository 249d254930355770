package progress_test

import (
	"strings"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/progress"
	"itool/schemas"
)

// TestLeft: steps of later rounds take as long as those before, and the one that goes on is extrapolated.
func TestLeft(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	open := time.Time{}
	rounds := func(times ...time.Time) []progress.Milestone {
		var out []progress.Milestone
		for i, name := range []string{"begin", "score", "search", "update", "score", "search", "update"} {
			out = append(out, progress.Milestone{Name: name, At: times[i]})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		ms    []progress.Milestone
		done  float64
		now   int
		want  time.Duration
		known bool
	}{
		{"not begun", rounds(open, open, open, open, open, open, open), 0, 0, 0, false},
		{"first round", rounds(at(0), at(10), open, open, open, open, open), 0.5, 20, 0, false},
		{"second round, no share known", rounds(at(0), at(10), at(30), at(35), open, open, open), 0, 39,
			6*time.Second + 20*time.Second + 5*time.Second, true},
		{"second round, half of the search", rounds(at(0), at(10), at(30), at(35), at(45), open, open), 0.5, 60,
			15*time.Second + 5*time.Second, true},
		{"all of the search, before it is closed", rounds(at(0), at(10), at(30), at(35), at(45), open, open), 1, 60,
			5 * time.Second, true},
		{"slower than before", rounds(at(0), at(10), at(30), at(35), at(45), open, open), 0, 99, 0, false},
		{"over", rounds(at(0), at(10), at(30), at(35), at(45), at(60), at(70)), 0, 99, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, known := progress.Left(c.ms, c.done, at(c.now))
			if known != c.known || known && got != c.want {
				t.Errorf("got %v, %v; want %v, %v", got, known, c.want, c.known)
			}
		})
	}
}

// TestLeftOfARun: once the first round is over and its policy is evaluated, it is known how long the run still takes,
// with the evaluation of its last policy.
func TestLeftOfARun(t *testing.T) {
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), "r1", 1<<30); err != nil {
		t.Fatal(err)
	}
	const rounds = 2
	ms, err := progress.Milestones(t.Context(), c, "r1", rounds)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		record, key, _ := strings.Cut(m.Name, " ")
		switch record {
		case schemas.RecordManifest:
			publishIn(t, c, m.Round, record, key, schemas.Manifest{Key: "b0"})
		case schemas.RecordGather:
			publishIn(t, c, m.Round, record, key, schemas.Gather{Key: "b0"})
		case schemas.RecordPolicy:
			if m.Round == 0 && leftOf(t, c, rounds) {
				t.Error("known before the warm-up is over")
			}
			evaluated(t, c, m.Round, 1)
		}
		if record == schemas.RecordPolicy && m.Round == 1 {
			break
		}
	}
	if !leftOf(t, c, rounds) {
		t.Error("not known after the first round")
	}
}

// leftOf reports whether it is known how long run r1 still takes.
func leftOf(t *testing.T, c *courier.Courier, rounds int) bool {
	t.Helper()
	ms, err := progress.Milestones(t.Context(), c, "r1", rounds)
	if err != nil {
		t.Fatal(err)
	}
	var last time.Time // when nothing can be overdue yet
	for _, m := range ms {
		if m.At.After(last) {
			last = m.At
		}
	}
	_, known := progress.Left(ms, 0, last)
	return known
}
