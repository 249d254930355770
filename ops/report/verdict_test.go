package report_test

import (
	"encoding/json"
	"strings"
	"testing"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

func difference(mean, low, high float64) *stats.Difference {
	return &stats.Difference{Interval: stats.Interval{Mean: mean, Low: low, High: high, N: 100}}
}

// evaluated is a run with a base and as many trained policies as rounds, and the warm-up.
func evaluated(status string, rounds int, e *report.Effect) *report.Report {
	r := &report.Report{Run: "r1", Status: status, Config: json.RawMessage("{}"), Effect: e}
	for round := -1; round <= rounds; round++ {
		p := report.Policy{
			Round: round, Name: report.PolicyName(round), Status: "trained", Accuracy: &report.Accuracy{},
		}
		p.Accuracy.Calls = stats.Interval{Mean: 0.5, Low: 0.4, High: 0.6, N: 100}
		p.Accuracy.Parsed = stats.Interval{Mean: 1, N: 100}
		r.Policies = append(r.Policies, p)
		if round >= 0 && round < rounds {
			r.Rounds = append(r.Rounds, report.Round{Round: round, Pairs: 3})
		}
	}
	return r
}

// TestVerdict: one sentence says what came of a run, in the right tone, and what to do next.
func TestVerdict(t *testing.T) {
	untrained := evaluated("done", 2, nil)
	for i := range untrained.Policies[2:] {
		untrained.Policies[i+2].Status, untrained.Policies[i+2].Detail = "no update", "too few pairs"
	}
	silent := evaluated("done", 1, &report.Effect{Rounds: difference(0.2, 0.1, 0.3)})
	silent.Policies[1].Accuracy.Parsed.Mean = 0
	failed := evaluated("failed", 0, nil)
	failed.Detail = "store: \x1b[2Jgone"
	stalled := evaluated("running", 0, nil)
	stalled.Stalled = "the stream is full: itool quota r1 2GB"
	for _, c := range []struct {
		name              string
		r                 *report.Report
		tone              report.Tone
		text, warns, next string
	}{
		{"helped", evaluated("done", 2, &report.Effect{Rounds: difference(0.22, 0.11, 0.33)}), report.Good,
			"The rounds helped: +22 points (11 to 33)", "", "itool export r1"},
		{"harm", evaluated("done", 2, &report.Effect{Rounds: difference(-0.22, -0.33, -0.11)}), report.Bad,
			"The rounds did harm: −22 points (−33 to −11)", "", "--round 0"},
		{"no effect", evaluated("done", 2, &report.Effect{Rounds: difference(0.02, -0.03, 0.06)}), report.Neutral,
			"No effect of the rounds is shown: +2 points (−3 to 6)", "", "split.test_share"},
		{"only a warm-up", evaluated("done", 0, &report.Effect{WarmUp: difference(0.3, 0.2, 0.4)}), report.Good,
			"The warm-up helped: +30 points (20 to 40)", "", "export"},
		{"trained nothing", untrained, report.Bad,
			"The rounds trained nothing: 3 pairs, 50 needed", "", "raise select.ratio"},
		{"unreadable answers", silent, report.Good, "helped", "no answer of warm-up can be read", "export"},
		{"failed", failed, report.Bad, "The run failed", "store: �[2Jgone", "fork"},
		{"stalled", stalled, report.Bad, "waits for you", "", "itool quota r1 2GB"},
		{"goes on", evaluated("running", 1, &report.Effect{WarmUp: difference(0.3, 0.2, 0.4)}), report.Going,
			"So far the warm-up helped: +30 points (20 to 40)", "", ""},
		{"nothing evaluated", &report.Report{Run: "r1", Status: "done", Config: json.RawMessage("{}")}, report.Neutral,
			"nothing was evaluated", "", "split.test_share"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.r.Verdict()
			if v.Tone != c.tone || !strings.Contains(v.Text, c.text) || !strings.Contains(v.Next, c.next) {
				t.Errorf("got %+v, want %s, %q, next %q", v, c.tone, c.text, c.next)
			}
			if !strings.Contains(v.Warning, c.warns) || c.warns == "" && v.Warning != "" {
				t.Errorf("warning %q, want %q", v.Warning, c.warns)
			}
		})
	}
}
