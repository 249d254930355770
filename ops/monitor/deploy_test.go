package monitor_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/ops/monitor"
)

var (
	metric  = regexp.MustCompile(`\bitool_[a-z_]+`)
	alert   = regexp.MustCompile(`(?m)- alert: (\w+)`)
	anchor  = regexp.MustCompile(`runbook: "ops/runbook\.md#([a-z]+)"`)
	heading = regexp.MustCompile("(?m)^#+ `?([^`\n]+)`?$")
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exposed are the names in /metrics of a run that has something of everything.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	c := couriertest.Open(t)
	m, s := start(t, c, 0, "r1")
	if err := c.AnswerWaiting(t.Context(), func() []courier.Waiting {
		return []courier.Waiting{{Run: "r1", Stage: "expand", What: "store: away", Worker: "w"}}
	}); err != nil {
		t.Fatal(err)
	}
	m.Observe(line.Observation{
		Run: "r1", Status: line.Status{Waiting: []string{"waiting: store: away"}},
		Stages: []line.StageCount{{Stage: "expand"}},
	})
	await(t, s, "/metrics", func(_ int, body string) bool { return strings.Contains(body, "itool_workers_waiting{") })
	_, body := get(t, s, "/metrics")
	names := map[string]bool{}
	for _, name := range metric.FindAllString(body, -1) {
		names[name] = true
	}
	return names
}

// TestDashboardAndAlerts: the dashboard is one for Grafana, and all metrics that it and the alerts name exist; the
// runbook has a section for each alert and for each thing that is waited for.
func TestDashboardAndAlerts(t *testing.T) {
	names := exposed(t)
	board, rules := read(t, "deploy/grafana/itool.json"), read(t, "deploy/prometheus/alerts.yaml")
	var d struct {
		UID           string
		SchemaVersion int
		Panels        []struct {
			ID         int
			Type       string
			Title      string
			Datasource struct{ UID string }
			GridPos    struct{ W, H int }
			Targets    []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal([]byte(board), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.SchemaVersion < 30 || len(d.Panels) < 8 {
		t.Errorf("the dashboard lacks parts: %+v", d)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Type == "" || p.Title == "" || p.Datasource.UID != "${source}" || p.GridPos.W == 0 ||
			len(p.Targets) == 0 || p.Targets[0].Expr == "" || p.Targets[0].RefID == "" {
			t.Errorf("a panel lacks parts: %+v", p)
		}
		ids[p.ID] = true
	}
	used := map[string]bool{}
	for _, name := range metric.FindAllString(board+rules, -1) {
		used[name] = true
		if !names[name] {
			t.Errorf("/metrics has no %s", name)
		}
	}
	for name := range names {
		if !used[name] {
			t.Errorf("neither dashboard nor alerts show %s", name)
		}
	}
	sections := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(read(t, "runbook.md"), -1) {
		sections[strings.ToLower(h[1])] = true
	}
	alerts, anchors := alert.FindAllStringSubmatch(rules, -1), anchor.FindAllStringSubmatch(rules, -1)
	if len(alerts) < 8 || len(alerts) != len(anchors) {
		t.Fatalf("%d alerts with %d places in the runbook", len(alerts), len(anchors))
	}
	for i := range alerts {
		if name := strings.ToLower(alerts[i][1]); name != anchors[i][1] || !sections[name] {
			t.Errorf("alert %s: the runbook has no section for it, or it names %s", alerts[i][1], anchors[i][1])
		}
	}
	for _, cause := range monitor.Causes {
		if !sections["waiting: "+cause] {
			t.Errorf("the runbook has no section `waiting: %s`", cause)
		}
	}
}
