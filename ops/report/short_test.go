package report_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"itool/ops/report"
)

// TestShort: about twelve lines within 80 columns, for every kind of run, with verdict, table and next step.
func TestShort(t *testing.T) {
	good := evaluated("done", 7, &report.Effect{Rounds: difference(0.22, 0.11, 0.33)})
	for i := range good.Policies {
		good.Policies[i].Accuracy.Parts = []string{"test", "validation"}
		good.Policies[i].Accuracy.Gain = difference(-0.05, -0.1, 0.2)
	}
	good.Policies[1].Accuracy.Errors = map[string]int{"parameter value": 59, "tool name": 9, "stays": 1}
	good.Policies[8].Accuracy.Errors = map[string]int{"tool name": 8, "code syntax": 11, "stays": 1}
	long := evaluated("running", 1, nil)
	long.Stalled = strings.Repeat("the stream is full and waits for a person who gives it more room ", 4)
	for _, c := range []struct {
		name  string
		r     *report.Report
		wants []string
	}{
		{"a good run", good, []string{
			"The rounds helped: +22 points (11 to 33)", "  base      50 % (40 to 60)", "  round 7   50 % ",
			"−5 (−10 to 20)",
			"of 100 test + validation rows that want a call",
			"errors, warm-up to round 7: parameter value −59, code syntax +11, tool name −1",
			"next: take the adapter: itool export r1 --out adapter",
			"itool report r1 --full", "itool examples r1 --wrong",
		}},
		{"stalled", long, []string{"waits for you", "next: the stream is full"}},
		{"nothing evaluated", &report.Report{Run: "r1", Status: "done", Config: []byte("{}")},
			[]string{"nothing was evaluated", "next: no rows were held out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := c.r.Short(&out, false); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			for _, l := range lines {
				if n := utf8.RuneCountInString(l); n > 80 {
					t.Errorf("%d columns: %q", n, l)
				}
			}
			if len(lines) > 15 {
				t.Errorf("%d lines", len(lines))
			}
			for _, want := range c.wants {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it lacks %q:\n%s", want, &out)
				}
			}
			for _, bad := range []string{"round 3", "stays", "\x1b"} { // in the middle; did not change; no terminal
				if strings.Contains(out.String(), bad) {
					t.Errorf("it holds %q:\n%s", bad, &out)
				}
			}
			t.Logf("\n%s", &out)
		})
	}
}

// TestShareOfHeadroom: a share of more than all of it, or of less than nothing, is no share.
func TestShareOfHeadroom(t *testing.T) {
	for share, want := range map[float64]string{0.5: ", 50 % of the headroom", 1.76: "", -0.2: ""} {
		r := evaluated("done", 1, &report.Effect{Rounds: difference(0.22, 0.11, 0.33), HeadroomShare: &share})
		text := strings.Join(r.Findings(), "\n")
		if want != "" && !strings.Contains(text, want) || want == "" && strings.Contains(text, "headroom") {
			t.Errorf("share %g: %s", share, text)
		}
	}
}
