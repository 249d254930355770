package model

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Config is the shape of a model, from config.json.
type Config struct {
	Family           Family
	HiddenSize       int            // C, channels
	IntermediateSize int            // width of the SwiGLU block
	NumLayers        int            //
	NumHeads         int            // H, query heads
	NumKVHeads       int            // G, key/value heads; divides H
	HeadDim          int            // D, even; H·D may differ from C
	VocabSize        int            // V
	MaxPositions     int            // longest context, in tokens
	RopeTheta        float64        // base of the rotary angles
	RopeScaling      *Llama3Scaling // nil: the angles are not scaled
	RMSNormEps       float64
	TieEmbeddings    bool    // the head is the embedding
	BOS              []int32 // IDs that begin a text; may be empty
	EOS              []int32 // IDs that end an answer; may be empty
	DType            string  // type of the checkpoint's weights: float32, bfloat16 or float16
	NF4              bool    // the weights of the layers' linear maps are quantized to four bits

	SlidingWindow int          // Mistral: how many tokens attention reaches, at least MaxPositions; 0: without limit
	NoRope        []bool       // SmolLM3: by layer, whether it has no rotary positions; nil in other families
	Multipliers   *Multipliers // Granite; nil in other families
}

// maxLayers is the largest number of layers.
const maxLayers = 1 << 10

// configFile is config.json. Pointers distinguish an absent field from zero.
type configFile struct {
	Architectures    []string `json:"architectures,omitempty"`
	ModelType        string   `json:"model_type"`
	HiddenSize       *int     `json:"hidden_size"`
	IntermediateSize *int     `json:"intermediate_size"`
	NumLayers        *int     `json:"num_hidden_layers"`
	NumHeads         *int     `json:"num_attention_heads"`
	NumKVHeads       *int     `json:"num_key_value_heads"`
	HeadDim          *int     `json:"head_dim"`
	VocabSize        *int     `json:"vocab_size"`
	MaxPositions     *int     `json:"max_position_embeddings"`
	RopeTheta        *float64 `json:"rope_theta"`
	RMSNormEps       *float64 `json:"rms_norm_eps"`
	TieEmbeddings    *bool    `json:"tie_word_embeddings"`
	BOS              tokenIDs `json:"bos_token_id"`
	EOS              tokenIDs `json:"eos_token_id"`
	TorchDtype       string   `json:"torch_dtype,omitempty"`
	Dtype            string   `json:"dtype,omitempty"` // the newer name of torch_dtype
	HiddenAct        string   `json:"hidden_act,omitempty"`
	AttentionBias    bool     `json:"attention_bias"`
	MLPBias          bool     `json:"mlp_bias"`
	RopeScaling      *rope    `json:"rope_scaling,omitempty"`
	RopeParameters   *rope    `json:"rope_parameters,omitempty"` // replaces rope_theta and rope_scaling
	SlidingWindow    window   `json:"sliding_window,omitzero"`
	// Qwen's files set sliding_window and switch it off here.
	UseSlidingWindow *bool         `json:"use_sliding_window,omitempty"`
	LayerTypes       []string      `json:"layer_types,omitempty"`
	Quantization     *quantization `json:"quantization_config,omitempty"`

	PadToken json.RawMessage `json:"pad_token_id,omitempty"` // not followed

	// Of some families; in the others they are fields that are not read. See refuse.
	NoRopeLayers        []int    `json:"no_rope_layers,omitempty" family:"smollm3"` // 1: with rotary positions
	NoRopeInterval      *int     `json:"no_rope_layer_interval,omitempty" family:"smollm3"`
	EmbeddingMultiplier *float64 `json:"embedding_multiplier,omitempty" family:"granite"`
	AttentionMultiplier *float64 `json:"attention_multiplier,omitempty" family:"granite"`
	ResidualMultiplier  *float64 `json:"residual_multiplier,omitempty" family:"granite"`
	LogitsScaling       *float64 `json:"logits_scaling,omitempty" family:"granite"`
}

// quantization is what transformers writes about bitsandbytes, as far as it decides the meaning of the
// tensors. Which tensors are quantized is visible from their names.
type quantization struct {
	Method    string  `json:"quant_method"`
	In4Bit    bool    `json:"load_in_4bit"`
	Type      string  `json:"bnb_4bit_quant_type"`
	Nested    bool    `json:"bnb_4bit_use_double_quant"`
	Storage   *string `json:"bnb_4bit_quant_storage,omitempty"`
	ComputeIn string  `json:"bnb_4bit_compute_dtype,omitempty"` // not followed: products are float32
}

func (q *quantization) supported() error {
	switch {
	case q == nil:
		return nil
	case q.Method != "bitsandbytes" || !q.In4Bit || q.Type != "nf4":
		return fmt.Errorf("quantization_config: quant_method %q, load_in_4bit %v, bnb_4bit_quant_type %q: only "+
			"bitsandbytes' nf4 is supported; take the original checkpoint, or quantize that one (itool quantize)",
			q.Method, q.In4Bit, q.Type)
	case q.Storage != nil && *q.Storage != "uint8":
		return fmt.Errorf("quantization_config: bnb_4bit_quant_storage %q: only uint8 is supported", *q.Storage)
	}
	return nil
}

// ReadConfig reads and checks config.json. The error names the field that is broken, or that asks for
// a computation which the engine does not support.
func ReadConfig(fsys fs.FS) (Config, error) {
	text, err := fs.ReadFile(fsys, "config.json")
	if err != nil {
		return Config{}, err
	}
	c, err := parseConfig(text)
	if err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

func parseConfig(text []byte) (Config, error) {
	var f configFile
	if err := json.Unmarshal(text, &f); err != nil {
		return Config{}, err
	}
	if err := f.supported(); err != nil {
		return Config{}, err
	}
	if err := refuseUnread(text, Family(f.ModelType)); err != nil {
		return Config{}, err
	}
	c, err := f.config()
	if err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// Validate checks the ranges. A model with a valid config can be allocated.
func (c Config) Validate() error {
	for _, r := range []struct {
		name     string
		v, limit int
	}{
		{"hidden_size", c.HiddenSize, 1 << 17}, {"intermediate_size", c.IntermediateSize, 1 << 19},
		{"num_hidden_layers", c.NumLayers, maxLayers}, {"num_attention_heads", c.NumHeads, 1 << 10},
		{"num_key_value_heads", c.NumKVHeads, 1 << 10}, {"head_dim", c.HeadDim, 1 << 10},
		{"vocab_size", c.VocabSize, 1 << 22}, {"max_position_embeddings", c.MaxPositions, 1 << 20},
	} {
		if r.v < 1 || r.v > r.limit {
			return fmt.Errorf("%s: %d is not within 1..%d", r.name, r.v, r.limit)
		}
	}
	if c.RopeScaling != nil {
		if err := c.RopeScaling.validate(); err != nil {
			return fmt.Errorf("rope_scaling: %w", err)
		}
	}
	if err := c.validateFamily(); err != nil {
		return err
	}
	switch {
	case c.NumHeads%c.NumKVHeads != 0:
		return fmt.Errorf("num_key_value_heads: %d does not divide num_attention_heads %d", c.NumKVHeads, c.NumHeads)
	case c.MaxPositions*c.HeadDim > 1<<27: // the size of the tables of angles
		return fmt.Errorf("max_position_embeddings: %d positions of head_dim %d are too many: "+
			"the tables of angles would be too large", c.MaxPositions, c.HeadDim)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim: %d is odd, but rotary positions need pairs", c.HeadDim)
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

// supported returns an error for settings that change the computation and are not supported.
func (f *configFile) supported() error {
	family, ok := families[Family(f.ModelType)]
	if !ok {
		return fmt.Errorf("model_type: %q: %s", f.ModelType, onlyFamilies)
	}
	for _, a := range f.Architectures {
		if a != family.class {
			return fmt.Errorf("architectures: %q with model_type %q: %s", a, f.ModelType, onlyFamilies)
		}
	}
	if err := f.ropesAgree(); err != nil {
		return err
	}
	for i, t := range f.LayerTypes {
		if t != "full_attention" {
			return fmt.Errorf("layer_types[%d]: %q: only full_attention is supported", i, t)
		}
	}
	switch {
	case f.AttentionBias: // of q, k, v and o; Qwen 2 has biases without this field
		return fmt.Errorf("attention_bias: true: %s", onlyFamilies)
	case f.MLPBias:
		return fmt.Errorf("mlp_bias: true: %s", onlyFamilies)
	case f.HiddenAct != "" && f.HiddenAct != "silu":
		return fmt.Errorf("hidden_act: %q: only silu is supported", f.HiddenAct)
	case or(f.UseSlidingWindow, false): // the window is 4096 if sliding_window is absent
		return errors.New("use_sliding_window: true: only full attention is supported")
	// Qwen and SmolLM3 use their window only if use_sliding_window is true.
	case f.SlidingWindow.tokens != nil && f.UseSlidingWindow == nil && (f.ModelType == string(Llama) ||
		f.ModelType == string(Granite)):
		return fmt.Errorf("sliding_window: %d: only full attention is supported", *f.SlidingWindow.tokens)
	}
	return f.Quantization.supported()
}

// config makes the Config, with the defaults of transformers for absent fields.
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
	var scaling *Llama3Scaling
	for _, r := range []*rope{f.RopeScaling, f.RopeParameters} {
		if r != nil && f.RopeTheta == nil {
			f.RopeTheta = r.Theta
		}
		if r.kind() == "llama3" {
			scaling = &r.Llama3Scaling
		}
	}
	dtype := f.TorchDtype
	if dtype == "" {
		dtype = f.Dtype
	}
	window, err := f.slidingWindow()
	if err != nil {
		return Config{}, err
	}
	noRope, err := f.noRope()
	if err != nil {
		return Config{}, err
	}
	absent := families[Family(f.ModelType)]
	return Config{
		Family: Family(f.ModelType), RopeScaling: scaling,
		HiddenSize: *f.HiddenSize, IntermediateSize: *f.IntermediateSize, NumLayers: *f.NumLayers,
		NumHeads: *f.NumHeads, NumKVHeads: or(f.NumKVHeads, cmp.Or(absent.kvHeads, *f.NumHeads)),
		HeadDim:      or(f.HeadDim, cmp.Or(absent.headDim, *f.HiddenSize / *f.NumHeads)),
		VocabSize:    *f.VocabSize,
		MaxPositions: or(f.MaxPositions, absent.positions), RopeTheta: or(f.RopeTheta, absent.theta),
		RMSNormEps:    or(f.RMSNormEps, 1e-6),
		TieEmbeddings: or(f.TieEmbeddings, absent.tied), BOS: f.BOS, EOS: f.EOS,
		DType: strings.TrimPrefix(dtype, "torch."), NF4: f.Quantization != nil,
		SlidingWindow: window, NoRope: noRope, Multipliers: f.multipliers(),
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
	var scaling *rope
	if c.RopeScaling != nil {
		scaling = &rope{Type: "llama3", Llama3Scaling: *c.RopeScaling}
	}
	var q *quantization
	if c.NF4 {
		storage := "uint8"
		q = &quantization{Method: "bitsandbytes", In4Bit: true, Type: "nf4", Nested: true, Storage: &storage,
			ComputeIn: "bfloat16"}
	}
	f := configFile{
		Quantization: q, RopeScaling: scaling,
		Architectures: []string{families[c.Family].class}, ModelType: string(c.Family), HiddenAct: "silu",
		HiddenSize: &c.HiddenSize, IntermediateSize: &c.IntermediateSize, NumLayers: &c.NumLayers,
		NumHeads: &c.NumHeads, NumKVHeads: &c.NumKVHeads, HeadDim: &c.HeadDim, VocabSize: &c.VocabSize,
		MaxPositions: &c.MaxPositions, RopeTheta: &c.RopeTheta, RMSNormEps: &c.RMSNormEps,
		TieEmbeddings: &c.TieEmbeddings, BOS: c.BOS, EOS: c.EOS, TorchDtype: c.DType,
	}
	f.setFamily(c)
	return f
}

// tokenIDs is one ID, a list of IDs, or null.
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
