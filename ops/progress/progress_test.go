package progress_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"itool/ops/line"
	"itool/ops/progress"
	"itool/schemas"
)

// text is a frame without its bars.
func text(f progress.Frame) string {
	var b strings.Builder
	for _, bar := range f.Bars {
		state := map[progress.State]string{progress.Working: "works", progress.Done: "done"}[bar.State]
		words := strings.Join([]string{bar.Name, bar.Count, bar.Note, state}, " ")
		fmt.Fprintln(&b, strings.Join(strings.Fields(words), " "))
	}
	return b.String() + strings.Join(f.Remarks, "\n")
}

// TestTracker: rates and times to go come from what was seen, and nothing is printed
// twice or too often.
func TestTracker(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	tr := progress.NewTracker("r1")
	dataset := line.RoundView{Record: "example", Title: "read the dataset", Total: 3, Done: 3, Gathered: true}
	round := line.RoundView{Round: 0, Record: "pair", Title: "search with", OfPolicy: true, Total: 100, Done: 10}
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{dataset}}, at(0))
	tr.Hear(schemas.Progress{
		Stage: "warmup", Key: "policy", Done: 2, Total: 8, Unit: "steps", Detail: "loss\x1b[2J",
	}, at(0))
	const training = "split 3/3 done\nwarmup 2/8 steps loss�[2J works\nscore\n"
	if got := text(tr.Frame(at(0))); !strings.Contains(got, training) {
		t.Errorf("got\n%s\nwant in it\n%s", got, training)
	}
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{dataset, round}}, at(0))
	round.Done = 30
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{dataset, round}, Failed: 1}, at(10))
	tr.Hear(schemas.Progress{Stage: "expand", Key: "e1", Done: 1, Total: 8}, at(10)) // one tree of many is not shown
	want := strings.Join([]string{
		"r1 0 % works", "split 3/3 done", "warmup done", "score", "select done", "expand 30/100 2/s works",
		"filter 30/100 2/s works", "update", "evaluate", "round 1 of 1 · 10s · time left: not known yet",
		"1 failed (itool failed r1)",
	}, "\n")
	if got := text(tr.Frame(at(10))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var out bytes.Buffer
	tr.Lines(&out, at(20))
	if got := out.String(); got != "12:00:20 r1: read the dataset done (3)\n" {
		t.Errorf("after 20 s: %q", got)
	}
	out.Reset()
	tr.Lines(&out, at(61))
	line1 := "12:01:01 r1: search with warm-up 30/100 0.328/s ETA 3m34s  1 failed (itool failed r1)\n"
	if out.String() != line1 {
		t.Errorf("got  %q\nwant %q", out.String(), line1)
	}
	out.Reset()
	round.Done, round.Gathered = 100, true
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{dataset, round}}, at(62))
	tr.Lines(&out, at(62))
	tr.Lines(&out, at(63))
	if want := "12:01:02 r1: search with warm-up done (100)\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

// TestALineSaysWhatIsWaitedFor: also between two sets of items, when nothing is open.
func TestALineSaysWhatIsWaitedFor(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	dataset := line.RoundView{Record: "example", Title: "read the dataset", Total: 3, Done: 3, Gathered: true}
	heard := schemas.Progress{Stage: "warmup", Key: "policy", Done: 2, Total: 8, Unit: "steps"}
	for _, c := range []struct {
		name   string
		rounds []line.RoundView
		status *line.Status
		hear   schemas.Progress
		want   string
	}{
		{"a training", []line.RoundView{dataset}, &line.Status{}, heard, "warmup 2/8"},
		{
			"a training that no worker reports of", []line.RoundView{dataset}, &line.Status{}, schemas.Progress{},
			"warmup is at work or waits for a worker",
		},
		{"not opened yet", nil, &line.Status{}, schemas.Progress{}, "waiting for the keeper to open it"},
		{"no keeper", nil, nil, schemas.Progress{}, "waiting: keeper: no keeper looks after"},
		{"a store that is away", nil, &line.Status{Waiting: []string{"waiting: store: away"}}, schemas.Progress{},
			"waiting: store: away"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := progress.NewTracker("live")
			tr.See(line.View{Status: c.status, Rounds: c.rounds}, at(0))
			tr.Hear(c.hear, at(50))
			var out bytes.Buffer
			tr.Lines(&out, at(61))
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, "live: "+c.want) {
				t.Errorf("got %q, want %q in its last line", out.String(), c.want)
			}
		})
	}
}

// TestWarning: what spoils a search is shown while the round is open, and printed once.
func TestWarning(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	round := line.RoundView{Record: "pair", Title: "search with", OfPolicy: true, Total: 45}
	tr := progress.NewTracker("r1")
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at)
	tr.Warn(round, "217 of 866 answers ran out of length")
	if got := text(tr.Frame(at)); !strings.Contains(got, "\nwarning: 217 of 866 answers") {
		t.Errorf("the frame lacks the warning:\n%s", got)
	}
	var out bytes.Buffer
	tr.Lines(&out, at)
	tr.Lines(&out, at)
	if want := "12:00:00 r1: search with warm-up: warning: 217 of 866"; strings.Count(out.String(), want) != 1 {
		t.Errorf("got %q, want %q once", out.String(), want)
	}
}

// A round of several stages shows each of them: trees that were searched are progress, though none is
// filtered yet.
func TestStages(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	round := line.RoundView{Record: "pair", Title: "search with", OfPolicy: true, Total: 45}
	round.Steps = []line.Step{{Stage: "expand", Done: 19}, {Stage: "filter"}}
	tr := progress.NewTracker("r1")
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at(0))
	round.Steps = []line.Step{{Stage: "expand", Done: 39}, {Stage: "filter"}}
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at(60))
	const want = "expand 39/45 0.333/s works\nfilter 0/45 works\n"
	if got := text(tr.Frame(at(60))); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
	var out bytes.Buffer
	tr.Lines(&out, at(60))
	line := "12:01:00 r1: search with warm-up 0/45 (expand 39, filter 0) 0.333/s ETA 18s\n"
	if out.String() != line {
		t.Errorf("got  %q\nwant %q", out.String(), line)
	}
}
