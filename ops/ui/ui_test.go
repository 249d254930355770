package ui_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"itool/ops/courier/couriertest"
	"itool/ops/ui"
	"itool/schemas"
)

var copyTo = io.Copy

// TestPage: the page of a run shows what a person must see, and its texts can harm no browser.
func TestPage(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.fill()
	b.end()
	server, _ := b.serve(nil)
	code, html, header := get(t, server.URL+"/run/r1", nil)
	if code != http.StatusOK {
		t.Fatalf("code %d: %s", code, html)
	}
	for what, want := range map[string]string{
		"status":             `<span class="badge done">done</span>`,
		"verdict":            "No effect of the rounds is shown: &#43;25 points (0 to 75)",
		"accuracy":           "<b>75.0</b>",
		"signed change":      `<td class="n change good">−1</td>`,
		"link to examples":   "type=parameter&#43;value",
		"stage":              "<b>expand</b>",
		"command":            "itool export r1",
		"curve":              `"points":[{"step":1,"loss":2}`,
		"dropped rows":       "bad tools",
		"changed setting":    "line.rounds",
		"failed items":       "attempts after 5",
		"what retries them":  "itool failed r1 --requeue",
		"category":           `<td class="name">simple</td>`,
		"lineage":            "1 pairs",
		"escaped in records": "&lt;/script&gt;",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%s: the page lacks %q", what, want)
		}
	}
	checkHarmless(t, html)
	if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers %v", header)
	}
}

// checkHarmless looks for texts of the run that a browser would take for more.
func checkHarmless(t *testing.T, html string) {
	t.Helper()
	for _, bad := range []string{"</script><script>document", "<img src=x", "\x1b", "\u202e", "ZgotmplZ", `"<b>`} {
		if i := strings.Index(html, bad); i >= 0 {
			t.Errorf("the page contains %q: %s", bad, html[max(0, i-200):min(len(html), i+100)])
		}
	}
}

// TestGuard: only people with the key see a run, and no other site can ask for it.
func TestGuard(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.fill()
	const key = "my key & more"
	server, _ := b.serve(func(o *ui.Options) { o.Key, o.Hosts = key, []string{"box.example"} })
	withHost := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	code, _, header := get(t, server.URL+"/run/r1?key="+url.QueryEscape(key), nil)
	if code != http.StatusSeeOther || header.Get("Location") != "/run/r1" {
		t.Fatalf("with the key: %d to %q", code, header.Get("Location"))
	}
	cookie := header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || strings.Contains(cookie, "key") {
		t.Errorf("cookie %q", cookie)
	}
	enter := func(r *http.Request) { r.Header.Set("Cookie", strings.SplitN(cookie, ";", 2)[0]) }
	fetch := func(site, mode, dest string) func(*http.Request) {
		return func(r *http.Request) {
			enter(r)
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Sec-Fetch-Mode", mode)
			r.Header.Set("Sec-Fetch-Dest", dest)
		}
	}
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"no key", "GET", "/run/r1", nil, http.StatusUnauthorized},
		{"a wrong key", "GET", "/run/r1?key=x", nil, http.StatusUnauthorized},
		{"no key for events", "GET", "/run/r1/events", nil, http.StatusUnauthorized},
		{"cookie", "GET", "/run/r1", enter, http.StatusOK},
		{"a name of its own", "GET", "/run/r1", withHost("evil.example"), http.StatusMisdirectedRequest},
		{"a name that was allowed", "GET", "/run/r1", withHost("box.example:80"), http.StatusUnauthorized},
		{"localhost", "GET", "/run/r1", withHost("localhost:1"), http.StatusUnauthorized},
		{"an address", "GET", "/run/r1", withHost("[::1]:1"), http.StatusUnauthorized},
		{"no host", "GET", "/run/r1", withHost("-"), http.StatusMisdirectedRequest},
		{"the page itself", "GET", "/run/r1", fetch("same-origin", "cors", "empty"), http.StatusOK},
		{"another site's script", "GET", "/run/r1", fetch("cross-site", "cors", "empty"), http.StatusForbidden},
		{"another port's script", "GET", "/run/r1", fetch("same-site", "no-cors", "script"), http.StatusForbidden},
		{"another site's frame", "GET", "/run/r1", fetch("cross-site", "navigate", "iframe"), http.StatusForbidden},
		{"a link", "GET", "/run/r1", fetch("cross-site", "navigate", "document"), http.StatusOK},
		{"another site's form", "POST", "/run/r1/requeue", fetch("cross-site", "navigate", "document"),
			http.StatusForbidden},
		{"a change without a token", "POST", "/run/r1/requeue", enter, http.StatusForbidden},
		{"an unknown run", "GET", "/run/nope", enter, http.StatusNotFound},
		{"no name", "GET", "/run/a%2Fb", enter, http.StatusBadRequest},
		{"a template", "GET", "/web/page.html", enter, http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body, _ := ask(t, c.method, server.URL+c.path, c.change)
			if code != c.want {
				t.Errorf("code %d, want %d: %.300s", code, c.want, body)
			}
			if code != http.StatusOK && strings.Contains(body, "a.jsonl") {
				t.Errorf("it shows the run: %.300s", body)
			}
		})
	}
}

// TestRequeue: who knows the token may let workers try again what was given up.
func TestRequeue(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.examples()
	b.round("pair", 0, "s0-0", false)
	write(b, "root", 0, "s0-0", schemas.Example{ID: "s0-0"})
	write(b, "failed", 0, "s0-0", schemas.Failed{
		Stage: "expand", Subject: "itool.run.r1.root.0.s0-0", Attempts: 5, Reason: "attempts", Error: "out of memory",
	})
	server, _ := b.serve(func(o *ui.Options) { o.Key, o.MayChange = "secret", true })
	_, _, header := get(t, server.URL+"/?key=secret", nil)
	code, body, _ := ask(t, "POST", server.URL+"/run/r1/requeue", func(r *http.Request) {
		r.Header.Set("Cookie", strings.SplitN(header.Get("Set-Cookie"), ";", 2)[0])
		r.Header.Set("Origin", server.URL)
	})
	if code != http.StatusOK || !strings.Contains(body, "1 items are tried again") {
		t.Errorf("code %d: %s", code, body)
	}
}

// events reads a run's events until one is wanted.
func events(t *testing.T, in *bufio.Scanner, wanted func(id, html string) bool) {
	t.Helper()
	for in.Scan() {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		var p struct{ ID, HTML string }
		if !ok || json.Unmarshal([]byte(data), &p) != nil {
			continue
		}
		if wanted(p.ID, p.HTML) {
			return
		}
	}
	t.Fatal("the stream ended before the event came")
}

// TestEvents: what changes in a run reaches its visitors, and nothing is watched when they are gone.
func TestEvents(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.examples()
	write(b, "policy", -1, "policy", schemas.Policy{Checkpoint: "p-base", Status: "base", Metrics: "{}", Curve: "[]"})
	before := goleak.IgnoreCurrent()
	server, s := b.serve(nil)
	answer, err := http.Get(server.URL + "/run/r1/events")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(answer.Body)
	in.Buffer(nil, 1<<20)
	events(t, in, func(id, html string) bool {
		return id == "accuracy" && strings.Contains(html, "Nothing is evaluated yet")
	})
	b.verdicts(-1, true, false, false, false)
	events(t, in, func(id, html string) bool { return id == "accuracy" && strings.Contains(html, "<b>25.0</b>") })
	b.end()
	for in.Scan() && in.Text() != "event: over" {
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	server.Close()
	s.Close()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// TestManyRuns: a thousand runs are listed, and found by name.
func TestManyRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a thousand runs, some seconds; the full test run does it")
	}
	c := couriertest.Open(t)
	for i := range 1000 {
		batch, err := schemas.Encode(schemas.Header{Run: fmt.Sprintf("r%03d", i), Key: "run"}, []schemas.Run{
			{Name: fmt.Sprintf("r%03d", i), Created: "2026-01-02T03:04:05Z", Config: "{}", Dataset: "[]"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Broker.Start(t.Context(), batch.Header.Run, batch.Header.Map(), batch.Body); err != nil {
			t.Fatal(err)
		}
	}
	server, _ := fixture{t, c, ""}.serve(nil)
	start := time.Now()
	_, all, _ := get(t, server.URL+"/runs", nil)
	t.Logf("1000 runs: %v, %d bytes", time.Since(start), len(all))
	if n := strings.Count(all, `<tr data-text=`); n != 1000 {
		t.Errorf("%d runs are listed", n)
	}
	_, one, _ := get(t, server.URL+"/runs?q=R77", nil)
	if n := strings.Count(one, `<tr data-text=`); n != 10 {
		t.Errorf("%d runs are found, want 10", n)
	}
}

// TestCompare: two runs stand side by side, with the settings in which they differ.
func TestCompare(t *testing.T) {
	a := newFixture(t, nil, "r1")
	a.fill()
	b := newFixture(t, a.c, "r2")
	b.fill()
	server, _ := a.serve(nil)
	_, html, _ := get(t, server.URL+"/compare?a=r1&b=r2", nil)
	for _, want := range []string{"0.0 points", "All are the same.", `href="/run/r2"`, `class="sentence"`} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	checkHarmless(t, html)
}

// TestExamples: answers stand beside the reference with their differences marked; what was lost comes first.
func TestExamples(t *testing.T) {
	b := newFixture(t, nil, "r1")
	server, _ := b.serve(nil)
	if _, html, _ := get(t, server.URL+"/run/r1/examples", nil); !strings.Contains(html, "has no evaluation") {
		t.Errorf("before any evaluation: %s", html)
	}
	b.fill()
	for _, c := range []struct{ query, want, not string }{
		{"", `data-effect="won"`, "not shown"},
		{"?effect=won", `data-effect="won"`, `data-effect="stayed`},
		{"?type=parameter+value", `class="wrong"`, `data-effect="stayed right"`},
		{"?effect=lost", "None.", "<article"},
		{"?id=s0-3", "s0-3", "s0-4"},
		{"?category=other", "None.", "<article"},
		{"?part=train", "search", "s0-3"},
		{"", "tree of warm-up", ""},
	} {
		path := "/run/r1/examples" + c.query
		if c.want == "tree of warm-up" {
			path += "?id=s0-0"
		}
		code, html, _ := get(t, server.URL+path, nil)
		if code != http.StatusOK || !strings.Contains(html, c.want) || c.not != "" && strings.Contains(html, c.not) {
			t.Errorf("%s: code %d, want %q and not %q:\n%s", path, code, c.want, c.not, html)
		}
		checkHarmless(t, html)
	}
	if code, _, _ := get(t, server.URL+"/run/r1/examples?from=x", nil); code != http.StatusBadRequest {
		t.Errorf("a round that is none: code %d", code)
	}
	if _, html, _ := get(t, server.URL+"/run/r1/places", nil); !strings.Contains(html, "data-show-examples") {
		t.Errorf("places: %s", html)
	}
}

// TestTrees: a tree of ten thousand nodes is shown in parts, each small, and every node can be reached.
func TestTrees(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.fill()
	const nodes = 10_000
	b.tree("s0-1", nodes)
	write(b, "pair", 0, "s0-1", schemas.Pair{ExampleID: "s0-1"})
	server, _ := b.serve(nil)
	_, list, _ := get(t, server.URL+"/run/r1/trees?round=0", nil)
	if !strings.Contains(list, `data-fill="/run/r1/tree/0/s0-1"`) {
		t.Fatalf("the list lacks the tree:\n%s", list)
	}
	seen, most := 0, 0
	queue := []string{"/run/r1/tree/0/s0-1"}
	start := time.Now()
	for len(queue) > 0 && seen < 1000 {
		_, html, _ := get(t, server.URL+queue[0], nil)
		queue = queue[1:]
		checkHarmless(t, html)
		seen += strings.Count(html, `class="q `) + strings.Count(html, `class="q"`)
		most = max(most, len(html))
		for _, part := range []string{`data-children="`, `data-more="`} {
			for _, s := range strings.Split(html, part)[1:] {
				next, _, _ := strings.Cut(s, `"`)
				queue = append(queue, strings.ReplaceAll(next, "&#43;", "+"))
			}
		}
	}
	t.Logf("%d nodes in %v", seen, time.Since(start))
	if seen < 1000 || most > 300_000 {
		t.Errorf("%d nodes were seen, the largest part has %d bytes", seen, most)
	}
	for _, path := range []string{"/run/r1/tree/0/nope", "/run/r1/tree/x/s0-1", "/run/r1/tree/0/s0-1/10001"} {
		if code, _, _ := get(t, server.URL+path, nil); code != http.StatusBadRequest {
			t.Errorf("%s: code %d", path, code)
		}
	}
}

// TestFreeze: the file holds the page with examples and trees, and asks no server for anything.
func TestFreeze(t *testing.T) {
	b := newFixture(t, nil, "r1")
	b.fill()
	b.end()
	server, _ := b.serve(nil)
	code, html, _ := get(t, server.URL+"/run/r1/report.html", nil)
	if code != http.StatusOK {
		t.Fatalf("code %d: %s", code, html)
	}
	for _, want := range []string{
		`data-effect="won"`, `class="tree"`, "var uPlot=", `class="sentence"`, "Failed items",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the file lacks %q", want)
		}
	}
	checkHarmless(t, html)
	for _, bad := range []string{
		"<script src", "<img", `href="/`, `href="http`, "@import", "url(http", "data-events", "<link",
	} {
		rest := html
		if script := strings.LastIndex(html, "<script>"); script > 0 {
			rest = html[:script] // what stands in our script is no link
		}
		if strings.Contains(rest, bad) {
			t.Errorf("the file contains %q", bad)
		}
	}
}
