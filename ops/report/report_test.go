package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/report"
	"itool/ops/ui"
	"itool/schemas"
)

const run = "r1"

var basePolicy = schemas.Policy{Checkpoint: "p-base", Status: "base", Metrics: "{}", Curve: "[]"}

// fixture is an open run; write adds records as the keeper and the stages do.
type fixture struct {
	*testing.T
	c *courier.Courier
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), run, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.SetState(t.Context(), run, []byte(`{"keeper": "k1"}`)); err != nil { // it has a keeper
		t.Fatal(err)
	}
	return fixture{t, c}
}

func write[R schemas.Record](b fixture, record string, round int, key string, rows ...R) {
	b.Helper()
	batch, err := schemas.Encode(schemas.Header{Run: run, Round: round, Key: key, Worker: "w1"}, rows)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.c.Publish(b.Context(), record, batch, map[string]string{courier.HeaderSeconds: "1.5"}); err != nil {
		b.Fatal(err)
	}
}

func gather(b fixture) *report.Report {
	b.Helper()
	r, err := report.Gather(b.Context(), b.c, run)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func render(t *testing.T, r *report.Report) (text, html string) {
	t.Helper()
	var asText, asHTML bytes.Buffer
	if err := r.Text(&asText); err != nil {
		t.Fatal(err)
	}
	if err := ui.Freeze(t.Context(), &asHTML, r, nil); err != nil {
		t.Fatal(err)
	}
	return asText.String(), asHTML.String()
}

// hostile is text that an answer of a model or an error may contain.
const hostile = "<script>alert(1)</script>\x1b[2J\"'&\u202e"

// fill writes a run with a warm-up that gains one row of four, and a round 1 that does not
// change the policy.
func fill(b fixture) {
	write(b, "run", 0, "run", schemas.Run{
		Name: run, Created: "2026-01-02T03:04:05Z", Seed: 7, Config: `{"filter":{"mode":"proven"}}`, ConfigDigest: "cd",
		Dataset: `[{"Key":"s0","Name":"a.jsonl","Format":"openai","SHA256":"d1","First":0,"Rows":3},
			{"Key":"s1","Name":"a.jsonl","Format":"openai","SHA256":"d1","First":3,"Rows":4}]`,
	})
	write(b, "example", 0, "s0",
		schemas.Example{ID: "e1", Part: "train", Replay: true, Difficulty: "easy"},
		schemas.Example{ID: "e2", Part: "train", Difficulty: "hard"},
		schemas.Example{ID: "e3", Part: "dropped", Reason: "bad_tools", Detail: hostile, Source: "a.jsonl", Row: 2})
	write(b, "example", 0, "s1",
		schemas.Example{ID: "t1", Part: "test"}, schemas.Example{ID: "t2", Part: "test"},
		schemas.Example{ID: "t3", Part: "test"}, schemas.Example{ID: "t4", Part: "test"})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "policy", 0, "policy", schemas.Policy{
		Checkpoint: "p-0", Status: "trained", Steps: 9, Examples: 2, Detail: hostile,
		Metrics: `{"validation_before":2,"validation_after":1.5,"odd":"text"}`,
		Curve:   `[{"step":1,"loss":2},{"step":9,"loss":1}]`,
	})
	write(b, "policy", 1, "policy", schemas.Policy{
		Checkpoint: "p-0", Status: "no update", Detail: "too few pairs",
		Metrics: `{"pairs":5,"pairs_kept":3,"pairs_foreign":1,"pairs_distinct":1}`, Curve: "[]",
	})
	verdicts := func(pass ...bool) []schemas.Verdict {
		var out []schemas.Verdict
		for i, p := range pass {
			v := schemas.Verdict{
				ExampleID: fmt.Sprint("t", i+1), Part: "test", HasCall: true, Parsed: true, Pass: p, Answer: hostile,
			}
			if !p {
				v.ErrorType = "parameter value"
			}
			out = append(out, v)
		}
		return out
	}
	write(b, "verdict", -1, "c0", verdicts(true, false, false, false)...)
	write(b, "verdict", 0, "c0", verdicts(true, true, false, false)...)
	write(b, "score", 0, "b0",
		schemas.Score{ExampleID: "e1", Perplexity: 4}, schemas.Score{ExampleID: "e2", Perplexity: 1})
	write(b, "selection", 0, "selection",
		schemas.Selection{
			ExampleID: "e1", Selected: true, JudgeAUC: math.NaN(), JudgeMass: 0.4, JudgeReason: "one class only",
		},
		schemas.Selection{ExampleID: "e2"})
	write(b, "candidate", 0, "e1",
		schemas.Candidate{Parent: -1},
		schemas.Candidate{Node: 1, Parent: 0, Terminal: true, Pass: true},
		schemas.Candidate{Node: 2, Parent: 0, Terminal: true, Cut: true, Text: hostile},
		schemas.Candidate{Node: 3, Parent: 0},
		schemas.Candidate{Node: 4, Parent: 3}, // 4 and 5 are not finished, so 3 is no branching node
		schemas.Candidate{Node: 5, Parent: 3})
	write(b, "pair", 0, "e1",
		schemas.Pair{ExampleID: "e1", OtherMode: "chosen_low_q"},
		schemas.Pair{ExampleID: "e1", OtherMode: "chosen_low_q"}, // two more that only the update recognizes as invalid
		schemas.Pair{ExampleID: "e1", OtherMode: "chosen_low_q"},
		schemas.Pair{ExampleID: "e1", Reason: "similar", OtherMode: "similar"},
		schemas.Pair{ExampleID: "e1", Reason: "rejected_viable"})
	write(b, "failed", 0, "e9", schemas.Failed{
		Stage: "expand", Subject: "root.0.e9", Attempts: 5, Reason: "attempts", Error: hostile, Worker: "w1",
	})
}

// TestGather: every number of a small run, computed by hand.
func TestGather(t *testing.T) {
	b := newFixture(t)
	fill(b)
	r := gather(b)
	if r.Status != "running" || len(r.Datasets) != 1 || r.Datasets[0].Rows != 7 {
		t.Errorf("status %q, datasets %+v; want running, and one file of 7 rows", r.Status, r.Datasets)
	}
	if n := r.Rows; n.Total != 7 || n.Kept != 6 || n.Dropped["bad_tools"] != 1 || n.Parts["test"] != 4 ||
		n.Replay != 1 || n.Difficulty["hard"] != 1 || n.Numbers.Kept != 6 || n.Numbers.Dropped["bad_tools"].N != 1 {
		t.Errorf("rows %+v", n)
	}
	for i, want := range []float64{0.25, 0.5, 0.5} {
		if p := r.Policies[i]; p.Accuracy == nil || p.Accuracy.Pass.Mean != want || p.Accuracy.Pass.N != 4 {
			t.Errorf("accuracy of %s: %+v, want %g on 4 rows", p.Name, p.Accuracy, want)
		}
	}
	if g := r.Policies[1].Accuracy.Gain; g == nil || g.Mean != 0.25 || g.Won != 1 || g.Lost != 0 {
		t.Errorf("gain of the warm-up: %+v, want one row of four won", g)
	}
	if e := r.Effect; e == nil || e.WarmUp.Mean != 0.25 || e.Rounds != nil {
		t.Errorf("effect %+v, want one of the warm-up and none of rounds that trained nothing", e)
	}
	if g := r.Policies[2].Accuracy.Gain; g != nil {
		t.Errorf("gain of a round without an update: %+v", g)
	}
	if r.Policies[1].Accuracy.Errors["parameter value"] != 2 {
		t.Errorf("errors %+v, want two of parameter value", r.Policies[1].Accuracy.Errors)
	}
	if len(r.Rounds) != 1 {
		t.Fatalf("%d rounds, want 1", len(r.Rounds))
	}
	rd := r.Rounds[0]
	if rd.Scored != 2 || rd.Perplexity != 2 || rd.Selected != 1 || rd.Trees != 1 || rd.Nodes != 6 ||
		rd.Branching != 1 || rd.Terminals != 2 || rd.Passing != 1 || rd.MixedTrees != 1 || rd.Cut != 1 {
		t.Errorf("funnel %+v", rd)
	}
	if rd.Pairs != 1 || rd.OtherMode != 1 || rd.Mode != "proven" {
		t.Errorf("pairs %+v", rd)
	}
	for _, reason := range []string{"similar", "rejected_viable", "duplicate", "foreign_policy"} {
		if n := rd.PairsReason[reason]; n != 1 {
			t.Errorf("%d pairs were dropped as %s, want 1", n, reason)
		}
	}
	if j := rd.Judge; j == nil || j.AUC != nil || j.Counts || j.Mass == nil || *j.Mass != 0.4 {
		t.Errorf("judge %+v", j)
	}
	if len(r.Failures) != 1 || r.Failures[0].Key != "e9" || r.Failures[0].Attempts != 5 {
		t.Errorf("failures %+v", r.Failures)
	}
	seconds := map[string]float64{}
	for _, s := range r.Seconds {
		seconds[s.Stage] = s.Seconds
	}
	if seconds["split"] != 3 || seconds["warmup"] != 1.5 || seconds["update"] != 1.5 || seconds["evaluate"] != 3 {
		t.Errorf("seconds %+v", seconds)
	}
	s := r.Summary()
	if s.Adapter != "p-0" || s.Pairs["round 1"]["kept"] != 1 || s.Pairs["round 1"]["similar"] != 1 ||
		s.Accuracy["round 1"].Mean != 0.5 || s.Outcome["round 1"] != "no update" {
		t.Errorf("summary %+v", s)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("JSON: %v", err)
	}
}

// TestShown: the report shows what a person must see, and an answer of a model can harm neither
// the browser nor the terminal.
func TestShown(t *testing.T) {
	b := newFixture(t)
	fill(b)
	write(b, "end", 0, "end", schemas.End{Status: "done", Rounds: 0})
	r := gather(b)
	text, html := render(t, r)
	gain := "exact match of calls went from 25.0 % (base) to 50.0 % (warm-up)"
	cut := "1 of 2 searched answers reached the length limit"
	for _, c := range []struct{ what, text, html string }{
		{"status", "run r1 · done", `<span class="badge done">done</span>`},
		{"headline", gain, gain},
		{"dropped rows", "dropped 1: bad_tools (first: a.jsonl row 2", `<td class="name">bad tools</td>`},
		{"no effect", "warm-up: +25.0 points, 95 % interval +0.0 to +75.0 (no effect is shown", "no effect is shown"},
		{"no update is no change", "round 1   50.0 % [0.0, 100.0]   –  ", ""},
		{"no update", "round 1: no update: too few pairs", "round 1: no update: too few pairs"},
		{"error types", "parameter value   3      2         2", "parameter value"},
		{"reasons of pairs",
			"1 duplicate, 1 foreign_policy, 1 rejected_viable, 1 similar", "1 rejected viable, 1 similar"},
		{"before and after", "validation 2 → 1.5", "validation 2 → 1.5"},
		{"a curve", "", `"points":[{"step":1,"loss":2},{"step":9,"loss":1}]`},
		{"answers that were cut", cut, cut},
		{"failures", "itool failed r1", "attempts after 5"},
		{"empty buckets", "no medium row", "no medium row"},
	} {
		if !strings.Contains(text, c.text) {
			t.Errorf("%s: the text lacks %q:\n%s", c.what, c.text, text)
		}
		if !strings.Contains(html, c.html) {
			t.Errorf("%s: the page lacks %q", c.what, c.html)
		}
	}
	for _, bad := range []string{
		"<script>alert", "\x1b", "\u202e", "ZgotmplZ", "<img", "<iframe", `href="http`, `href="/`, "@import",
		"url(http",
	} {
		if strings.Contains(html, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, bad := range []string{"\x1b", "\u202e", "rounds after the warm-up"} {
		if strings.Contains(text, bad) {
			t.Errorf("the text contains %q", bad)
		}
	}
}

// TestNothingParses: if no answer parses, 0 % is a fault of the format, not of the policy.
func TestNothingParses(t *testing.T) {
	b := newFixture(t)
	write(b, "run", 0, "run", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "verdict", -1, "c0",
		schemas.Verdict{ExampleID: "t1", Part: "test", HasCall: true, ErrorType: "code syntax"})
	r := gather(b)
	if got := strings.Join(r.Findings(), "\n"); !strings.Contains(got, "base: none of 1 answers parses as calls") {
		t.Errorf("findings:\n%s\nwant a finding that no answer parses", got)
	}
}

// TestEarly: a report of a run that has only begun.
func TestEarly(t *testing.T) {
	b := newFixture(t)
	if _, err := report.Gather(t.Context(), b.c, run); err == nil {
		t.Error("a stream without a run record gave a report")
	}
	write(b, "run", 0, "run", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
	r := gather(b)
	text, _ := render(t, r)
	if !strings.Contains(text, "nothing was evaluated (not yet)") {
		t.Errorf("the text does not say that nothing was evaluated yet:\n%s", text)
	}
}
