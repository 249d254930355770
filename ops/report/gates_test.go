package report_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/schemas"
)

var update = flag.Bool("update", false, "replace the files in testdata")

// measured writes a run in which every gate has a value: round 1 changes the policy and gains,
// round 2 is no update, round 3 is still running.
func measured(b fixture) {
	write(b, "run", 0, "run", schemas.Run{
		Name: run, Created: "2026-01-02T03:04:05Z", Seed: 7, Dataset: "[]", ConfigDigest: "cd",
		Config: `{"filter":{"mode":"proven"},"select":{"min_auc":0.6},"update":{"min_pairs":2,"min_steps":1}}`,
	})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "policy", 0, "policy", schemas.Policy{Checkpoint: "p-0", Status: "trained", Steps: 9, Curve: "[]",
		Metrics: `{"plateau_cases":200,"plateau_won":20,"plateau_lost":4,
			"plateau_before":0.5,"plateau_after":0.58,"plateau_epochs":1,"plateau_rate":0.0005}`})
	write(b, "policy", 1, "policy", schemas.Policy{Checkpoint: "p-1", Status: "trained", Steps: 2, Curve: "[]",
		Metrics: `{"pairs_kept":3,"pairs_foreign":0,"pairs_distinct":3,"chosen_change":0.5,"rejected_change":1.5,
			"chosen_logp_before":-0.4,"chosen_logp_after":-0.5,
			"rejected_logp_before":-0.9,"rejected_logp_after":-1.4}`})
	write(b, "policy", 2, "policy", schemas.Policy{Checkpoint: "p-1", Status: "no update", Detail: "too few pairs",
		Metrics: `{"pairs_kept":1,"pairs_foreign":0,"pairs_distinct":1}`, Curve: "[]"})
	for round, right := range []int{50, 54} {
		var vs []schemas.Verdict
		for i := range 100 {
			vs = append(vs, schemas.Verdict{
				ExampleID: fmt.Sprint("t", i), Part: "test", HasCall: true, Parsed: true, Pass: i < right,
			})
		}
		write(b, "verdict", round, "c0", vs...)
	}
	for round, s := range []schemas.Selection{
		{JudgeWeight: 1, JudgeAUC: 0.65, JudgeMass: 0.9,
			HeadroomDraws: 4, HeadroomCases: 100, HeadroomGreedy: 50, HeadroomSampled: 66, HeadroomWon: 18},
		{JudgeAUC: 0.4, JudgeMass: 0.9,
			HeadroomDraws: 4, HeadroomCases: 100, HeadroomGreedy: 54, HeadroomSampled: 62, HeadroomWon: 12},
		{JudgeAUC: math.NaN(), JudgeMass: math.NaN(), JudgeReason: "switched off",
			HeadroomDraws: 4, HeadroomCases: 100, HeadroomGreedy: 54, HeadroomSampled: 55, HeadroomWon: 2},
	} {
		s.ExampleID, s.Selected = "e1", true
		write(b, "score", round, "b0", schemas.Score{ExampleID: "e1", Perplexity: 4})
		write(b, "selection", round, "selection", s)
		if round == 2 {
			break
		}
		write(b, "candidate", round, "e1",
			schemas.Candidate{Parent: -1},
			schemas.Candidate{Node: 1, Terminal: true, Pass: true},
			schemas.Candidate{Node: 2, Terminal: true})
		pairs := []schemas.Pair{{ExampleID: "e1"}, {ExampleID: "e1"}, {ExampleID: "e1"}}
		write(b, "pair", round, "e1", pairs[:3-2*round]...)
	}
}

// TestDiagnostics: the report of a run that measured everything.
func TestDiagnostics(t *testing.T) {
	b := newFixture(t)
	measured(b)
	r := gather(b)
	text, _ := render(t, r)
	golden(t, "diagnostics.txt", between(t, text, "\ndiagnostics", "\n\n"))
	golden(t, "findings.txt", strings.Join(r.Findings(), "\n")+"\n")

	if p := r.Plateau; p == nil || p.Before != 0.5 || p.After != 0.58 ||
		math.Abs(p.Change.Mean-0.08) > 1e-9 || p.Change.Won != 20 || p.Epochs != 1 {
		t.Errorf("plateau %+v", p)
	}
	h := r.Rounds[0].Headroom
	if h == nil || h.Draws != 4 || h.Greedy != 0.5 || h.Sampled != 0.66 ||
		math.Abs(h.Gap.Mean-0.16) > 1e-9 || h.Gap.Lost != 2 || h.Gap.N != 100 {
		t.Errorf("headroom %+v", h)
	}
	if s := r.Rounds[0].HeadroomShare; s == nil || math.Abs(*s-0.25) > 1e-9 {
		t.Errorf("gain of headroom %v, want 4 points of 16", s)
	}
	if s := r.Effect.HeadroomShare; s == nil || math.Abs(*s-0.25) > 1e-9 {
		t.Errorf("effect of the headroom %v, want 4 points of 16", s)
	}
	if rd := r.Rounds[1]; rd.HeadroomShare != nil || rd.Sides != nil {
		t.Errorf("a round that trained nothing has a gain %v or sides %v", rd.HeadroomShare, rd.Sides)
	}
	doc, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("JSON: %v", err)
	}
	for _, want := range []string{
		`"plateau":{"epochs":1,`, `"headroom":{"draws":4,"greedy":0.5,"sampled":0.66,`, `"gain_of_headroom":0.25`,
		`"gates":[{"name":"plateau"`, `"sides":{"chosen_before":-0.4`,
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the JSON lacks %s", want)
		}
	}
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	i := strings.Index(s, from)
	if i < 0 {
		t.Fatalf("no %q in:\n%s", from, s)
	}
	part, _, _ := strings.Cut(s[i:], to)
	return part + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// TestVerdicts: a verdict is yes if the value meets the bar, no if its whole interval misses the
// bar, otherwise unclear. Counts that do not add up are ignored.
func TestVerdicts(t *testing.T) {
	plateau := func(cases, won, lost float64) schemas.Policy {
		m, err := json.Marshal(map[string]float64{
			"plateau_cases": cases, "plateau_won": won, "plateau_lost": lost, "plateau_epochs": 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		return schemas.Policy{Metrics: string(m)}
	}
	headroom := func(draws, cases, greedy, sampled, won int32) schemas.Selection {
		return schemas.Selection{
			HeadroomDraws: draws, HeadroomCases: cases,
			HeadroomGreedy: greedy, HeadroomSampled: sampled, HeadroomWon: won,
		}
	}
	for _, c := range []struct {
		name              string
		policy            schemas.Policy
		selection         schemas.Selection
		plateau, headroom string // the verdicts
	}{
		{"nothing measured", schemas.Policy{Metrics: "{}"}, schemas.Selection{}, "", ""},
		{"both met", plateau(200, 1, 0), headroom(4, 100, 50, 70, 25), "yes", "yes"},
		{"exactly at the bar", plateau(200, 2, 0), headroom(4, 100, 50, 60, 14), "unclear", "yes"},
		{"too few rows to say", plateau(50, 3, 1), headroom(4, 50, 25, 29, 6), "unclear", "unclear"},
		{"both missed", plateau(200, 40, 0), headroom(4, 400, 200, 208, 12), "no", "no"},
		{"more training harms, draws are worse than greedy",
			plateau(200, 0, 40), headroom(4, 100, 50, 20, 0), "yes", "no"},
		{"no draws", plateau(0, 0, 0), headroom(0, 100, 50, 60, 14), "", ""},
		{"more won than cases", plateau(10, 8, 8), headroom(4, 10, 5, 9, 12), "", ""},
		{"negative", plateau(10, -1, 0), headroom(4, -10, 5, 9, 2), "", ""},
		{"too large", plateau(1e12, 1, 1), headroom(4, math.MaxInt32, 5, 9, 6), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t)
			write(b, "run", 0, "run", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
			c.policy.Status, c.policy.Curve = "trained", "[]"
			c.selection.JudgeAUC, c.selection.JudgeMass = math.NaN(), math.NaN()
			write(b, "policy", -1, "policy", basePolicy)
			write(b, "policy", 0, "policy", c.policy)
			write(b, "score", 0, "b0", schemas.Score{ExampleID: "e1", Perplexity: 4})
			write(b, "selection", 0, "selection", c.selection)
			r := gather(b)
			got := map[string]string{}
			for _, g := range r.Gates {
				for _, v := range g.Values {
					got[g.Name] = v.Verdict
				}
			}
			if got["plateau"] != c.plateau || got["headroom"] != c.headroom {
				t.Errorf("plateau %q, headroom %q; want %q, %q", got["plateau"], got["headroom"], c.plateau, c.headroom)
			}
			if _, ok := got["self-evaluation"]; ok {
				t.Error("the self-evaluation was switched off but has a verdict")
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("JSON: %v", err)
			}
			render(t, r)
		})
	}
}
