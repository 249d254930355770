package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRetire: an ended run gives its room back, and report and export still work. An unfinished one is
// refused without --force.
func TestRetire(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	run := append([]string{"run", file, "--base", base, "--name", "r1"}, small...)
	if code, out, errs := itool(t, dir, run...); code != 0 {
		t.Fatalf("run: exit code %d\n%s%s", code, out, errs)
	}
	report := func() string {
		t.Helper()
		out, _ := expect(t, dir, 0, "run r1 · done", "report", "r1", "--full", "--html", "report.html", "--force")
		return out
	}
	before := report()
	expect(t, dir, exitError, "holds", "quota", "r1", "1KiB")
	expect(t, dir, exitUsage, "no size", "quota", "r1", "8x")
	expect(t, dir, 0, "may hold 64.0 MiB", "quota", "r1", "64MiB")
	if q := expectJSON(t, dir, 0, schemaQuota, "quota", "r1", "64MiB"); q["quota"] != 64.*1024*1024 || q["held"] == 0. {
		t.Errorf("quota --json says %v", q)
	}
	if p := expectJSON(t, dir, 0, schemaExport, "export", "r1", "--pairs", "--out", "some.jsonl"); p["pairs"] == nil {
		t.Errorf("export --pairs --json says %v", p)
	}
	if w := expectJSON(t, dir, 0, schemaWatch, "watch", "r1", "--dir", "itool-runs/r1"); w["status"] != "done" {
		t.Errorf("watch --json of an ended run says %v", w)
	}
	expect(t, dir, exitError, "no run named r9; there are: r1", "retire", "r9", "--dir", "itool-runs/r1")
	expect(t, dir, 0, "64.0 MiB of the broker's room are free", "retire", "r1")
	expect(t, dir, 0, "was retired before", "retire", "r1")
	if r := expectJSON(t, dir, 0, schemaRetire, "retire", "r1"); r["before"] != true || r["kept"] != true {
		t.Errorf("retire --json a second time says %v", r)
	}
	expect(t, dir, 0, "retired", "runs", "--dir", "itool-runs/r1")
	if after := report(); after != before {
		t.Errorf("the report of the retired run differs:\n%s\nbefore:\n%s", after, before)
	}
	for _, args := range [][]string{
		{"--out", "adapter", "--round", "0"}, {"--out", "whole", "--merged", "--round", "0"},
	} {
		expect(t, dir, 0, " of run r1: ", append([]string{"export", "r1"}, args...)...)
	}
	whole := []string{"export", "r1", "--out", "again", "--merged", "--round", "0"}
	e := expectJSON(t, dir, 0, schemaExport, whole...)
	if e["kind"] != "model" || e["model"] == nil || e["round"] != 0. {
		t.Errorf("export --json says %v", e)
	}
	expect(t, dir, exitError, "no run named r1", "watch", "r1")
	for _, args := range [][]string{
		{"examples", "r1"}, {"tree", "r1", "--list"}, {"trace", "r1", "1"}, {"report", "r1", "--errors"},
		{"export", "r1", "--pairs", "--out", "pairs.jsonl"},
	} {
		expect(t, dir, exitError, "was retired: its examples, trees and pairs are gone", args...)
	}

	// The name is free again.
	code, out, errs := itool(t, dir, append(run, "--set", "line.rounds=0")...)
	if code != 0 || !strings.Contains(out, "run r1 · done") {
		t.Errorf("another run under the name: exit code %d\n%s%s", code, out, errs)
	}
}

// TestRetireUnfinished: a run that goes on is refused, unless that is forced.
func TestRetireUnfinished(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	start(t, dir, "up", "--port=-1", "--dir", "up")
	waitFor(t, func() bool { return exists(filepath.Join(dir, "up", "address")) })
	where := []string{"--dir", "up"}
	publish := append([]string{"publish", file, "--base", base, "--name", "p1"}, append(where, small...)...)
	expect(t, dir, 0, "published run p1", publish...)
	waitFor(t, func() bool {
		_, out, _ := itool(t, dir, append([]string{"runs"}, where...)...)
		return strings.Contains(out, "running")
	})
	expect(t, dir, exitError, "itool cancel p1", append([]string{"retire", "p1"}, where...)...)
	expect(t, dir, 0, "is retired", append([]string{"retire", "p1", "--force"}, where...)...)
	if out, _ := expect(t, dir, 0, "retired", append([]string{"runs"}, where...)...); strings.Contains(out, "running") {
		t.Errorf("runs says\n%s", out)
	}
}
