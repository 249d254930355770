package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/schemas/toolcall/bfcl/bfcltest"
)

var (
	bfclSeed  = flag.Uint64("bfcl.seed", 16, "seed of the random answers of TestBFCL")
	bfclCases = flag.Int("bfcl.cases", 2000, "answers of TestBFCL in each category")
	bfclWrite = flag.Bool("bfcl.write", false, "TestBFCLMadeUp writes the cases that CI compares")
)

// TestBFCL holds the verdicts on random answers to BFCL's rows against those of two versions of bfcl-eval.
func TestBFCL(t *testing.T) {
	dir := bfclEval(t)
	r := rand.New(rand.NewPCG(*bfclSeed, 0))
	var cases []bfcltest.Case
	questions := bfcltest.Questions(t)
	for _, category := range sorted(questions) {
		cases = append(cases, bfcltest.Cases(r, questions[category], *bfclCases)...)
	}
	compareVerdicts(t, judgeAll(t, dir, cases))
}

// TestBFCLMadeUp does the same with answers to made-up questions.
func TestBFCLMadeUp(t *testing.T) {
	dir := bfclEval(t)
	r := rand.New(rand.NewPCG(17, 0))
	var cases []bfcltest.Case
	for _, category := range []string{
		"simple", "multiple", "parallel", "java", "javascript", "irrelevance", "live_relevance",
	} {
		cases = append(cases, bfcltest.Cases(r, bfcltest.MadeUp(r, category, 40), 500)...)
	}
	all := judgeAll(t, dir, cases)
	compareVerdicts(t, all)
	if !*bfclWrite {
		return
	}
	f, err := os.Create("../../schemas/toolcall/bfcl/testdata/verdicts.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := bfcltest.Write(f, all); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// bfclEval returns the folder into which task bfcl-check installs the versions.
func bfclEval(t *testing.T) string {
	dir := os.Getenv("ITOOL_BFCL")
	if dir == "" {
		t.Skip("ITOOL_BFCL names no folder with bfcl-eval; task bfcl-check installs it")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func sorted(questions map[string][]bfcltest.Question) []string {
	var names []string
	for name := range questions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// judgeAll asks both versions.
func judgeAll(t *testing.T, dir string, cases []bfcltest.Case) []bfcltest.Judged {
	t.Helper()
	all := make([]bfcltest.Judged, len(cases))
	for i := range cases {
		all[i].Case = cases[i]
	}
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, c := range cases {
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	for edition, version := range bfcltest.Editions {
		run := func(args ...string) *exec.Cmd {
			cmd := exec.Command(filepath.Join(dir, "bin", "python"), append([]string{"bfcl.py"}, args...)...)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, version), "PYTHONHASHSEED=0")
			cmd.Stderr = os.Stderr
			return cmd
		}
		if got, err := run("--version").Output(); err != nil || strings.TrimSpace(string(got)) != version {
			t.Fatalf("bfcl-eval %s: got %q, %v", version, got, err)
		}
		cmd := run()
		cmd.Stdin = bytes.NewReader(in.Bytes())
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bfcl-eval %s: %v", version, err)
		}
		lines := bufio.NewScanner(bytes.NewReader(out))
		for i := range all {
			var verdict struct{ Error string }
			if !lines.Scan() {
				t.Fatalf("bfcl-eval %s: %d verdicts for %d cases", version, i, len(all))
			}
			if err := json.Unmarshal(lines.Bytes(), &verdict); err != nil {
				t.Fatal(err)
			}
			all[i].Errors[edition] = verdict.Error
		}
	}
	return all
}

// compareVerdicts prints how many agree by category, and the verdicts that differ without a reason.
func compareVerdicts(t *testing.T, all []bfcltest.Judged) {
	t.Helper()
	counts := map[string]*[5]int{}
	var names []string
	passed := 0
	for i := range all {
		for edition, version := range bfcltest.Editions {
			c, m, err := all[i].Compare(edition)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%-24s %s", all[i].Category, version)
			if counts[name] == nil {
				counts[name] = new([5]int)
				names = append(names, name)
			}
			counts[name][c]++
			if m == nil {
				passed++
			}
			if c > bfcltest.Unsure {
				t.Errorf("%s: %q: %s says %q, here %v", all[i].ID, all[i].Raw, version, all[i].Errors[edition], m)
			}
		}
	}
	slices.Sort(names)
	t.Logf("%-34s same unsure other stricter kinder", "")
	for _, name := range names {
		n := counts[name]
		t.Logf("%-34s %4d %6d %5d %8d %6d", name, n[bfcltest.Same], n[bfcltest.Unsure], n[bfcltest.Other],
			n[bfcltest.Stricter], n[bfcltest.Kinder])
	}
	t.Logf("%d answers; %d of %d verdicts let one pass", len(all), passed, 2*len(all))
}
