package monitor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/ops/monitor"
	"itool/schemas"
)

// start runs a monitor of the broker with runs, each with two roots in the queue of expand and one in work.
func start(t *testing.T, c *courier.Courier, maxRuns int, runs ...string) (*monitor.Monitor, *httptest.Server) {
	t.Helper()
	for _, run := range runs {
		if err := c.Broker.CreateRun(t.Context(), run, 0); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			put(t, c, run, "root", fmt.Sprintf("k%d", i), []schemas.Score{{}})
		}
		p, err := c.Broker.Pull(t.Context(), run, "expand", []string{"root.*.*"}, broker.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m := &monitor.Monitor{
		Courier: c, Stages: []string{"expand", "filter"}, Log: slog.New(slog.DiscardHandler),
		Every: 20 * time.Millisecond, MaxRuns: maxRuns,
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	s := httptest.NewServer(m.Handler())
	t.Cleanup(s.Close)
	return m, s
}

func put[R schemas.Record](t *testing.T, c *courier.Courier, run, record, key string, rows []R) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Key: key}, rows)
	if err == nil {
		_, err = c.Publish(t.Context(), record, b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *httptest.Server, path string) (code int, body string) {
	t.Helper()
	r, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// await asks until the answer is right.
func await(t *testing.T, s *httptest.Server, path string, right func(code int, body string) bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		code, body := get(t, s, path)
		if right(code, body) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d\n%s", path, code, body)
		}
	}
}

// TestScale: what is left for a stage is counted over all runs that go on; a cancelled one does not count.
func TestScale(t *testing.T) {
	c := couriertest.Open(t)
	_, s := start(t, c, 0, "r1", "r2")
	left := func(want monitor.Left) func(int, string) bool {
		return func(code int, body string) bool {
			var got monitor.Left
			return code == 200 && json.Unmarshal([]byte(body), &got) == nil && got == want
		}
	}
	await(t, s, "/scale/expand", left(monitor.Left{Stage: "expand", Value: 6, Pending: 4, InFlight: 2}))
	await(t, s, "/scale/filter", left(monitor.Left{Stage: "filter"}))
	put(t, c, "r2", schemas.RecordCancel, schemas.KeyCancel, []schemas.End{{}})
	await(t, s, "/scale/expand", left(monitor.Left{Stage: "expand", Value: 3, Pending: 2, InFlight: 1}))
	if code, body := get(t, s, "/scale/nonsense"); code != 404 || !strings.Contains(body, "expand, filter") {
		t.Errorf("a stage that does not exist: %d %s", code, body)
	}
}

// TestBrokerAway: without fresh numbers nothing is said that a scaler would act on, and the process lives.
func TestBrokerAway(t *testing.T) {
	c := couriertest.Open(t)
	m := &monitor.Monitor{Courier: c, Stages: []string{"expand"}, Log: slog.New(slog.DiscardHandler)}
	s := httptest.NewServer(m.Handler()) // nothing was collected
	defer s.Close()
	for path, want := range map[string]int{"/scale/expand": 503, "/readyz": 503, "/healthz": 200, "/metrics": 200} {
		if code, body := get(t, s, path); code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	m, s := start(t, couriertest.Open(t), 0, "r1")
	m.Observe(line.Observation{
		Run:    "r1",
		Status: line.Status{Stalled: "disk", Waiting: []string{"waiting: store: away"}, Foreign: 4, Refused: 5},
		Stages: []line.StageCount{{Round: 2, Stage: "expand", Items: 9, Answered: 7, Lost: 1}},
	})
	await(t, s, "/metrics", func(_ int, body string) bool { return strings.Contains(body, `itool_monitor_up 1`) })
	_, body := get(t, s, "/metrics")
	for _, want := range []string{
		"itool_runs 1",
		`itool_items_pending{run="r1",stage="expand"} 2`, `itool_items_in_flight{run="r1",stage="expand"} 1`,
		`itool_deliveries_total{run="r1",stage="expand"} 1`, `itool_run_stalled{run="r1"} 1`,
		`itool_run_waiting{cause="store",run="r1"} 1`, `itool_run_foreign_messages{run="r1"} 4`,
		`itool_run_refused_results{run="r1"} 5`, `itool_round_items{round="2",run="r1",stage="expand"} 9`,
		`itool_round_answered_total{round="2",run="r1",stage="expand"} 7`,
		`itool_round_failed_total{round="2",run="r1",stage="expand"} 1`,
		"go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	age := regexp.MustCompile(`itool_oldest_item_seconds\{run="r1",stage="expand"\} (\S+)`).FindStringSubmatch(body)
	if age == nil || age[1] == "0" {
		t.Errorf("the oldest item is %q seconds old", age)
	}
	m.Observe(line.Observation{Run: "r1", Ended: true})
	if _, body := get(t, s, "/metrics"); strings.Contains(body, "itool_run_stalled") {
		t.Error("a run that has ended is still there")
	}
}

// TestManyRuns: of many runs only some are told apart, and all count.
func TestManyRuns(t *testing.T) {
	var runs []string
	for i := range 12 {
		runs = append(runs, fmt.Sprintf("r%02d", i))
	}
	m, s := start(t, couriertest.Open(t), 5, runs...)
	for _, run := range runs {
		m.Observe(line.Observation{Run: run})
	}
	await(t, s, "/scale/expand", func(_ int, body string) bool { return strings.Contains(body, `"value":36`) })
	_, body := get(t, s, "/metrics")
	for _, series := range []string{"itool_items_pending{", "itool_run_stalled{"} {
		if n := strings.Count(body, series); n != 5 {
			t.Errorf("%d series of %s, want 5", n, series)
		}
	}
	if !strings.Contains(body, "itool_runs 12") {
		t.Error("not all runs are counted")
	}
}

func TestCause(t *testing.T) {
	for reason, want := range map[string]string{
		"waiting: store: away": "store", "disk: storage/disk: put x": "disk", "needs pair/v2": "needs",
		"waiting: needs pair/v2: start": "needs", line.NoKeeper: "keeper",
		"waiting: worker: no worker takes x":     "worker",
		"the keeper takes out a wrong result: x": "result", "waiting: room: full": "room",
		"": "other", "what else": "other",
	} {
		if got := monitor.Cause(reason); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
	if !slices.IsSorted(monitor.Causes) {
		t.Error("not sorted")
	}
}
