package model

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

// Config is a model's shape, as config.json states it.
type Config struct {
	HiddenSize       int     // C, channels
	IntermediateSize int     // width of the SwiGLU block
	NumLayers        int     //
	NumHeads         int     // H, query heads
	NumKVHeads       int     // G, key/value heads; divides H
	HeadDim          int     // D, even; H·D need not be C
	VocabSize        int     // V
	MaxPositions     int     // longest context, in tokens
	RopeTheta        float64 // base of the rotary angles
	RMSNormEps       float64
	TieEmbeddings    bool    // the head is the embedding
	BOS              []int32 // ids that begin a text; may be empty
	EOS              []int32 // ids that end an answer; may be empty
	DType            string  // how the checkpoint stores weights: float32, bfloat16, float16
}

// configFile is config.json. Pointers tell "absent" from zero.
type configFile struct {
	Architectures    []string        `json:"architectures,omitempty"`
	ModelType        string          `json:"model_type"`
	HiddenSize       *int            `json:"hidden_size"`
	IntermediateSize *int            `json:"intermediate_size"`
	NumLayers        *int            `json:"num_hidden_layers"`
	NumHeads         *int            `json:"num_attention_heads"`
	NumKVHeads       *int            `json:"num_key_value_heads"`
	HeadDim          *int            `json:"head_dim"`
	VocabSize        *int            `json:"vocab_size"`
	MaxPositions     *int            `json:"max_position_embeddings"`
	RopeTheta        *float64        `json:"rope_theta"`
	RMSNormEps       *float64        `json:"rms_norm_eps"`
	TieEmbeddings    bool            `json:"tie_word_embeddings"`
	BOS              tokenIDs        `json:"bos_token_id"`
	EOS              tokenIDs        `json:"eos_token_id"`
	TorchDtype       string          `json:"torch_dtype,omitempty"`
	Dtype            string          `json:"dtype,omitempty"` // the newer spelling
	HiddenAct        string          `json:"hidden_act,omitempty"`
	AttentionBias    bool            `json:"attention_bias"`
	MLPBias          bool            `json:"mlp_bias"`
	RopeScaling      json.RawMessage `json:"rope_scaling,omitempty"`
	RopeParameters   *ropeParameters `json:"rope_parameters,omitempty"` // the newer place of rope_theta
	SlidingWindow    *int            `json:"sliding_window,omitempty"`
	PartialRotary    *float64        `json:"partial_rotary_factor,omitempty"`
	Quantization     json.RawMessage `json:"quantization_config,omitempty"`
}

type ropeParameters struct {
	Theta *float64 `json:"rope_theta"`
	Type  string   `json:"rope_type"`
}

// ReadConfig reads and checks config.json. What the engine cannot compute exactly
// is refused by the name of its field.
func ReadConfig(fsys fs.FS) (Config, error) {
	text, err := fs.ReadFile(fsys, "config.json")
	if err != nil {
		return Config{}, err
	}
	var f configFile
	if err := json.Unmarshal(text, &f); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	if err := f.supported(); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	c, err := f.config()
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

// Validate checks the ranges; a model of a valid config can be allocated.
func (c Config) Validate() error {
	for _, r := range []struct {
		name     string
		v, limit int
	}{
		{"hidden_size", c.HiddenSize, 1 << 17}, {"intermediate_size", c.IntermediateSize, 1 << 19},
		{"num_hidden_layers", c.NumLayers, 1 << 10}, {"num_attention_heads", c.NumHeads, 1 << 10},
		{"num_key_value_heads", c.NumKVHeads, 1 << 10}, {"head_dim", c.HeadDim, 1 << 10},
		{"vocab_size", c.VocabSize, 1 << 22}, {"max_position_embeddings", c.MaxPositions, 1 << 20},
	} {
		if r.v < 1 || r.v > r.limit {
			return fmt.Errorf("%s: %d is not within 1..%d", r.name, r.v, r.limit)
		}
	}
	switch {
	case c.NumHeads%c.NumKVHeads != 0:
		return fmt.Errorf("num_key_value_heads: %d does not divide num_attention_heads %d", c.NumKVHeads, c.NumHeads)
	case c.MaxPositions*c.HeadDim > 1<<27: // the tables of angles are as large
		return fmt.Errorf("max_position_embeddings: %d positions of head_dim %d are more than the engine keeps angles for", c.MaxPositions, c.HeadDim)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim: %d is odd, rotary positions need pairs", c.HeadDim)
	case !(c.RopeTheta > 0 && c.RopeTheta < 1e12):
		return fmt.Errorf("rope_theta: %v is not within (0, 1e12)", c.RopeTheta)
	case !(c.RMSNormEps > 0 && c.RMSNormEps < 1):
		return fmt.Errorf("rms_norm_eps: %v is not within (0, 1)", c.RMSNormEps)
	}
	for _, id := range append(append([]int32{}, c.BOS...), c.EOS...) {
		if id < 0 || int(id) >= c.VocabSize {
			return fmt.Errorf("bos_token_id or eos_token_id: %d is not within the vocabulary of %d", id, c.VocabSize)
		}
	}
	return nil
}

// supported refuses what would silently compute something else.
func (f *configFile) supported() error {
	const only = "only the plain Llama family is supported"
	for _, a := range f.Architectures {
		if a != "LlamaForCausalLM" {
			return fmt.Errorf("architectures: %q: %s", a, only)
		}
	}
	present := func(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
	switch {
	case f.ModelType != "llama":
		return fmt.Errorf("model_type: %q: %s", f.ModelType, only)
	case present(f.RopeScaling):
		return fmt.Errorf("rope_scaling: %s: %s", f.RopeScaling, only)
	case f.RopeParameters != nil && f.RopeParameters.Type != "" && f.RopeParameters.Type != "default":
		return fmt.Errorf("rope_parameters: rope_type %q: %s", f.RopeParameters.Type, only)
	case f.AttentionBias:
		return fmt.Errorf("attention_bias: true: %s", only)
	case f.MLPBias:
		return fmt.Errorf("mlp_bias: true: %s", only)
	case f.HiddenAct != "" && f.HiddenAct != "silu":
		return fmt.Errorf("hidden_act: %q: %s", f.HiddenAct, only)
	case f.SlidingWindow != nil:
		return fmt.Errorf("sliding_window: %d: %s", *f.SlidingWindow, only)
	case f.PartialRotary != nil && *f.PartialRotary != 1:
		return fmt.Errorf("partial_rotary_factor: %v: %s", *f.PartialRotary, only)
	case present(f.Quantization):
		return fmt.Errorf("quantization_config: take the unquantised checkpoint")
	}
	return nil
}

// config applies the defaults of the format to absent fields.
func (f *configFile) config() (Config, error) {
	for _, r := range []struct {
		name string
		v    *int
	}{
		{"hidden_size", f.HiddenSize}, {"intermediate_size", f.IntermediateSize}, {"num_hidden_layers", f.NumLayers},
		{"num_attention_heads", f.NumHeads}, {"vocab_size", f.VocabSize},
	} {
		if r.v == nil || *r.v < 1 {
			return Config{}, fmt.Errorf("%s: missing or not positive", r.name)
		}
	}
	if f.RopeParameters != nil && f.RopeTheta == nil {
		f.RopeTheta = f.RopeParameters.Theta
	}
	dtype := f.TorchDtype
	if dtype == "" {
		dtype = f.Dtype
	}
	return Config{
		HiddenSize: *f.HiddenSize, IntermediateSize: *f.IntermediateSize, NumLayers: *f.NumLayers, NumHeads: *f.NumHeads,
		NumKVHeads: or(f.NumKVHeads, *f.NumHeads), HeadDim: or(f.HeadDim, *f.HiddenSize / *f.NumHeads), VocabSize: *f.VocabSize,
		MaxPositions: or(f.MaxPositions, 2048), RopeTheta: or(f.RopeTheta, 10000), RMSNormEps: or(f.RMSNormEps, 1e-6),
		TieEmbeddings: f.TieEmbeddings, BOS: f.BOS, EOS: f.EOS, DType: strings.TrimPrefix(dtype, "torch."),
	}, nil
}

func or[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

// file is the inverse of config.
func (c Config) file() configFile {
	return configFile{
		Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", HiddenAct: "silu",
		HiddenSize: &c.HiddenSize, IntermediateSize: &c.IntermediateSize, NumLayers: &c.NumLayers, NumHeads: &c.NumHeads,
		NumKVHeads: &c.NumKVHeads, HeadDim: &c.HeadDim, VocabSize: &c.VocabSize, MaxPositions: &c.MaxPositions,
		RopeTheta: &c.RopeTheta, RMSNormEps: &c.RMSNormEps, TieEmbeddings: c.TieEmbeddings, BOS: c.BOS, EOS: c.EOS, TorchDtype: c.DType,
	}
}

// tokenIDs is one id, a list of ids, or null.
type tokenIDs []int32

func (t *tokenIDs) UnmarshalJSON(text []byte) error {
	var one *int32
	if json.Unmarshal(text, &one) == nil {
		*t = nil
		if one != nil {
			*t = tokenIDs{*one}
		}
		return nil
	}
	return json.Unmarshal(text, (*[]int32)(t))
}

func (t tokenIDs) MarshalJSON() ([]byte, error) {
	switch len(t) {
	case 0:
		return []byte("null"), nil
	case 1:
		return json.Marshal(t[0])
	}
	return json.Marshal([]int32(t))
}
