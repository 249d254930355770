package model_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
)

// kin is a tiny config of a family with values for all that only this family has.
func kin(f model.Family) model.Config {
	c := tiny(true)
	c.Family = f
	switch f {
	case model.Mistral:
		c.SlidingWindow = c.MaxPositions
	case model.SmolLM3:
		c.NoRope = []bool{false, true}
	case model.Granite:
		c.Multipliers = &model.Multipliers{Embedding: 12, Attention: 0.25, Residual: 0.22, Logits: 8}
	}
	return c
}

var allFamilies = []model.Family{model.Llama, model.Mistral, model.Qwen2, model.Qwen3, model.SmolLM3, model.Granite}

// TestFamilies: the additions of each family survive saving, and so does a sliding window that is not used.
func TestFamilies(t *testing.T) {
	for _, f := range allFamilies {
		cfg := kin(f)
		cfg.RopeScaling = &model.Llama3Scaling{Factor: 8, Low: 1, High: 4, Original: 8}
		m := model.New(cfg, 1, ref.New())
		for i := range m.Layers {
			for _, v := range [][]float32{m.Layers[i].Q.Bias, m.Layers[i].V.Bias, m.Layers[i].QNorm,
				m.Layers[i].KNorm} {
				for j := range v {
					v[j] = float32(i+j) / 4
				}
			}
		}
		dir := saved(t, m)
		if f != model.Mistral && f != model.Granite {
			edit(t, dir, "sliding_window", 4096)
			edit(t, dir, "use_sliding_window", false)
		}
		got, err := model.Open(dir, ref.New())
		if err != nil {
			t.Fatal(f, err)
		}
		if !reflect.DeepEqual(got.Config, m.Config) || !slices.Equal(got.Sin, m.Sin) {
			t.Errorf("%s: read %+v, want %+v", f, got.Config, m.Config)
		}
		l := &got.Layers[1]
		if (l.Q.Bias != nil) != (f == model.Qwen2) || l.O.Bias != nil || (l.QNorm != nil) != (f == model.Qwen3) {
			t.Errorf("%s: bias %v, norm of the heads %v", f, l.Q.Bias, l.QNorm)
		}
		if got.Rotates(1) == (f == model.SmolLM3) || !got.Rotates(0) {
			t.Errorf("%s: layers rotate: %v, %v", f, got.Rotates(0), got.Rotates(1))
		}
		if !slices.Equal(l.V.Bias, m.Layers[1].V.Bias) || !slices.Equal(l.KNorm, m.Layers[1].KNorm) {
			t.Errorf("%s: biases or norms changed on the way", f)
		}
	}
}

// TestFamilyFields: what the fields of a family mean, also where they are absent.
func TestFamilyFields(t *testing.T) {
	read := func(name string, fields string) model.Config {
		t.Helper()
		all := map[string]any{}
		for _, p := range published {
			if p.name == name {
				if err := json.Unmarshal([]byte(p.text), &all); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := json.Unmarshal([]byte("{"+fields+"}"), &all); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(string(text))
		if err != nil {
			t.Fatalf("%s with %s: %v", name, fields, err)
		}
		return c
	}
	every := func(n, interval int) []bool {
		v := make([]bool, n)
		for i := interval - 1; i < n; i += interval {
			v[i] = true
		}
		return v
	}
	for _, tt := range []struct {
		published, fields string
		window            int
		noRope            []bool
		multipliers       *model.Multipliers
	}{
		{"Mistral-7B-Instruct-v0.3", "", 0, nil, nil},
		{"Mistral-7B-Instruct-v0.3", `"sliding_window": 32768`, 32768, nil, nil},
		{"Mistral-7B-Instruct-v0.3", `"sliding_window": 4096, "max_position_embeddings": 4096`, 4096, nil, nil},
		{"Qwen2.5-7B-Instruct", "", 0, nil, nil},
		{"SmolLM3-3B", "", 0, every(36, 4), nil},
		{"SmolLM3-3B", `"no_rope_layers": null, "no_rope_layer_interval": 3`, 0, every(36, 3), nil},
		{"defaults of smollm3", "", 0, every(9, 4), nil},
		{"defaults of smollm3", `"no_rope_layers": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0]`, 0, make([]bool, 9), nil},
		{"granite-3.3-2b-instruct", "", 0, nil,
			&model.Multipliers{Embedding: 12, Attention: 1.0 / 64, Residual: .22, Logits: 8}},
		{"defaults of granite", "", 0, nil, &model.Multipliers{Embedding: 1, Attention: 1, Residual: 1, Logits: 1}},
	} {
		c := read(tt.published, tt.fields)
		if c.SlidingWindow != tt.window || !slices.Equal(c.NoRope, tt.noRope) ||
			!reflect.DeepEqual(c.Multipliers, tt.multipliers) {
			t.Errorf("%s with %s: window %d, without rotary positions %v, multipliers %+v",
				tt.published, tt.fields, c.SlidingWindow, c.NoRope, c.Multipliers)
		}
	}
	// Without the field a Mistral has a window, unlike with null.
	c := saved(t, model.New(kin(model.Mistral), 1, ref.New()))
	edit(t, c, "sliding_window", nil)
	if got, err := model.ReadConfig(c); err != nil || got.SlidingWindow != 4096 {
		t.Errorf("without sliding_window: %d, %v", got.SlidingWindow, err)
	}
	edit(t, c, "max_position_embeddings", 4097)
	if _, err := model.ReadConfig(c); err == nil || !strings.Contains(err.Error(), "sliding_window: 4096") {
		t.Errorf("a context beyond the window: %v", err)
	}
}

// TestScales: the factors of the forward pass are those of the multipliers.
func TestScales(t *testing.T) {
	c := kin(model.Granite)
	want := model.Scales{Embed: 12 / 0.22, Query: 0.25 * 2, Head: 1.0 / 8, Eps: 1e-5 / (0.22 * 0.22)}
	got := c.Scales()
	for _, p := range [][2]float32{{got.Embed, want.Embed}, {got.Query, want.Query}, {got.Head, want.Head},
		{got.Eps, want.Eps}} {
		if math.Abs(float64(p[0]-p[1])) > 1e-6*float64(p[1]) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	c = kin(model.Llama)
	if got := c.Scales(); got != (model.Scales{Embed: 1, Query: 1, Head: 1, Eps: 1e-5}) {
		t.Errorf("of a llama: %+v", got)
	}
}

// TestValidateFamily: a config that is made in memory is checked as one from a file.
func TestValidateFamily(t *testing.T) {
	for _, tt := range []struct {
		family model.Family
		change func(*model.Config)
		want   string
	}{
		{model.Llama, func(c *model.Config) { c.SlidingWindow = 16 }, "sliding_window: 16"},
		{model.Mistral, func(c *model.Config) { c.SlidingWindow = 15 }, "sliding_window: 15"},
		{model.Mistral, func(c *model.Config) { c.SlidingWindow = -1 }, "sliding_window: -1"},
		{model.Mistral, func(c *model.Config) { c.SlidingWindow = 1 << 40 }, "sliding_window"},
		{model.SmolLM3, func(c *model.Config) { c.NoRope = nil }, "no_rope_layers: 0 entries for 2"},
		{model.Qwen2, func(c *model.Config) { c.NoRope = make([]bool, 2) }, "no_rope_layers"},
		{model.Granite, func(c *model.Config) { c.Multipliers = nil }, "model_type"},
		{model.Granite, func(c *model.Config) { c.Multipliers.Attention = math.NaN() }, "attention_multiplier: NaN"},
		{model.Llama, func(c *model.Config) { c.Multipliers = &model.Multipliers{} }, "model_type"},
		{"gemma", func(*model.Config) {}, `model_type: "gemma" is unknown`},
	} {
		c := kin(tt.family)
		if tt.change(&c); c.Validate() == nil || !strings.Contains(c.Validate().Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.family, c.Validate(), tt.want)
		}
	}
	for _, f := range allFamilies {
		c := kin(f)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestFingerprint: models that answer differently have different fingerprints, although their tensors are
// the same.
func TestFingerprint(t *testing.T) {
	seen := map[string]bool{}
	add := func(f model.Family, change func(*model.Config)) {
		c := kin(f)
		change(&c)
		seen[model.New(c, 1, ref.New()).Fingerprint()] = true
	}
	add(model.Llama, func(*model.Config) {})
	add(model.Llama, func(c *model.Config) { c.RopeTheta *= 2 })
	add(model.Llama, func(c *model.Config) { c.RMSNormEps *= 2 })
	add(model.SmolLM3, func(*model.Config) {})
	add(model.SmolLM3, func(c *model.Config) { c.NoRope[0] = true })
	add(model.Granite, func(*model.Config) {})
	add(model.Granite, func(c *model.Config) { c.Multipliers.Logits = 9 })
	if len(seen) != 7 {
		t.Errorf("%d fingerprints of 7 models", len(seen))
	}
}
