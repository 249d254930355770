package integration

import (
	"encoding/json"
	"math"
	"testing"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/policy/model"
	"itool/storage/checkpoint"
)

// trainerModules are what the trainers in Python need.
var trainerModules = append([]string{"torch", "transformers", "peft"}, wireModules...)

// fullBatches are settings under which the order of the pairs does not matter: one step sees all of them. PyTorch
// draws other orders than we do.
var fullBatches = []string{
	oneRound, "update.batch_size=4096", "update.epochs=4", "update.rate=0.001", "update.best=last",
	"update.guard_prompts=0", "update.sft_weight=0.2", "update.loss=simpo",
}

// TestForeignUpdate: update with PyTorch and PEFT takes the place of ours, from the same policy and pairs. Its
// losses and its adapter are ours, up to the rounding of float32.
func TestForeignUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice, with PyTorch half a minute; the full test run does it")
	}
	python := foreignPython(t, trainerModules...)
	undisturbed := inOneProcess(t, fullBatches...)
	k := up(t)
	k.startForeign(python, "update", "--threads", "1")
	k.publish(fullBatches...)
	k.work("split", "warmup", "score", "select", "expand", "filter", "evaluate")
	k.end()
	ours, theirs := policyOf(t, undisturbed), policyOf(t, k.site.Courier)
	if ours.row.Examples == 0 || ours.row.Examples != theirs.row.Examples || ours.row.Parent != theirs.row.Parent {
		t.Fatalf("%d pairs of policy %.12s, ours %d of %.12s", theirs.row.Examples, theirs.row.Parent,
			ours.row.Examples, ours.row.Parent)
	}
	for i, p := range ours.curve {
		for _, d := range []struct {
			name       string
			have, want float64
		}{
			{"loss", theirs.curve[i].Loss, p.Loss}, {"rate", theirs.curve[i].Rate, p.Rate},
			{"norm", theirs.curve[i].Norm, p.Norm}, {"chosen", theirs.curve[i].Chosen, p.Chosen},
			{"rejected", theirs.curve[i].Rejected, p.Rejected},
		} {
			if math.Abs(d.have-d.want) > 1e-3*math.Max(math.Abs(d.want), 1e-3) {
				t.Errorf("step %d: %s is %.7g, ours %.7g", p.Step, d.name, d.have, d.want)
			}
		}
	}
	start := adapterOf(t, k.site.Courier, ours.row.Parent)
	far, moved := apart(ours.adapter, theirs.adapter), apart(ours.adapter, start)
	last := len(ours.curve) - 1
	t.Logf("%d pairs, %d steps; losses %.6f → %.6f, ours %.6f → %.6f; the adapters moved by %.3g and are %.2g apart",
		ours.row.Examples, last+1, theirs.curve[0].Loss, theirs.curve[last].Loss,
		ours.curve[0].Loss, ours.curve[last].Loss, moved, far)
	if !(far < 0.01*moved) {
		t.Errorf("the adapters are %.3g apart, after they moved by %.3g", far, moved)
	}
}

// trained is a policy with what its training said.
type trained struct {
	row   schemas.Policy
	curve []struct {
		Step                               int
		Loss, Rate, Norm, Chosen, Rejected float64
	}
	adapter []float32
}

// policyOf is the policy of round 1.
func policyOf(t *testing.T, c *courier.Courier) (p trained) {
	t.Helper()
	row, err := c.Policy(t.Context(), name, 1)
	if err != nil {
		t.Fatal(err)
	}
	if row.Status != schemas.StatusTrained {
		t.Fatalf("the policy's status is %s: %s", row.Status, row.Detail)
	}
	p.row = row
	if err := json.Unmarshal([]byte(row.Curve), &p.curve); err != nil || len(p.curve) == 0 {
		t.Fatalf("curve %.100q: %v", row.Curve, err)
	}
	p.adapter = adapterOf(t, c, row.Checkpoint)
	return p
}

// adapterOf is all weights of a policy's adapter, as our engine reads them.
func adapterOf(t *testing.T, c *courier.Courier, digest string) (all []float32) {
	t.Helper()
	fsys, _, err := checkpoint.Open(t.Context(), c.Store, courier.Checkpoints, digest)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := model.ReadConfig(fsys)
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.ReadAdapter(fsys, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range a.Layers {
		for _, lora := range layer {
			if lora != nil {
				all = append(append(all, lora.A...), lora.B...)
			}
		}
	}
	return all
}

// apart is the distance of two vectors.
func apart(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var sum float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

// TestForeignTrainersConform: the trainers pass the checks for workers of others. They resume after a SIGKILL
// with the same bytes, and our engine opens their adapters.
func TestForeignTrainersConform(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a dozen times with PyTorch, a minute; the full test run does it")
	}
	python := foreignPython(t, trainerModules...)
	t.Setenv("PYTHONPATH", foreignPackage(t))
	for _, stage := range []string{"warmup", "update"} {
		t.Run(stage, func(t *testing.T) {
			conforms(t, 0, "--patience", "300s", "--ack-wait", "5s", stage, "--", python, "-m", "itoolwire", stage,
				"--threads", "1", "--cache", t.TempDir(), "--broker", "{broker}", "--store", "{store}")
		})
	}
}
