package export_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"itool/ops/export"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// ran is the report of a run of two policies.
func ran() *report.Report {
	of := func(mean float64) *report.Accuracy {
		i := stats.Interval{Mean: mean, Low: mean - 0.1, High: mean + 0.1, N: 40}
		return &report.Accuracy{Parts: []string{"test"}, Summary: stats.Summary{Pass: i, Calls: i}}
	}
	warm := of(0.5)
	warm.Gain = &stats.Difference{Interval: stats.Interval{Mean: 0.3, Low: 0.2, High: 0.4, N: 40}, Won: 12}
	return &report.Report{
		Run: "r1", Status: schemas.StatusDone, Seed: 7, ConfigDigest: "c0ffee", Base: "org/base-1B",
		Config:   json.RawMessage(`{"seed": 7, "line": {"rounds": 0}}`),
		Datasets: []report.Dataset{{Name: "a.jsonl", Format: "openai", SHA256: strings.Repeat("ab", 32), Rows: 100}},
		Rows:     report.Rows{Total: 100, Kept: 98, Parts: map[string]int{"train": 60, "test": 38}},
		Policies: []report.Policy{
			{Round: -1, Name: "base", Digest: "b0", Status: "base", Accuracy: of(0.2)},
			{Round: 0, Name: "warm-up", Digest: "d1", Status: schemas.StatusTrained, Steps: 30, Examples: 60,
				Accuracy: warm},
			{Round: 1, Name: "round 1", Digest: "d2", Status: schemas.StatusTrained, Accuracy: of(0.6)},
		},
	}
}

const settings = `{"r": 16, "lora_alpha": 32}`

// TestCard: a model card has front matter that Hugging Face reads, and the figures of its policy, none of a later
// one. The same run has the same bytes.
func TestCard(t *testing.T) {
	var b, again bytes.Buffer
	r := ran()
	for _, w := range []*bytes.Buffer{&b, &again} {
		if err := export.WriteCard(w, r, r.Policies[1], []byte(settings), false, "1.0"); err != nil {
			t.Fatal(err)
		}
	}
	text := b.String()
	front, body, ok := strings.Cut(strings.TrimPrefix(text, "---\n"), "\n---\n")
	const want = "base_model: \"org/base-1B\"\nlibrary_name: peft\npipeline_tag: text-generation\n" +
		"tags:\n- function-calling\n- tool-use\n- lora\n- itool"
	if !ok || front != want {
		t.Errorf("front matter %q, want %q", front, want)
	}
	for _, want := range []string{
		"| base | org/base-1B |", "| adapter | rank 16, alpha 32 |", "warm-up: trained, 30 steps on 60 examples",
		"| digest of the policy | d1 |", "| seed | 7 |", "| base | 20.0 % [10.0, 30.0] of 40 | – |",
		"| warm-up | 50.0 % [40.0, 60.0] of 40 | +30.0 [+20.0, +40.0] |", "| a.jsonl | openai | 100 | abababababab |",
		"98 of 100 assistant turns were usable, 60 of them", "| line.rounds | 0 |", "| seed | 7 |",
		"## What it does not do",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if strings.Contains(body, "60.0 %") && strings.Contains(body, "| round 1 |") || text != again.String() {
		t.Errorf("a later policy's figures, or other bytes:\n%s", body)
	}
}

// TestCardOfHostileNames: a name cannot leave its cell or the front matter, and a folder is no model of the Hub.
func TestCardOfHostileNames(t *testing.T) {
	r := ran()
	r.Base, r.Datasets[0].Name = "a\n---\nbase_model: evil/model", "x | y\n# title <script>`"
	var b bytes.Buffer
	if err := export.WriteCard(&b, r, r.Policies[2], []byte(settings), true, "1.0"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\nbase_model", "\n# title", "<script>", "\n---\nbase"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("%q in\n%s", bad, b.String())
		}
	}
	if err := export.WriteCard(&b, r, r.Policies[2], nil, true, "1.0"); err == nil {
		t.Error("no settings of the adapter, and no error")
	}
}
