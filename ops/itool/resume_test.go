package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestResume: an interrupted run goes on without its command and its files, and ends as it would have.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBase(t, dir, nil)
	args := append([]string{"run", file, "--base", base, "--name", "r1", "--json"}, small...)
	args = append(args, "--set", "line.rounds=0", "--set", "line.evaluate=none",
		"--set", "warmup.epochs=12", "--set", "warmup.checkpoint_steps=5") // long enough to be interrupted
	c := command(t, dir, args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	where := filepath.Join(runsDir, "r1")
	waitFor(t, func() bool {
		code, out, _ := itool(t, dir, "runs", "--dir", where)
		return code == 0 && strings.Contains(out, "running")
	})
	expect(t, dir, exitError, "run r1 is at work: itool watch r1", "resume", "r1")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit code %d, want %d", code, exitInterrupted)
	}
	code, undisturbed, errs := itool(t, dir, append(args, "--dir", "another", "--curves")...)
	if code != 0 {
		t.Fatal(errs)
	}
	for _, f := range []string{file, filepath.Join(base, "model.safetensors")} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, dir, exitError, "nosuch holds no run (in ./itool-runs there are: r1)", "resume", "nosuch")
	expect(t, dir, exitError, "no run named r2; there are: r1", "resume", "r2", "--dir", where)
	for range 2 { // the second time nothing is left to do
		code, out, errs := itool(t, dir, "resume", "r1", "--json")
		if code != 0 {
			t.Fatalf("resume: exit code %d\n%s%s", code, out, errs)
		}
		if got, want := summary(t, out), summary(t, undisturbed); got.Status != "done" || got.Adapter != want.Adapter {
			t.Errorf("got %+v, undisturbed %+v", got, want)
		}
	}
	sameCurves(t, dir)
}

// sameCurves: the resumed run has each step once, with the numbers of the undisturbed one.
func sameCurves(t *testing.T, dir string) {
	t.Helper()
	expect(t, dir, exitUsage, "--curves: not with --merged", "export", "r1", "--curves", "--merged", "--out", "curves")
	expect(t, dir, 0, "steps in curves", "export", "r1", "--curves", "--out", "curves")
	expect(t, dir, exitError, "curves is there already", "export", "r1", "--curves", "--out", "curves")
	var texts [2]string
	for i, folder := range []string{"curves", filepath.Join("another", "curves")} {
		text, err := os.ReadFile(filepath.Join(dir, folder, "steps.csv"))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
		events, _ := filepath.Glob(filepath.Join(dir, folder, "warm-up", "events.out.tfevents.*"))
		if len(events) != 1 {
			t.Errorf("%s: event files %v", folder, events)
		}
	}
	if texts[0] != texts[1] || strings.Count(texts[0], "\n") < 10 {
		t.Errorf("resumed:\n%s\nundisturbed:\n%s", texts[0], texts[1])
	}
}

// TestRunsJSON: the list for machines has what the lines say.
func TestRunsJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	up, _ := upIn(t, dir)
	defer stop(t, up)
	list := func() []runStatus {
		t.Helper()
		out, _ := expect(t, dir, 0, `"schema": "itool.runs/v1"`, "runs", "--json")
		var all runList
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return all.Runs
	}
	if all := list(); all == nil || len(all) != 0 {
		t.Errorf("without runs: %v", all)
	}
	expect(t, dir, 0, "published", append([]string{"publish", file, "--base", base, "--name", "r1"}, small...)...)
	waitFor(t, func() bool { all := list(); return len(all) == 1 && len(all[0].Rounds) == 1 })
	r := list()[0]
	if r.Run != "r1" || r.Status != "running" || r.Rounds[0].Record != "example" || r.Rounds[0].Total != 1 {
		t.Errorf("got %+v", r)
	}
	expect(t, dir, 0, "run r1: 0 items are tried again", "failed", "r1", "--requeue")
	if q := expectJSON(t, dir, 0, schemaRequeue, "failed", "r1", "--requeue"); q["items"] != 0. {
		t.Errorf("failed --requeue --json says %v", q)
	}
	if c := expectJSON(t, dir, 0, schemaCancel, "cancel", "r1"); c["run"] != "r1" || c["before"] != false {
		t.Errorf("cancel --json says %v", c)
	}
	waitFor(t, func() bool { return list()[0].Status == "cancelled" })
	expect(t, dir, exitError, "run r1 is over (cancelled): itool fork", "failed", "r1", "--requeue")
	expect(t, dir, exitError, "resume is for runs of `itool run`", "resume", "r1")
}
