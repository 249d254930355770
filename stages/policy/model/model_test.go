package model_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

func tiny(tied bool) model.Config {
	return model.Config{
		Family: model.Llama, HiddenSize: 8, IntermediateSize: 12, NumLayers: 2, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 4, VocabSize: 11,
		MaxPositions: 16, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: tied, BOS: []int32{1},
		EOS: []int32{2, 3}, DType: "float32",
	}
}

// memory is a folder in memory to save into.
type memory struct{ fstest.MapFS }

type buffer struct {
	bytes.Buffer
	done func([]byte)
}

func (b *buffer) Close() error { b.done(b.Bytes()); return nil }

func (m memory) create(name string) (io.WriteCloser, error) {
	return &buffer{done: func(data []byte) { m.MapFS[name] = &fstest.MapFile{Data: data} }}, nil
}

func saved(t *testing.T, m *model.Model) memory {
	t.Helper()
	dir := memory{fstest.MapFS{}}
	if err := m.Save(dir.create, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSaveOpen(t *testing.T) {
	for _, tied := range []bool{true, false} {
		m := model.New(tiny(tied), 1, ref.New())
		dir := saved(t, m)
		if has := bytes.Contains(dir.MapFS["model.safetensors"].Data, []byte("lm_head")); has == tied {
			t.Errorf("tied %v: lm_head stored is %v", tied, has)
		}
		got, err := model.Open(dir, ref.New())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.EOS, m.EOS) || got.RopeTheta != m.RopeTheta || got.TieEmbeddings != tied {
			t.Errorf("config: got %+v, want %+v", got.Config, m.Config)
		}
		if !slices.Equal(got.Embed, m.Embed) || !slices.Equal(got.HeadW, m.HeadW) ||
			!slices.Equal(got.Layers[1].Down.W, m.Layers[1].Down.W) {
			t.Errorf("tied %v: weights changed on the way", tied)
		}
		if tied && &got.Embed[0] != &got.HeadW[0] {
			t.Error("a tied head must be the embedding itself")
		}
	}
}

func TestNewIsSeeded(t *testing.T) {
	a, b, c := model.New(tiny(true), 1, ref.New()), model.New(tiny(true), 1, ref.New()),
		model.New(tiny(true), 2, ref.New())
	if !slices.Equal(a.Embed, b.Embed) || slices.Equal(a.Embed, c.Embed) {
		t.Error("the same seed must give the same weights, another seed others")
	}
}

// TestSaveRounds: types of 16 bits round to the nearest value.
func TestSaveRounds(t *testing.T) {
	for dtype, want := range map[safetensors.Dtype]struct {
		name string
		step float64
	}{safetensors.BF16: {"bfloat16", 1.0 / 256}, safetensors.F16: {"float16", 1.0 / 2048}} {
		m := model.New(tiny(true), 1, ref.New())
		dir := memory{fstest.MapFS{}}
		if err := m.Save(dir.create, dtype); err != nil {
			t.Fatal(err)
		}
		got, err := model.Open(dir, ref.New())
		if err != nil {
			t.Fatal(err)
		}
		if got.DType != want.name || model.Dtype(got.DType) != dtype {
			t.Errorf("dtype %q, want %s", got.DType, want.name)
		}
		for i, w := range m.Embed {
			if d := math.Abs(float64(got.Embed[i] - w)); d > math.Abs(float64(w))*want.step+0x1p-25 {
				t.Fatalf("element %d: %v became %v: more than half a step of %s", i, w, got.Embed[i], dtype)
			}
		}
	}
}

// TestMappedRefuses: the error names a value of a mapped weight that is not finite.
func TestMappedRefuses(t *testing.T) {
	for _, tt := range []struct {
		dtype safetensors.Dtype
		bits  uint32
		want  string
	}{
		{safetensors.BF16, 0x7f80, "+Inf"}, {safetensors.BF16, 0xff80, "-Inf"}, {safetensors.BF16, 0x7fc0, "NaN"},
		{safetensors.F16, 0x7c00, "+Inf"}, {safetensors.F16, 0xfc00, "-Inf"}, {safetensors.F16, 0x7e01, "NaN"},
		{safetensors.F32, 0x7f800000, "+Inf"}, {safetensors.F32, 0xff800000, "-Inf"},
		{safetensors.F32, 0x7fc00000, "NaN"},
	} {
		dir := memory{fstest.MapFS{}}
		if err := model.New(tiny(false), 1, ref.New()).Save(dir.create, tt.dtype); err != nil {
			t.Fatal(err)
		}
		raw := dir.MapFS["model.safetensors"].Data // lm_head.weight is the first by name
		data := raw[8+binary.LittleEndian.Uint64(raw):]
		if tt.dtype == safetensors.F32 {
			binary.LittleEndian.PutUint32(data[4*3:], tt.bits)
		} else {
			binary.LittleEndian.PutUint16(data[2*3:], uint16(tt.bits))
		}
		_, err := model.OpenAs(dir, ref.New(), model.Mapped)
		if err == nil || !strings.Contains(err.Error(), `tensor "lm_head.weight": element 3 is `+tt.want) {
			t.Errorf("%s %#x: %v", tt.dtype, tt.bits, err)
		}
	}
}

func TestShards(t *testing.T) {
	m := model.New(tiny(false), 1, ref.New())
	dir := saved(t, m)
	whole, err := safetensors.Read(dir, "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]map[string]string{"weight_map": {}}
	parts := map[string][]safetensors.Tensor{}
	for i, name := range whole.Names() {
		shape, _ := whole.Shape(name)
		data, err := whole.Float32(name, shape...)
		if err != nil {
			t.Fatal(err)
		}
		file := []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}[i%2]
		parts[file] = append(parts[file], safetensors.Tensor{Name: name, Shape: shape, Data: data})
		index["weight_map"][name] = file
	}
	delete(dir.MapFS, "model.safetensors")
	for file, ts := range parts {
		w, _ := dir.create(file)
		if err := safetensors.Write(w, ts, safetensors.F32, nil); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	text, _ := json.Marshal(index)
	dir.MapFS["model.safetensors.index.json"] = &fstest.MapFile{Data: text}
	got, err := model.Open(dir, ref.New())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Layers[1].V.W, m.Layers[1].V.W) {
		t.Error("shards: weights changed")
	}
	norm := index["weight_map"]["model.norm.weight"]
	delete(index["weight_map"], "model.norm.weight")
	text, _ = json.Marshal(index)
	dir.MapFS["model.safetensors.index.json"].Data = text
	if _, err := model.Open(dir, ref.New()); err == nil ||
		!strings.Contains(err.Error(), norm+`: tensor "model.norm.weight" is not in model.safetensors.index.json`) {
		t.Errorf("a tensor that the index does not name: got %v", err)
	}
	index["weight_map"]["model.norm.weight"] = "../secret"
	text, _ = json.Marshal(index)
	dir.MapFS["model.safetensors.index.json"].Data = text
	if _, err := model.Open(dir, ref.New()); err == nil || !strings.Contains(err.Error(), "is not a file name") {
		t.Errorf("a shard outside the folder: got %v", err)
	}
}

// edit changes one field of config.json; nil deletes it.
func edit(t *testing.T, dir memory, field string, v any) {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(dir.MapFS["config.json"].Data, &c); err != nil {
		t.Fatal(err)
	}
	c[field] = v
	if v == nil {
		delete(c, field)
	}
	dir.MapFS["config.json"].Data, _ = json.Marshal(c)
}

func TestOpenRefuses(t *testing.T) {
	base := saved(t, model.New(tiny(true), 1, ref.New()))
	cfg := func(field string, v any) func(*testing.T, memory) {
		return func(t *testing.T, d memory) { edit(t, d, field, v) }
	}
	tests := []struct {
		name  string
		spoil func(*testing.T, memory)
		want  string // part of the error
	}{
		{"no config", func(_ *testing.T, d memory) { delete(d.MapFS, "config.json") }, "config.json"},
		{"no weights", func(_ *testing.T, d memory) { delete(d.MapFS, "model.safetensors") }, "model.safetensors"},
		{"config is no JSON", func(_ *testing.T, d memory) {
			d.MapFS["config.json"].Data = []byte("{")
		}, "config.json"},
		{"other family", cfg("model_type", "gemma"), "model_type"},
		{"another family's class", cfg("architectures", []string{"Qwen3ForCausalLM"}), "architectures"},
		{"weights without the biases of the family", func(t *testing.T, d memory) {
			edit(t, d, "architectures", nil)
			edit(t, d, "model_type", "qwen2")
		}, `"model.layers.0.self_attn.q_proj.bias" is missing`},
		{"other architecture", cfg("architectures", []string{"MistralForCausalLM"}), "architectures"},
		{"rope scaling without a kind", cfg("rope_scaling", map[string]any{"factor": 8}), "rope_scaling"},
		{"rope scaling of another kind", cfg("rope_scaling", map[string]any{"type": "yarn", "factor": 8}),
			`rope_scaling: rope_type "yarn"`},
		{"rope scaling without a factor", cfg("rope_parameters", map[string]any{"rope_type": "llama3"}), "factor: 0"},
		{"rope scaling upside down", cfg("rope_scaling",
			map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
				"high_freq_factor": 1, "original_max_position_embeddings": 8}), "low_freq_factor"},
		{"sliding window", cfg("sliding_window", 4096), "sliding_window"},
		{"sliding layers", cfg("layer_types", []string{"full_attention", "sliding_attention"}), "layer_types[1]"},
		{"attention bias", cfg("attention_bias", true), "attention_bias"},
		{"activation", cfg("hidden_act", "gelu"), "hidden_act"},
		{"missing size", cfg("hidden_size", nil), "hidden_size"},
		{"zero heads", cfg("num_attention_heads", 0), "num_attention_heads"},
		{"huge context", cfg("max_position_embeddings", 1<<40), "max_position_embeddings"},
		{"heads do not divide", cfg("num_key_value_heads", 3), "num_key_value_heads"},
		{"odd head", cfg("head_dim", 3), "head_dim"},
		{"eos outside", cfg("eos_token_id", 11), "eos_token_id"},
		{"vocabulary larger than the embedding", cfg("vocab_size", 12), "vocab_size 12 is larger than the embedding"},
		{"wrong shape", cfg("intermediate_size", 13), "gate_proj.weight"},
		{"missing layer", cfg("num_hidden_layers", 3), `"model.layers.2.input_layernorm.weight" is missing`},
		{"layer too many", cfg("num_hidden_layers", 1), "would be ignored"},
		{"missing head", cfg("tie_word_embeddings", false), `"lm_head.weight" is missing`},
		{"truncated", func(_ *testing.T, d memory) {
			f := d.MapFS["model.safetensors"]
			f.Data = f.Data[:len(f.Data)-4]
		}, "cut short"},
		{"not a number", func(_ *testing.T, d memory) {
			f := d.MapFS["model.safetensors"]
			copy(f.Data[len(f.Data)-4:], []byte{0, 0, 0xc0, 0x7f})
		}, `tensor "model.norm.weight": element 7 is NaN`},
		{"adapter without weights", func(_ *testing.T, d memory) {
			d.MapFS["adapter_config.json"] = &fstest.MapFile{Data: []byte(`{"peft_type":"LORA","r":2,"lora_alpha":4}`)}
		}, "adapter_model.safetensors"},
		{"adapter of another rank", func(t *testing.T, d memory) {
			if err := noise(tiny(true), model.Q).Save(d.create); err != nil {
				t.Fatal(err)
			}
			f := d.MapFS["adapter_config.json"]
			f.Data = bytes.Replace(f.Data, []byte(`"r": 2`), []byte(`"r": 3`), 1)
		}, `lora_A.weight" has shape [2 8], adapter_config.json (r = 3) asks for [3 8]`},
		{"adapter of another kind", func(_ *testing.T, d memory) {
			d.MapFS["adapter_config.json"] = &fstest.MapFile{Data: []byte(`{"peft_type":"LORA","r":2,"lora_alpha":4,` +
				`"use_dora":true}`)}
		}, "use_dora"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := memory{fstest.MapFS{}}
			for name, f := range maps.All(base.MapFS) {
				dir.MapFS[name] = &fstest.MapFile{Data: bytes.Clone(f.Data)}
			}
			tt.spoil(t, dir)
			_, err := model.Open(dir, ref.New())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestCloneIsApart(t *testing.T) {
	m := model.New(tiny(true), 1, ref.New())
	before := apply(m, model.Gate)
	c := m.Clone()
	c.Layers[0].Gate.W[0]++
	c.Embed[0]++
	if !slices.Equal(apply(m, model.Gate), before) || m.Embed[0] == c.Embed[0] || &c.HeadW[0] != &c.Embed[0] {
		t.Error("a change in the clone reached the model, or the clone is no longer tied")
	}
	if slices.Equal(apply(c.Clone(), model.Gate), before) {
		t.Error("a clone must pack the weights as they are")
	}
}
