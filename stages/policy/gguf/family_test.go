package gguf_test

import (
	"bytes"
	"io/fs"
	"math"
	"strings"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
)

func open(t *testing.T, fsys fs.FS) *policy.Policy {
	t.Helper()
	p, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shaped is a tiny policy of a family.
func shaped(t *testing.T, f model.Family, change func(*model.Config)) *policy.Policy {
	t.Helper()
	c := model.Config{
		Family: f, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 8,
		MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	}
	change(&c)
	return open(t, policytest.Shaped(1, c))
}

// smollm3 is a SmolLM3 whose layers without rotary positions are given.
func smollm3(t *testing.T, noRope []bool, scaling *model.Llama3Scaling) *policy.Policy {
	t.Helper()
	return shaped(t, model.SmolLM3, func(c *model.Config) {
		c.NumLayers, c.NoRope, c.RopeScaling = len(noRope), noRope, scaling
	})
}

func granite(t *testing.T) *policy.Policy {
	t.Helper()
	return shaped(t, model.Granite, func(c *model.Config) {
		c.Multipliers = &model.Multipliers{Embedding: 2.5, Attention: 0.45, Residual: 0.35, Logits: 1.75}
	})
}

// exportable are the golden checkpoints with their adapters. The SmolLM3 among them has a layer without
// rotary positions where llama.cpp has none, so another one stands for it.
func exportable(t *testing.T) map[string]*policy.Policy {
	t.Helper()
	all := map[string]*policy.Policy{}
	for _, g := range policytest.Goldens(t) {
		if all[g.Name] = open(t, g.Folder(true)); all[g.Name].Model().Family == model.SmolLM3 {
			all[g.Name] = smollm3(t, []bool{false, false, false, true, false}, nil)
		}
	}
	return all
}

// TestArchitecture: the names and constants by which llama.cpp tells the families apart.
func TestArchitecture(t *testing.T) {
	plain := func(*model.Config) {}
	for want, p := range map[string]*policy.Policy{
		"qwen2": shaped(t, model.Qwen2, plain), "qwen3": shaped(t, model.Qwen3, plain),
		"llama":   shaped(t, model.Mistral, func(c *model.Config) { c.SlidingWindow = 64 }),
		"smollm3": smollm3(t, []bool{false, false, false, true}, nil), "granite": granite(t),
	} {
		if got := written(t, p, gguf.Options{NoTokenizer: true}).meta["general.architecture"]; got != want {
			t.Errorf("%s: architecture %v, want %s", p.Model().Family, got, want)
		}
	}
	meta := written(t, granite(t), gguf.Options{NoTokenizer: true}).meta
	for key, want := range map[string]any{
		"granite.embedding_scale": float32(2.5), "granite.attention.scale": float32(0.45),
		"granite.residual_scale": float32(0.35), "granite.logit_scale": float32(1.75),
		"granite.attention.layer_norm_rms_epsilon": float32(1e-5),
	} {
		if meta[key] != want {
			t.Errorf("%s: %v, want %v", key, meta[key], want)
		}
	}
}

// TestWriteRefuses: what llama.cpp would compute differently is not written.
func TestWriteRefuses(t *testing.T) {
	scaling := &model.Llama3Scaling{Factor: 8, Low: 1, High: 4, Original: 8}
	for _, tt := range []struct {
		name string
		p    *policy.Policy
		want string
	}{
		{"every other layer", smollm3(t, []bool{false, true, false, true}, nil), "no_rope_layers: in llama.cpp"},
		{"no such layer", smollm3(t, make([]bool, 4), nil), "no_rope_layers: in llama.cpp"},
		{"scaled angles", smollm3(t, []bool{false, false, false, true}, scaling), "rope_scaling: llama.cpp"},
	} {
		var b bytes.Buffer
		err := gguf.Write(&b, tt.p, gguf.Options{NoTokenizer: true})
		if err == nil || !strings.Contains(err.Error(), "gguf: "+tt.want) || b.Len() > 0 {
			t.Errorf("%s: got %v and %d bytes, want an error with %q", tt.name, err, b.Len(), tt.want)
		}
	}
	short := smollm3(t, make([]bool, 3), nil) // none of the first three
	written(t, short, gguf.Options{NoTokenizer: true})
}

// TestGraniteKeys: constants that a file lacks have llama.cpp's defaults; logit_scale has none.
func TestGraniteKeys(t *testing.T) {
	p := granite(t)
	for _, tt := range []struct {
		name   string
		change func(meta map[string]any)
		want   string // part of the error; empty: none
		config model.Multipliers
	}{
		{"all", func(map[string]any) {}, "",
			model.Multipliers{Embedding: 2.5, Attention: .45, Residual: .35, Logits: 1.75}},
		{"only the required", func(meta map[string]any) {
			delete(meta, "granite.embedding_scale")
			delete(meta, "granite.attention.scale")
			meta["granite.residual_scale"] = float32(0) // llama.cpp: no scale
		}, "", model.Multipliers{Embedding: 1, Attention: 1 / math.Sqrt(8), Residual: 1, Logits: 1.75}},
		{"without the required", func(meta map[string]any) {
			delete(meta, "granite.logit_scale")
		}, `"granite.logit_scale" is missing`, model.Multipliers{}},
		{"not a number", func(meta map[string]any) {
			meta["granite.embedding_scale"] = float32(math.NaN())
		}, "embedding_multiplier: NaN", model.Multipliers{}},
		{"a text", func(meta map[string]any) { meta["granite.residual_scale"] = "x" }, "a float", model.Multipliers{}},
		{"no rotary positions", func(meta map[string]any) {
			meta["granite.rope.scaling.finetuned"] = false
		}, "no rotary positions at all", model.Multipliers{}},
	} {
		f := written(t, p, gguf.Options{NoTokenizer: true})
		tt.change(f.meta)
		c, err := opened(t, f.remade()).Checkpoint()
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case *c.Config.Multipliers != tt.config:
			t.Errorf("%s: %+v, want %+v", tt.name, *c.Config.Multipliers, tt.config)
		}
	}
	f := written(t, open(t, policytest.Tiny(1)), gguf.Options{NoTokenizer: true})
	f.meta["llama.embedding_scale"] = float32(2)
	if _, err := opened(t, f.remade()).Checkpoint(); err == nil || !strings.Contains(err.Error(), "embedding_scale") {
		t.Errorf("a llama with an embedding_scale: %v", err)
	}
}
