package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/lab"
)

// labSpec is small, but for a warm-up that is long enough to be killed in. Pairs come
// from the probabilities of noise, so that there is something to update on.
const labSpec = `
name: try
question: Does the loss matter?
base: base
datasets: [data.jsonl]
set:
  split.test_share: 0.2
  warmup: {epochs: 4, batch_size: 8, checkpoint_steps: 5}
  line: {rounds: 1, evaluate_rows: 6}
  expand: {preset: samples, width: 3, max_answer_tokens: 8}
  filter: {mode: paper, min_chosen_q: 0, min_q_difference: 0}
  select: {max_tokens: 8, max_trees: 4, judge_examples: 2}
  update: {guard_tokens: 8, guard_prompts: 4, min_pairs: 1, min_steps: 1, batch_size: 2}
  evaluate.max_tokens: 8
seeds: [1, 2]
arms:
  - {name: base, measure: base}
  - {name: full}
  - {name: SFT goes on, set: {update.loss: sft}}
compare:
  - full - base
  - {pair: full - SFT goes on, note: as many steps}
`

// TestLab: killed in its middle, a laboratory goes on to the numbers of an undisturbed
// one; its files are there; tuning runs are logged once each.
func TestLab(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a laboratory twice, half a minute; the full test run does it")
	}
	dir := t.TempDir()
	writeRows(t, dir, 24)
	writeBase(t, dir, nil)
	for name, text := range map[string]string{
		"try.yaml":  labSpec,
		"tune.yaml": strings.Replace(labSpec, "name: try", "name: tune\ntuning: true", 1),
		"bad.yaml":  labSpec + "armz: 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, errs := expect(t, dir, exitError, "bad.yaml:23", "lab", "bad.yaml")
	if !strings.Contains(errs, "did you mean arms?") {
		t.Errorf("an unknown key: %s", errs)
	}
	expect(t, dir, 0, "3 arms × 2 seeds, 4 runs, measured on test", "lab", "try.yaml", "--plan")

	c := command(t, dir, "lab", "try.yaml", "--dir", "killed")
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		code, out, _ := itool(t, dir, "runs", "--dir", "killed")
		return code == 0 && strings.Contains(out, "done") // the first run is; the second goes on
	})
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	killed := runLab(t, dir, "lab", "try.yaml", "--dir", "killed", "--json")
	whole := runLab(t, dir, "lab", "try.yaml", "--json")
	if got, want := numbers(t, killed), numbers(t, whole); got != want {
		t.Errorf("killed and resumed:\n%s\nundisturbed:\n%s", got, want)
	}
	if whole.Work.Reused == 0 || len(whole.Differences) != 2 || whole.Differences[1].Difference.Seeds != 2 ||
		whole.Arms[0].Accuracy.N == 0 {
		t.Errorf("%d records shared, differences %+v", whole.Work.Reused, whole.Differences)
	}
	for _, f := range []string{"report.html", "report.json", "arms.csv", "differences.csv", "runs.csv"} {
		b, err := os.ReadFile(filepath.Join(dir, runsDir, "lab-try", f))
		if err != nil || !bytes.Contains(b, []byte("SFT goes on")) {
			t.Errorf("%s: %v; it does not speak of an arm", f, err)
		}
	}
	if exists(filepath.Join(dir, runsDir, "tuning.jsonl")) {
		t.Error("a laboratory that is no tuning wrote a tuning log")
	}
	for range 2 {
		r := runLab(t, dir, "lab", "tune.yaml", "--json")
		findings := strings.Join(r.Findings, "\n")
		if r.Part != "validation" || !strings.Contains(findings, "no number of this page is a result") {
			t.Errorf("tuning: part %s, findings %q", r.Part, r.Findings)
		}
	}
	tried := tuningLog(t, filepath.Join(dir, runsDir, "tuning.jsonl"))
	if len(tried) != 6 { // 3 arms × 2 seeds, once
		t.Errorf("%d lines in the tuning log, want 6", len(tried))
	}
	for _, l := range tried {
		if l.N == 0 || l.Adapter == "" || l.Part != "validation" || l.Spec != "tune.yaml" || l.Seconds == 0 ||
			len(l.Settings) == 0 || l.Status != "done" {
			t.Errorf("the tuning log holds %+v", l)
		}
	}
}

func runLab(t *testing.T, dir string, args ...string) (r lab.Result) {
	t.Helper()
	code, out, errs := itool(t, dir, args...)
	if code != 0 {
		t.Fatalf("itool %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// numbers are the result without what depends on the clock, or on who was first.
func numbers(t *testing.T, r lab.Result) string {
	r.Work, r.Findings = lab.Work{}, nil
	for i := range r.Arms {
		r.Arms[i].Cost = lab.ArmCost{}
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		run.Cost, run.Work, run.Workers = lab.Cost{}, lab.Work{}, nil
		for j := range run.Policies {
			run.Policies[j].Work = lab.Work{}
		}
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tuningLog(t *testing.T, file string) (all []lab.Trial) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l lab.Trial
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}
