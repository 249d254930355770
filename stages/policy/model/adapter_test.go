package model_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

// noise is an adapter whose B is not zero, so that it changes something.
func noise(cfg model.Config, modules ...model.Module) *model.Adapter {
	r := rand.New(rand.NewPCG(7, 7))
	a := &model.Adapter{Rank: 2, Alpha: 4, Layers: make([]model.AdapterLayer, cfg.NumLayers)}
	sample := model.New(cfg, 1, ref.New())
	for i := range a.Layers {
		for _, m := range modules {
			lin := sample.Layers[i].Linears()[m]
			l := &model.LoRA{A: make([]float32, 2*lin.K), B: make([]float32, lin.N*2)}
			for _, w := range [][]float32{l.A, l.B} {
				for j := range w {
					w[j] = float32(r.NormFloat64())
				}
			}
			a.Layers[i][m] = l
		}
	}
	return a
}

// apply multiplies the packed weight of layer 0's module with ones.
func apply(m *model.Model, mod model.Module) []float32 {
	lin := m.Layers[0].Linears()[mod]
	x, y := make([]float32, lin.K), make([]float32, lin.N)
	for i := range x {
		x[i] = float32(i + 1)
	}
	m.Device.MatMul(m.Device.Put(y), m.Device.Put(x), lin.M, 1, false)
	return y
}

func TestAdapter(t *testing.T) {
	cfg := tiny(true)
	base := model.New(cfg, 1, ref.New())
	a := noise(cfg, model.Q, model.Down)
	m, err := base.WithAdapter(a)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(apply(m, model.Q), apply(base, model.Q)) {
		t.Error("the adapter changed nothing")
	}
	if !slices.Equal(apply(m, model.V), apply(base, model.V)) {
		t.Error("the adapter changed a module it does not target")
	}
	off, err := m.WithAdapter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(apply(off, model.Q), apply(base, model.Q)) {
		t.Error("taking the adapter off does not give the base back")
	}

	// base + scale·B·(A·x), computed separately, must equal the packed weight.
	want := apply(base, model.Q)
	l := a.Layers[0][model.Q]
	for r := range a.Rank {
		var ax float64
		for k := range cfg.HiddenSize {
			ax += float64(l.A[r*cfg.HiddenSize+k]) * float64(k+1)
		}
		for n := range want {
			want[n] += float32(a.Scale() * float64(l.B[n*a.Rank+r]) * ax)
		}
	}
	for i, got := range apply(m, model.Q) {
		if math.Abs(float64(got-want[i])) > 1e-4*math.Abs(float64(want[i]))+1e-5 {
			t.Errorf("row %d: got %v, want %v", i, got, want[i])
		}
	}

	// Open merges an adapter in the same folder; Merged must give the same weights.
	dir := saved(t, base)
	if err := a.Save(dir.create); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight",
		"base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"} {
		if !bytes.Contains(dir.MapFS["adapter_model.safetensors"].Data, []byte(key)) {
			t.Errorf("PEFT key %q is not there", key)
		}
	}
	opened, err := model.Open(dir, ref.New())
	if err != nil {
		t.Fatal(err)
	}
	merged, err := model.Open(saved(t, m.Merged()), ref.New())
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range []model.Module{model.Q, model.Down} {
		if !slices.Equal(apply(opened, mod), apply(m, mod)) || !slices.Equal(apply(merged, mod), apply(m, mod)) {
			t.Errorf("%s: opened, merged and in-memory adapters differ", mod)
		}
	}
	if got := opened.Adapter.Targets(); !slices.Equal(got, []string{"q_proj", "down_proj"}) {
		t.Errorf("targets %v", got)
	}
	if merged.Adapter != nil || slices.Equal(merged.Layers[0].Q.W, base.Layers[0].Q.W) {
		t.Error("Merged must put the adapter into the plain weights")
	}
}

// TestAdapterOfAnotherBase: an adapter opens with its base, in every type and form that has the same
// values, and with no other base.
func TestAdapterOfAnotherBase(t *testing.T) {
	cfg := tiny(true)
	base := model.New(cfg, 1, ref.New())
	rounded := saved(t, base)
	if err := base.Save(rounded.create, safetensors.BF16); err != nil {
		t.Fatal(err)
	}
	its, err := model.Open(rounded, ref.New())
	if err != nil {
		t.Fatal(err)
	}
	a := noise(cfg, model.Q)
	a.Base = its.BaseDigest()
	nf4, finer, near := saved(t, its), saved(t, its), its.Clone()
	if err := its.SaveNF4(nf4.create); err != nil {
		t.Fatal(err)
	}
	prints := map[string]bool{}
	near.Layers[1].Up.W[0] += 1.0 / 64 // the first row is one of those in the digest
	for name, c := range map[string]struct {
		dir  memory
		form model.Form
		fits bool
	}{
		"bf16, packed": {rounded, model.Float32, true}, "bf16, mapped": {rounded, model.Mapped, true},
		"eight bits": {rounded, model.Int8, true}, "float32": {finer, model.Auto, true},
		"float32, mapped": {finer, model.Mapped, true},
		"unrounded":       {saved(t, base), model.Auto, false},
		"another":         {saved(t, model.New(cfg, 2, ref.New())), model.Auto, false},
		"trained on":      {saved(t, near), model.Auto, false}, "four bits": {nf4, model.Auto, false},
	} {
		if err := a.Save(c.dir.create); err != nil {
			t.Fatal(err)
		}
		m, err := model.OpenAs(c.dir, ref.New(), c.form)
		if c.fits != (err == nil) || !c.fits && !strings.Contains(err.Error(), "the adapter belongs to another base") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			prints[m.Fingerprint()] = true
		}
		if err == nil && (m.Adapter.Base != a.Base || m.BaseDigest() != a.Base) {
			t.Errorf("%s: the base is %s, the adapter's %s", name, m.BaseDigest(), m.Adapter.Base)
		}
	}
	if len(prints) != 4 { // float32 twice, mapped in bf16 and in float32, eight bits
		t.Errorf("%d fingerprints: %v", len(prints), prints)
	}
	a.Base = "" // as in adapters that PEFT writes
	foreign := saved(t, base)
	if err := a.Save(foreign.create); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Open(foreign, ref.New()); err != nil {
		t.Error(err)
	}
}

func TestAdapterMustFit(t *testing.T) {
	base := model.New(tiny(true), 1, ref.New())
	short := noise(tiny(true), model.Q)
	short.Layers[1][model.Q].B = short.Layers[1][model.Q].B[1:]
	deep := noise(tiny(true), model.Q)
	deep.Layers = deep.Layers[:1]
	for name, a := range map[string]*model.Adapter{"short B": short, "layers": deep, "rank": {}} {
		if _, err := base.WithAdapter(a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAdapterHasNoNulls: PEFT fails on null where it expects a map, so Save must not write it.
func TestAdapterHasNoNulls(t *testing.T) {
	dir := memory{fstest.MapFS{}}
	if err := noise(tiny(true), model.Q).Save(dir.create); err != nil {
		t.Fatal(err)
	}
	if text := dir.MapFS["adapter_config.json"].Data; bytes.Contains(text, []byte("null")) {
		t.Errorf("a field is null:\n%s", text)
	}
}

// TestAdapterFields: everything that PEFT writes about a plain LoRA is accepted; a field that changes the
// method is an error.
func TestAdapterFields(t *testing.T) {
	const plain = `{"alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
		"base_model_name_or_path": "Qwen/Qwen2.5-0.5B", "bias": "none", "corda_config": null,
		"ensure_weight_tying": false,
		"eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
		"init_lora_weights": true,
		"kasa_config": null, "layer_replication": null, "layers_pattern": "layers", "layers_to_transform": [0, 1],
		"loftq_config": {},
		"lora_alpha": 4, "lora_bias": false, "lora_dropout": 0.05, "lora_ga_config": null, "megatron_config": null,
		"megatron_core": "megatron.core", "modules_to_save": null, "monteclora_config": null, "peft_type": "LORA",
		"peft_version": "0.21.2", "qalora_group_size": 16, "r": 2, "rank_pattern": {}, "revision": "main",
		"target_modules": ["q_proj"],
		"target_parameters": null, "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_bdlora": null,
		"use_dora": false,
		"use_qalora": false, "use_rslora": false, "velora_config": null}`
	dir := memory{fstest.MapFS{}}
	if err := noise(tiny(true), model.Q).Save(dir.create); err != nil {
		t.Fatal(err)
	}
	read := func(more string) error {
		var fields map[string]any
		for _, text := range []string{plain, "{" + more + "}"} {
			if err := json.Unmarshal([]byte(text), &fields); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		dir.MapFS["adapter_config.json"] = &fstest.MapFile{Data: text}
		_, err = model.ReadAdapter(dir, tiny(true))
		return err
	}
	if err := read(""); err != nil {
		t.Error(err)
	}
	for _, field := range []string{
		`"use_qalora": true`, `"lora_bias": true`, `"alora_invocation_tokens": [1, 2]`,
		`"layer_replication": [[0, 2], [1, 2]]`,
		`"trainable_token_indices": [3]`, `"target_parameters": ["mlp.experts.gate_up_proj"]`,
		`"arrow_config": {"top_k": 3}`,
		`"kasa_config": {"beta": 1}`, `"monteclora_config": {"n": 4}`, `"velora_config": {"groups": 2}`,
		`"use_bdlora": {"nblocks": 2}`,
		`"eva_config": {"rho": 2}`, `"megatron_config": {"tp": 2}`, `"use_own": true`, `"bias": "all"`,
		`"fan_in_fan_out": true`,
	} {
		name, _, _ := strings.Cut(field[1:], `"`)
		if err := read(field); err == nil || !strings.Contains(err.Error(), "adapter_config.json: "+name+": ") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
