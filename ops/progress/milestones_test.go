package progress_test

import (
	"testing"
	"time"

	"itool/ops/progress"
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
		{"slower than before", rounds(at(0), at(10), at(30), at(35), at(45), open, open), 0, 99, 5 * time.Second, true},
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
