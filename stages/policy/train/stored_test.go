package train_test

import (
	"fmt"
	"slices"
	"testing"

	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// TestStoredTrains: an adapter on a base that stays in bf16 gets the weights that it
// gets on the same base in float32, bit by bit, by steps of every family; and the
// model with it says what training said.
func TestStoredTrains(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range policytest.Goldens(t) {
		fsys := policytest.BF16(t, g.Folder(true))
		trained := map[model.Form][]float32{}
		for _, form := range []model.Form{model.Float32, model.Stored} {
			m, err := model.OpenAs(fsys, dev, form)
			if err != nil {
				t.Fatal(err)
			}
			if (m.Layers[1].Up.Stored != nil) != (form == model.Stored) {
				t.Fatalf("%s: asked for %q", g.Name, form)
			}
			c := goldenConfig(g, m, "simpo")
			tr := start(t, m, c, train.Phase{Name: "p", Pairs: goldenPairs(g), Epochs: 3, Rate: 1e-2, BatchSize: 2})
			finish(t, tr)
			trained[form] = weights(tr.Adapter(false))
		}
		if !slices.Equal(trained[model.Float32], trained[model.Stored]) {
			t.Errorf("%s: the adapters differ by %g", g.Name, distance(trained[model.Float32], trained[model.Stored]))
		}
	}
}

// TestStoredTrainsFully: full training takes a copy in float32.
func TestStoredTrainsFully(t *testing.T) {
	g := policytest.Goldens(t)[0]
	var losses []string
	for _, form := range []model.Form{model.Float32, model.Stored} {
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
		stats := finish(t, start(t, m, c, train.Phase{Name: "p", Examples: goldenExamples(g), Epochs: 2, Rate: 1e-3, BatchSize: 2}))
		for i := range stats {
			losses = append(losses, fmt.Sprint(stats[i].Loss))
		}
	}
	if half := len(losses) / 2; !slices.Equal(losses[:half], losses[half:]) {
		t.Errorf("losses %v", losses)
	}
}
