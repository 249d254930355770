package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFork: a fork takes over what its donor computed before the round, and then goes its own way. With the
// donor's settings it ends as the donor.
func TestFork(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBase(t, dir, nil)
	run := append([]string{"run", file, "--base", base, "--name", "r1", "--json"}, small...)
	code, out, errs := itool(t, dir, run...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	donor := summary(t, out)
	where := filepath.Join(runsDir, "r1")
	fork := func(code int, want string, args ...string) {
		t.Helper()
		expect(t, dir, code, want, append([]string{"fork", "r1"}, args...)...)
	}
	fork(exitError, "example.0 was computed with other settings of split", "--from-round", "0", "--name", "r2",
		"--set", "split.test_share=0.3")
	fork(exitError, "the seed decides everything", "--from-round", "0", "--name", "r2", "--set", "seed=9")
	fork(exitError, "candidate.0 was computed with other settings of expand", "--from-round", "1", "--name", "r2",
		"--set", "expand.width=3")
	fork(exitError, "run r1 has no policy of round 2 yet", "--from-round", "2", "--name", "r2",
		"--set", "line.rounds=3")
	fork(exitUsage, "--from-round: -1 is below 0", "--from-round=-1", "--name", "r2")
	if _, errs := expect(t, dir, 0, "r1", "runs", "--dir", where); strings.Contains(errs, "r2") {
		t.Errorf("a refused fork left something behind:\n%s", errs)
	}
	for name, set := range map[string][]string{
		"same": nil, "wider": {"--set", "expand.width=3"}, "longer": {"--set", "line.rounds=2"},
	} {
		from := map[string]string{"same": "0", "wider": "0", "longer": "1"}[name]
		args := append([]string{"fork", "r1", "--from-round", from, "--name", name}, set...)
		next, _ := expectJSON(t, dir, 0, schemaFork, args...)["next"].(string)
		if !strings.HasPrefix(next, "itool resume "+name+" --dir ") || !strings.HasSuffix(next, where) {
			t.Errorf("%s: fork --json goes on with %q", name, next)
		}
		code, out, errs := itool(t, dir, "resume", name, "--dir", where, "--json")
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		got := summary(t, out)
		if got.Seconds["warmup"] != donor.Seconds["warmup"] || got.Rows.Kept != donor.Rows.Kept {
			t.Errorf("%s: %+v, want the donor's warm-up %+v", name, got, donor)
		}
		want := filepath.Join(where, name)
		if !strings.HasPrefix(got.Report, want) || !exists(filepath.Join(dir, got.Report)) {
			t.Errorf("%s: its report is %s, want it in %s", name, got.Report, want)
		}
		if name == "same" && got.Adapter != donor.Adapter {
			t.Errorf("the same settings lead to adapter %s, the donor has %s", got.Adapter, donor.Adapter)
		}
	}
	// The donor's own command finds it done.
	if code, out, errs := itool(t, dir, run...); code != 0 || summary(t, out).Adapter != donor.Adapter {
		t.Errorf("the donor again: exit code %d\n%s%s", code, out, errs)
	}
}
