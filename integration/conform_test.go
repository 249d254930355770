package integration

import (
	"encoding/json"
	"testing"
	"time"

	"itool/integration/rig"
	"itool/ops/conform"
)

// conforms runs itool conform and returns its report.
func conforms(t *testing.T, code int, args ...string) (r conform.Report) {
	t.Helper()
	out, errs, got := rig.ItoolWithin(t, 20*time.Minute, t.TempDir(), append([]string{"conform", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit code %d: %v\n%s%s", got, err, out, errs)
	}
	for _, f := range r.Findings {
		t.Log(f.Line())
	}
	if got != code {
		t.Errorf("exit code %d, want %d\n%s\n%s", got, code, errs, r.Said)
	}
	return r
}

// TestConformOurs: our own worker passes the checks for workers of others, without a warning.
func TestConformOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for heartbeats and hand-backs, half a minute; the full test run does it")
	}
	r := conforms(t, 0, "filter", "--", rig.Binary(t), "work", "filter", "--broker", "{broker}", "--store", "{store}",
		"--ack-wait", "3s", "--slots", "2")
	for _, f := range r.Findings {
		if f.Level == conform.Warn {
			t.Error(f.Line())
		}
	}
}

// TestConformRefuses: a program that ends at once is told so, with its output.
func TestConformRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("does a small run first, some seconds; the full test run does it")
	}
	r := conforms(t, 1, "filter", "--", "sh", "-c", "echo no worker for {run}; exit 1")
	if len(r.Findings) == 0 || r.Findings[0].Level != conform.Fail || r.Said != "no worker for conform-0\n" {
		t.Errorf("got %+v", r)
	}
}

// TestForeignConform: the filter in Python passes them, too.
func TestForeignConform(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for heartbeats and hand-backs, half a minute; the full test run does it")
	}
	python := foreignPython(t, wireModules...)
	t.Setenv("PYTHONPATH", foreignPackage(t))
	r := conforms(t, 0, "filter", "--", python, "-m", "itoolwire", "filter", "--broker", "{broker}", "--store",
		"{store}")
	for _, f := range r.Findings {
		if f.Level == conform.Warn {
			t.Error(f.Line())
		}
	}
}
