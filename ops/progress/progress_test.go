package progress_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"itool/ops/line"
	"itool/ops/progress"
	"itool/schemas"
)

// TestTracker: rates and times to go come from what was seen, and nothing is printed
// twice or too often.
func TestTracker(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	tr := progress.NewTracker("r1")
	round := line.RoundView{Round: 0, Record: "pair", Title: "search with", OfPolicy: true, Total: 100, Done: 10}
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at(0))
	round.Done = 30
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}, Failed: 1}, at(10))
	tr.Hear(schemas.Progress{
		Stage: "warmup", Key: "policy", Done: 2, Total: 8, Unit: "steps", Detail: "loss\x1b[2J",
	}, at(10))
	tr.Hear(schemas.Progress{Stage: "expand", Key: "e1", Done: 1, Total: 8}, at(10))
	table := strings.Join(tr.Table(at(10)), "\n")
	for _, want := range []string{
		"search with warm-up", "30/100", "2/s ETA 35s", "1 failed (itool failed r1)", "warmup", "2/8",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	for _, bad := range []string{"\x1b", "expand"} { // one tree of many is not shown
		if strings.Contains(table, bad) {
			t.Errorf("the table holds %q:\n%s", bad, table)
		}
	}
	var out bytes.Buffer
	tr.Lines(&out, at(20))
	if out.Len() > 0 {
		t.Errorf("a line after 20 s:\n%s", &out)
	}
	tr.Lines(&out, at(61))
	want := "12:01:01 r1: search with warm-up 30/100 0.328/s ETA 3m34s  1 failed (itool failed r1)\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
	out.Reset()
	round.Done, round.Gathered = 100, true
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at(62))
	tr.Lines(&out, at(62))
	tr.Lines(&out, at(63))
	if want := "12:01:02 r1: search with warm-up done (100)\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

// TestWarning: what spoils a search is shown while the round is open, in lines that fit, and printed once.
func TestWarning(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	round := line.RoundView{Record: "pair", Title: "search with", OfPolicy: true, Total: 45}
	tr := progress.NewTracker("r1")
	tr.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, at)
	tr.Warn(round, "217 of 866 answers"+strings.Repeat(" ran out of length", 8))
	table := tr.Table(at)
	if !strings.Contains(strings.Join(table, "\n"), "\n    warning: 217 of 866 answers") {
		t.Errorf("the table lacks the warning:\n%s", strings.Join(table, "\n"))
	}
	for _, l := range table {
		if len([]rune(l)) > 100 {
			t.Errorf("a line of %d characters: %q", len(l), l)
		}
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
	want := strings.Join([]string{
		"r1  1m0s",
		"  search with warm-up    ░░░░░░░░░░░░░░░░░░░░░░░░      0/45     ",
		"    expand               ████████████████████░░░░     39/45     0.333/s ETA 18s",
		"    filter               ░░░░░░░░░░░░░░░░░░░░░░░░      0/45     ",
	}, "\n")
	if got := strings.Join(tr.Table(at(60)), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var out bytes.Buffer
	tr.Lines(&out, at(60))
	line := "12:01:00 r1: search with warm-up 0/45 (expand 39, filter 0) 0.333/s ETA 18s\n"
	if out.String() != line {
		t.Errorf("got  %q\nwant %q", out.String(), line)
	}
}
