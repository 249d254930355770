package warmup_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/judge"
	"itool/stages/stagetest"
	"itool/stages/warmup"
)

// probed is a configuration that learns some of the fixture's answers, not all.
func probed() warmup.Config {
	c := config()
	c.Mode, c.Epochs, c.Rate, c.Plateau, c.CheckpointSteps = "shuffled", 40, 0.02, 1, 0
	c.Rank, c.Alpha, c.BatchSize = 16, 32, 8
	return c
}

// TestPlateau: the probe's numbers are those of its policies, and it does not change the
// result of the warm-up.
func TestPlateau(t *testing.T) {
	c := newFixture(t)
	rows := c.examples(6, 0, 0, 9)
	rows[0].Part = schemas.PartValidation
	rows[0].Calls, rows[0].Reference = 0, "No." // prose: not asked
	cfg := probed()
	item := c.item(cfg, rows...)
	row, out := c.run(item)
	m := metrics(t, row)

	var cases []schemas.Example
	for _, ex := range rows {
		if ex.Part == schemas.PartValidation && ex.Calls > 0 {
			cases = append(cases, ex)
		}
	}
	verdicts, err := judge.Greedy(t.Context(), nil, open(t, out.Saved[0].Files), cases, 64)
	if err != nil {
		t.Fatal(err)
	}
	right := 0.0
	for _, v := range verdicts {
		if v.Pass {
			right++
		}
	}
	n := float64(len(cases))
	t.Logf("plateau %g → %g of %g cases", m["plateau_before"], m["plateau_after"], n)
	if m["plateau_cases"] != n || m["plateau_before"] != right/n ||
		m["plateau_epochs"] != 1 || m["plateau_rate"] != cfg.Rate/2 {
		t.Errorf("metrics %v, want %g of %g right before", m, right, n)
	}
	if d := m["plateau_after"] - m["plateau_before"] - (m["plateau_won"]-m["plateau_lost"])/n; d > 1e-9 || d < -1e-9 {
		t.Errorf("metrics %v: won and lost do not explain the change", m)
	}
	if len(out.Saved) != 1 {
		t.Errorf("%d policies saved, want the warm-up's alone", len(out.Saved))
	}

	cfg.Plateau = 0
	plain, bare := c.run(c.item(cfg, rows...))
	if bare.Saved[0].Digest != out.Saved[0].Digest || plain.Curve != row.Curve ||
		plain.Steps != row.Steps || plain.Detail != row.Detail {
		t.Error("the probe changed the policy, its curve or its steps")
	}
	if _, ok := metrics(t, plain)["plateau_cases"]; ok {
		t.Errorf("metrics %s hold a plateau that was not wanted", plain.Metrics)
	}
}

func TestPlateauContract(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.Plateau = 1
	stagetest.Run(t, c.stage, stagetest.Case{Item: c.item(cfg, c.examples(4, 0, 5, 3)...)})
}

// TestPlateauKilled: a killed probe resumes from its own newest checkpoint and ends with
// the same numbers.
func TestPlateauKilled(t *testing.T) {
	c := newFixture(t)
	cfg := config()
	cfg.Mode, cfg.Plateau = "shuffled", 2
	item := c.item(cfg, c.examples(9, 0, 0, 3)...)
	row, want := c.run(item)
	warm, total := int(row.Steps), len(want.Steps)
	if total != 2*warm {
		t.Fatalf("%d steps in all, %d of them the warm-up's: want two epochs of both", total, warm)
	}
	for _, after := range []int{warm, warm + 1, warm + 3, total} {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			out := stagetest.Killed(t, c.stage, item, after)
			again := item
			last := out.Checkpoints[len(out.Checkpoints)-1]
			again.Resume = last.Files
			_, got := c.run(again)
			if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) || got.Saved[0].Digest != want.Saved[0].Digest {
				t.Errorf("resumed at step %d of %d the outcome differs", last.Step, total)
			}
			if len(got.Steps) != total-last.Step {
				t.Errorf("resumed at step %d of %d, yet %d more were taken", last.Step, total, len(got.Steps))
			}
		})
	}
	t.Run("a probe that does not fit", func(t *testing.T) {
		again := item
		files, err := fs.Sub(want.Checkpoints[len(want.Checkpoints)-1].Files, ".")
		if err != nil {
			t.Fatal(err)
		}
		again.Resume = cut{files}
		_, got := c.run(again)
		if !bytes.Equal(got.Results[0].Body, want.Results[0].Body) || !strings.Contains(got.Steps[0], "starts over") {
			t.Errorf("the outcome differs, or %q does not say that the probe starts over", got.Steps[0])
		}
	})
}

// cut is a checkpoint whose probe cannot be read.
type cut struct{ fs.FS }

func (c cut) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "plateau/") {
		return nil, fs.ErrNotExist
	}
	return c.FS.Open(name)
}

// TestPlateauEdges: if nothing can be asked there are no numbers, and the row says why.
func TestPlateauEdges(t *testing.T) {
	c := newFixture(t)
	const none = "the plateau was not measured: no validation example with calls can be asked"
	for _, x := range []struct {
		name       string
		validation int
		change     func(*warmup.Config, *schemas.Example)
		detail     string
	}{
		{"no validation", 0, func(*warmup.Config, *schemas.Example) {}, none},
		{"none with calls", 2, func(_ *warmup.Config, e *schemas.Example) { e.Calls, e.Reference = 0, "No." }, none},
		{"none can be judged", 2, func(_ *warmup.Config, e *schemas.Example) { e.Tools = "7" }, none},
		{"no validation rows", 2, func(c *warmup.Config, _ *schemas.Example) { c.ValidationRows = 0 }, none},
		{"no warm-up", 2, func(c *warmup.Config, _ *schemas.Example) { c.Mode = "none" }, "switched off by warmup"},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := config()
			cfg.Epochs, cfg.Plateau = 1, 1
			rows := c.examples(4, 0, 0, x.validation)
			for i := range rows {
				x.change(&cfg, &rows[i])
			}
			row, _ := c.run(c.item(cfg, rows...))
			if _, ok := metrics(t, row)["plateau_cases"]; ok || !strings.Contains(row.Detail, x.detail) {
				t.Errorf("metrics %s, detail %q; want no plateau and %q", row.Metrics, row.Detail, x.detail)
			}
		})
	}
}
