package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"itool/integration/rig"
)

// whereWrong runs every command of the guide's page on finding errors, as it stands there, beside the run of the quick
// demo in dir. Only the run that the page ends with is not run.
func whereWrong(t *testing.T, dir string) {
	for _, rows := range []string{"train.jsonl", "test.jsonl"} {
		if _, errs, code := rig.Itool(t, dir, "synth", "--rows", "60", "-o", rows); code != 0 {
			t.Fatal(errs)
		}
	}
	arg := regexp.MustCompile(`'[^']*'|[^\s']+`)
	ran := 0
	for _, block := range shell.FindAllStringSubmatch(pages(t)["where-wrong.md"], -1) {
		for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			line, _, _ = strings.Cut(line, "#")
			args := arg.FindAllString(line, -1)[1:]
			for i := range args {
				args[i] = strings.Trim(args[i], "'")
			}
			if args[0] == "run" {
				continue
			}
			out, errs, code := rig.Itool(t, dir, args...)
			if code != 0 || out == "" {
				t.Errorf("%s\nexit code %d, printed %q\n%s", line, code, out, errs)
			}
			ran++
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were run: correct the pattern", ran)
	}
	pairsForPython(t, filepath.Join(dir, "pairs.jsonl"))
	traced(t, dir)
}

// pairsForPython reads the pairs as TRL's users do: every line has the same columns, and those of TRL are what they
// must be.
func pairsForPython(t *testing.T, file string) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("python3 is not there: the pairs are not read with it")
		return
	}
	out, err := exec.Command(python, "-c", `
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
assert rows and len({tuple(r) for r in rows}) == 1, "columns differ"
for r in rows:
    assert all(m["role"] and isinstance(m["content"], str) for m in r["prompt"]), r
    for side in ("chosen", "rejected"):
        assert [m["role"] for m in r[side]] == ["assistant"] and r[side][0]["content"].startswith(r["shared"]), r
    assert r["chosen"] != r["rejected"] and isinstance(json.loads(r["tools"]), list), r
    assert not any(v is None for v in r.values()), r
`, file).CombinedOutput()
	if err != nil {
		t.Errorf("python3: %v\n%s", err, out)
	}
}

// traced follows the adapter of the demo to all of its pairs, and one of these back to the policy.
func traced(t *testing.T, dir string) {
	ask := func(what string) (trace struct {
		Kind     string
		Policies []struct {
			Digest   string
			Examples int
		}
		Pairs []struct {
			ID      string
			Trained bool
		}
	}) {
		out, errs, code := rig.Itool(t, dir, "trace", "demo-quick", what, "--json")
		if err := json.Unmarshal([]byte(out), &trace); err != nil || code != 0 {
			t.Fatalf("trace %s: exit code %d, %v\n%s", what, code, err, errs)
		}
		return trace
	}
	adapter := filepath.Join("itool-runs", "demo-quick", "adapter")
	if _, err := os.Stat(filepath.Join(dir, adapter)); err != nil {
		t.Fatal(err)
	}
	down := ask(adapter)
	last := down.Policies[len(down.Policies)-1]
	if down.Kind != "policy" || len(down.Pairs) == 0 || len(down.Pairs) != last.Examples {
		t.Fatalf("the adapter: %d pairs, its policy was trained on %d", len(down.Pairs), last.Examples)
	}
	up := ask(down.Pairs[0].ID)
	if up.Kind != "pair" || !up.Pairs[0].Trained || up.Policies[len(up.Policies)-1].Digest != last.Digest {
		t.Errorf("back from pair %s: got %+v, want policy %s", down.Pairs[0].ID, up, last.Digest)
	}
}
