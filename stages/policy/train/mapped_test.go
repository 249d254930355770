package train_test

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// TestMappedTrains: for every model family, training an adapter on a base that stays in bf16 gives the same bits
// as on the same base in float32. The trained model, its clone and its merged form have the loss of training.
func TestMappedTrains(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range policytest.Goldens(t) {
		fsys := policytest.BF16(t, g.Folder(true))
		trained := map[model.Form][]float32{}
		for _, form := range []model.Form{model.Float32, model.Mapped} {
			m, err := model.OpenAs(fsys, dev, form)
			if err != nil {
				t.Fatal(err)
			}
			if (m.Layers[1].Up.Wrapped != nil) != (form == model.Mapped) {
				t.Fatalf("%s: asked for %q", g.Name, form)
			}
			c := goldenConfig(g, m, "simpo")
			tr := start(t, m, c, train.Phase{Name: "p", Pairs: goldenPairs(g), Epochs: 3, Rate: 1e-2, BatchSize: 2})
			finish(t, tr)
			trained[form] = weights(tr.Adapter(false))
			if form == model.Float32 {
				continue
			}
			with, err := tr.Model()
			if err != nil {
				t.Fatal(err)
			}
			es := goldenExamples(g)
			sft := goldenConfig(g, m, "sft")
			want := meanNLL(t, start(t, with, sft, train.Phase{Name: "e", Examples: es, Epochs: 1, BatchSize: 1}), es)
			for name, m := range map[string]*model.Model{
				"itself": with, "a clone": with.Clone(),
				"merged": with.Merged(), "a clone of the merged": with.Merged().Clone(),
			} {
				if got := inferredNLL(t, fsys, m, es); math.Abs(got-want) > 1e-5*want {
					t.Errorf("%s: %s says %v, training %v", g.Name, name, got, want)
				}
			}
			bare, err := with.Clone().WithAdapter(nil)
			if err != nil {
				t.Fatal(err)
			}
			base, err := m.WithAdapter(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := inferredNLL(t, fsys, bare, es), inferredNLL(t, fsys, base, es); got != want {
				t.Errorf("%s: without the adapter a clone says %v, the base %v", g.Name, got, want)
			}
		}
		if !slices.Equal(trained[model.Float32], trained[model.Mapped]) {
			t.Errorf("%s: the adapters differ by %g", g.Name, distance(trained[model.Float32], trained[model.Mapped]))
		}
	}
}

// inferred returns the log-probabilities of the answers' tokens by inference.
func inferred(t *testing.T, fsys fs.FS, m *model.Model, es []train.Example) [][]float32 {
	t.Helper()
	p, err := policy.Open(fsys, policy.Options{Device: m.Device})
	if err != nil {
		t.Fatal(err)
	}
	var seqs []policy.Sequence
	for _, e := range es {
		seqs = append(seqs, policy.Sequence{Prompt: e.Prompt, Answer: e.Answer})
	}
	logps, err := p.With(m).LogProbs(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	return logps
}

// inferredNLL is their mean negative log-likelihood.
func inferredNLL(t *testing.T, fsys fs.FS, m *model.Model, es []train.Example) float64 {
	t.Helper()
	sum, n := 0.0, 0
	for _, ls := range inferred(t, fsys, m, es) {
		for _, l := range ls {
			sum, n = sum-float64(l), n+1
		}
	}
	return sum / float64(n)
}

// TestMappedTrainsFully: full training of a mapped model trains a copy in float32.
func TestMappedTrainsFully(t *testing.T) {
	g := policytest.Goldens(t)[0]
	var losses []string
	for _, form := range []model.Form{model.Float32, model.Mapped} {
		dev, err := cpu.New(cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.OpenAs(policytest.BF16(t, g.Folder(false)), dev, form)
		if err != nil {
			t.Fatal(err)
		}
		c := train.Default()
		c.Full, c.Tokens = true, 128
		phase := train.Phase{Name: "p", Examples: goldenExamples(g), Epochs: 2, Rate: 1e-3, BatchSize: 2}
		stats := finish(t, start(t, m, c, phase))
		for i := range stats {
			losses = append(losses, fmt.Sprint(stats[i].Loss))
		}
	}
	if half := len(losses) / 2; !slices.Equal(losses[:half], losses[half:]) {
		t.Errorf("losses %v", losses)
	}
}
