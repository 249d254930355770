package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"itool/ops/estimate"
)

// TestEstimate: a pilot that leaves nothing behind.
func TestEstimate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in a process of its own")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 200), writeBase(t, dir, nil)
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	args := append([]string{"estimate", file, "--base", base, "--rows", "32", "--price", "2", "--json"}, small...)
	code, out, errs := itool(t, dir, args...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var e estimate.Estimate
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err, out)
	}
	stages := map[string]float64{}
	for _, s := range e.Stages {
		stages[s.Stage] = s.Seconds
	}
	if e.Seconds <= 0 || e.Bytes < 1<<20 || math.Abs(e.Cost-2*e.Seconds/3600) > 1e-9 {
		t.Errorf("got %+v", e)
	}
	for _, s := range []string{"warmup", "expand", "evaluate"} {
		if stages[s] <= 0 {
			t.Errorf("%s takes no time: %+v", s, e.Stages)
		}
	}
	if e.Pilot.Rows < 16 || e.Pilot.Rows > 64 {
		t.Errorf("the pilot trained on %d rows, 32 were asked for", e.Pilot.Rows)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if matched, _ := filepath.Match("itool-estimate-*", f.Name()); matched {
			t.Errorf("%s is left", f.Name())
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"estimate", file, "--rows", "2"}, exitUsage},
		{[]string{"estimate", writeRows(t, t.TempDir(), 0, "no json"), "--base", base}, exitError},
	} {
		if code, out, errs := itool(t, dir, c.args...); code != c.code {
			t.Errorf("%v: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
}
