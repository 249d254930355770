package ui_test

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/ui"
	"itool/schemas"
)

// hostile is text that a dataset, an answer of a model or an error may contain.
const hostile = `</script><script>document.title="owned"</script><img src=x onerror=document.title="owned">"'&` +
	"\x1b[2J\u202e"

// fixture is an open run; write adds records as the keeper and the stages do.
type fixture struct {
	testing.TB
	c   *courier.Courier
	run string
}

func newFixture(t testing.TB, c *courier.Courier, run string) fixture {
	t.Helper()
	if c == nil {
		c = couriertest.Open(t)
	}
	b := fixture{t, c, run}
	started := schemas.Run{
		Name: run, Created: "2026-01-02T03:04:05Z", Seed: 7, ConfigDigest: "cd",
		Config:  `{"line":{"rounds":2},"filter":{"mode":"proven"},"update":{"rate":0.001},"odd":"` + "<b>" + `"}`,
		Dataset: `[{"Key":"s0","Name":"a.jsonl","Format":"openai","SHA256":"d1","First":0,"Rows":7}]`,
	}
	batch, err := schemas.Encode(schemas.Header{Run: run, Key: "run", Worker: "w1"}, []schemas.Run{started})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Start(t.Context(), run, batch.Header.Map(), batch.Body); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.CreateRun(t.Context(), run, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.SetState(t.Context(), run, []byte(`{"keeper": "k1"}`)); err != nil { // it has a keeper
		t.Fatal(err)
	}
	write(b, "run", 0, "run", started)
	return b
}

func write[R schemas.Record](b fixture, record string, round int, key string, rows ...R) {
	b.Helper()
	batch, err := schemas.Encode(schemas.Header{Run: b.run, Round: round, Key: key, Worker: "w1"}, rows)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.c.Publish(b.Context(), record, batch, map[string]string{courier.HeaderSeconds: "1.5"}); err != nil {
		b.Fatal(err)
	}
}

// round opens a round with one item, and closes it if gathered.
func (b fixture) round(result string, round int, key string, gathered bool) {
	write(b, "manifest", round, result, schemas.Manifest{Key: key})
	if gathered {
		write(b, "gather", round, result, schemas.Gather{Key: key})
	}
}

// verdicts are the answers of one policy to four held-out rows.
func (b fixture) verdicts(round int, pass ...bool) {
	var out []schemas.Verdict
	for i, p := range pass {
		v := schemas.Verdict{
			ExampleID: fmt.Sprint("s0-", i+3), Part: "test", HasCall: true, Parsed: true, Pass: p,
			Answer: "[f(a=" + fmt.Sprint(i+round) + ")]", Category: "simple",
		}
		if !p {
			v.ErrorType, v.Answer = "parameter value", "[f(a='"+hostile+"')]"
			if i == 3 {
				v.Answer = "[f(a=2)]"
			}
		}
		out = append(out, v)
	}
	b.round("verdict", round, "c0", true)
	write(b, "verdict", round, "c0", out...)
}

// examples are the rows of the dataset: two to train on, four held out, one dropped.
func (b fixture) examples() {
	b.round("example", 0, "s0", true)
	var all []schemas.Example
	for i := range 7 {
		e := schemas.Example{
			ID: fmt.Sprint("s0-", i), Source: "a.jsonl", Row: int32(i), Part: "train", Difficulty: "easy", Replay: true,
			Messages: `[{"role":"user","content":"` + "question <b>" + fmt.Sprint(i) + `"}]`, Reference: "[f(a=1)]",
			Tools: `[{"name":"f","parameters":{"type":"object","required":["a"],` +
				`"properties":{"a":{"type":"integer"}}}}]`,
		}
		e.PromptIDs, e.AnswerIDs = make([]int32, 10+i), make([]int32, 3)
		if i > 2 {
			e.Part, e.Replay = "test", false
		}
		if i == 2 {
			e.Part, e.Reason, e.Detail = "dropped", "bad_tools", hostile
		}
		all = append(all, e)
	}
	write(b, "example", 0, "s0", all...)
}

// fill writes a run with a warm-up that gains one row of four and a round that gains another.
func (b fixture) fill() {
	b.examples()
	write(b, "policy", -1, "policy", schemas.Policy{Checkpoint: "p-base", Status: "base", Metrics: "{}", Curve: "[]"})
	write(b, "policy", 0, "policy", schemas.Policy{
		Checkpoint: "p-0", Parent: "p-base", Status: "trained", Steps: 9, Examples: 2, Detail: hostile, Metrics: "{}",
		Curve: `[{"step":1,"loss":2},{"step":5,"loss":1.2,"validation":1.1},{"step":9,"loss":1}]`,
	})
	b.verdicts(-1, true, false, false, false)
	b.verdicts(0, true, true, false, false)
	b.round("score", 0, "b0", true)
	write(b, "score", 0, "b0", schemas.Score{ExampleID: "s0-0", Perplexity: 4})
	write(b, "selection", 0, "selection", schemas.Selection{
		ExampleID: "s0-0", Selected: true, JudgeAUC: math.NaN(), JudgeMass: 0.4, JudgeReason: hostile,
	})
	b.round("pair", 0, "s0-0", true)
	b.tree("s0-0", 3)
	write(b, "pair", 0, "s0-0", schemas.Pair{ExampleID: "s0-0"})
	write(b, "policy", 1, "policy", schemas.Policy{
		Checkpoint: "p-1", Parent: "p-0", Status: "trained", Steps: 2, Examples: 1,
		Metrics: `{"pairs_kept":1,"pairs_foreign":0,"pairs_distinct":1}`,
		Curve: `[{"step":1,"loss":0.7,"chosen":-0.3,"rejected":-1.1},` +
			`{"step":2,"loss":0.5,"chosen":-0.2,"rejected":-2}]`,
	})
	b.verdicts(1, true, true, true, false)
	write(b, "failed", 0, "e9", schemas.Failed{
		Stage: "expand", Subject: "itool.run." + b.run + ".root.0.e9", Attempts: 5, Reason: "attempts", Error: hostile,
		Worker: "w1",
	})
}

// tree writes the search tree of an example: so many nodes below the root, four children each, answers at the end.
func (b fixture) tree(key string, nodes int) {
	all := []schemas.Candidate{{
		Parent: -1, ExampleID: key, Tokens: []int32{1, 2}, Visits: int32(nodes), Reference: "[f(a=1)]",
	}}
	for i := 1; i <= nodes; i++ {
		c := schemas.Candidate{
			Node: int32(i), Parent: int32((i - 1) / 4), Text: fmt.Sprintf("part %d ", i), Q: math.Sin(float64(i)),
			Prior: 0.5, Visits: int32(nodes - i), Tokens: []int32{3},
		}
		if 4*i >= nodes {
			c.Terminal, c.Pass, c.ErrorType = true, i%4 == 0, "parameter value"
		}
		if i == 1 {
			c.Text = hostile
		}
		all = append(all, c)
	}
	write(b, "candidate", 0, key, all...)
}

func (b fixture) end() { write(b, "end", 0, "end", schemas.End{Status: "done", Rounds: 1}) }

// serve serves the page of the fixture's broker; change may set other options.
func (b fixture) serve(change func(*ui.Options)) (*httptest.Server, *ui.Server) {
	b.Helper()
	o := ui.Options{Source: ui.Of(b.c), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s := ui.New(o)
	server := httptest.NewServer(s)
	b.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return server, s
}

// get asks for a page.
func get(t testing.TB, address string, change func(*http.Request)) (code int, body string, header http.Header) {
	t.Helper()
	return ask(t, http.MethodGet, address, change)
}

func ask(t testing.TB, method, address string, change func(*http.Request)) (code int, body string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b strings.Builder
	if _, err := copyTo(&b, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, b.String(), answer.Header
}

// withCookie asks for a page as somebody who has given the key.
func withCookie(t testing.TB, address, cookie string) string {
	t.Helper()
	_, body, _ := get(t, address, func(r *http.Request) {
		r.Header.Set("Cookie", strings.SplitN(cookie, ";", 2)[0])
	})
	return body
}
