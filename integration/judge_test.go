package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/integration/rig"
	"itool/ops/courier"
	"itool/schemas"
)

// TestAJudgeOfOnesOwn: a whole run judged by the guide's program. Workers without it leave the items alone, and
// say so; spread over processes the run has the bytes of one process; its record names the judge.
func TestAJudgeOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the line twice as processes, about 20 seconds; the full test run does it")
	}
	own := guidesJudge(t)
	dir := t.TempDir()
	dataset, base := assets(t)
	site := filepath.Join(dir, "site")
	set := []string{oneRound, "line.evaluate=validation", "line.evaluate_rows=4"}
	args := []string{"run", dataset, "--base", base, "--name", name, "--dir", site, "--json", "--judge", own}
	if out, errs, code := rig.Itool(t, dir, append(args, settings(set...)...)...); code != 0 {
		t.Fatalf("run: exit code %d\n%s%s", code, out, errs)
	}
	want := policies(t, rig.Up(t, site).Courier)

	k := up(t)
	k.publish(append(set, "judge=kind 1")...)
	blind := k.work("split", "warmup")
	const without = "waiting: judge: the run needs the judge kind 1: this worker has none"
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(blind.Said(), without); {
		if time.Now().After(deadline) {
			t.Fatalf("the worker without the judge says\n%s", blind.Said())
		}
		time.Sleep(50 * time.Millisecond)
	}
	blind.Kill()
	k.work("split", "warmup", "score", "select", "filter", "update", "--judge", own)
	k.work("expand", "evaluate", "--judge", own)
	k.end()
	if got := policies(t, k.site.Courier); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("policies %v, in one process %v", got, want)
	}
	run, _, err := k.site.Courier.Description(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Judge string }
	if err := json.Unmarshal([]byte(run.Config), &config); err != nil || config.Judge != "kind 1" {
		t.Errorf("the run's record names the judge %q, %v", config.Judge, err)
	}
	k.judged()
}

// judged checks that the reasons in the verdicts are the judge's.
func (k *cluster) judged() {
	k.t.Helper()
	reasons := 0
	for m, err := range k.site.Broker.List(k.t.Context(), name, "verdict.*.*") {
		if err != nil {
			k.t.Fatal(err)
		}
		rows, _, err := courier.Rows[schemas.Verdict](k.t.Context(), k.site.Courier, name, m.Record, m.Round, m.Key)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, v := range rows {
			if strings.HasPrefix(v.ErrorName, "judge: ") {
				reasons++
			} else if !v.Pass && !v.Cut {
				k.t.Errorf("a verdict that the judge did not make: %+v", v)
			}
		}
	}
	if reasons == 0 {
		k.t.Error("no verdict has a reason of the judge")
	}
}

// guidesJudge writes the guide's program and returns the command that runs it.
func guidesJudge(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("no python3 runs the guide's judge: %v", err)
	}
	page, err := os.ReadFile("../ops/guide/judge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(page), "```python\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !found || !closed {
		t.Fatal("the guide has no Python program")
	}
	file := filepath.Join(t.TempDir(), "judge.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return python + " " + file
}
