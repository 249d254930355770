package model

import (
	"encoding/json"
	"fmt"
	"math"
)

// This file is what sets the families apart in config.json and in the forward pass.

// Family is an architecture, as model_type in config.json names it.
type Family string

// The supported families. All are the same transformer, except for the differences listed here.
const (
	Llama   Family = "llama"
	Mistral Family = "mistral" // as Llama; a sliding window only if no context reaches beyond it
	Qwen2   Family = "qwen2"   // and Qwen2.5: a bias on q, k and v
	Qwen3   Family = "qwen3"   // dense: RMSNorm on each head of q and k, before the rotation
	SmolLM3 Family = "smollm3" // layers without rotary positions
	Granite Family = "granite" // dense, Granite 3: multipliers
)

const onlyFamilies = "only Llama 3, Mistral, Qwen 2 and 2.5, dense Qwen 3, SmolLM3 and dense Granite 3 are supported"

// families has each family's class in transformers, and its defaults for fields that config.json lacks.
var families = map[Family]struct {
	class     string
	positions int // max_position_embeddings
	theta     float64
	headDim   int // 0: hidden_size / num_attention_heads
	kvHeads   int // 0: num_attention_heads
	tied      bool
}{
	Llama:   {class: "LlamaForCausalLM", positions: 2048, theta: 10000},
	Mistral: {class: "MistralForCausalLM", positions: 131072, theta: 10000, kvHeads: 8},
	Qwen2:   {class: "Qwen2ForCausalLM", positions: 32768, theta: 10000},
	Qwen3:   {class: "Qwen3ForCausalLM", positions: 32768, theta: 10000, headDim: 128},
	SmolLM3: {class: "SmolLM3ForCausalLM", positions: 32768, theta: 2e6, kvHeads: 4, tied: true},
	Granite: {class: "GraniteForCausalLM", positions: 2048, theta: 10000},
}

const (
	mistralWindow   = 4096 // sliding_window of a Mistral whose config.json lacks the field
	smolLM3Interval = 4    // no_rope_layer_interval of a SmolLM3 whose config.json lacks the field
)

// Multipliers are Granite's constants.
type Multipliers struct {
	Embedding float64 // multiplies the embedding
	Attention float64 // multiplies q·k, in place of 1/√D
	Residual  float64 // multiplies what each block adds to the residual stream
	Logits    float64 // divides the logits
}

func (m Multipliers) validate() error {
	for _, f := range []struct {
		name           string
		v, least, most float64
	}{
		{"embedding_multiplier", m.Embedding, 1e-6, 1e6}, {"attention_multiplier", m.Attention, 1e-6, 1e6},
		{"residual_multiplier", m.Residual, 1e-3, 1e3}, // eps is divided by its square
		{"logits_scaling", m.Logits, 1e-6, 1e6},
	} {
		if !(f.v >= f.least && f.v <= f.most) {
			return fmt.Errorf("%s: %v is not within %v..%v", f.name, f.v, f.least, f.most)
		}
	}
	return nil
}

// Scales are the factors by which the forward pass computes Multipliers. It does not multiply what a
// block adds by r = Residual, but keeps the residual stream x divided by r:
//
//	(x + r·f(norm(x))) / r = x/r + f(norm(x)),  and norm(x) with eps = norm(x/r) with eps/r²
//
// So only the embedding and eps change, and layers cost no more than those of other families.
type Scales struct {
	Embed float32 // of the embedding's rows
	Query float32 // of q after the rotation; the kernels then scale q·k by 1/√D
	Head  float32 // of the input of the head
	Eps   float32 // of every RMSNorm
}

// Scales returns the factors: 1, and RMSNormEps, in families without multipliers.
func (c *Config) Scales() Scales {
	m := c.Multipliers
	if m == nil {
		return Scales{Embed: 1, Query: 1, Head: 1, Eps: float32(c.RMSNormEps)}
	}
	return Scales{
		Embed: float32(m.Embedding / m.Residual), Query: float32(m.Attention * math.Sqrt(float64(c.HeadDim))),
		Head: float32(1 / m.Logits), Eps: float32(c.RMSNormEps / (m.Residual * m.Residual)),
	}
}

// Rotates tells whether a layer rotates the heads of q and k by their positions.
func (c *Config) Rotates(layer int) bool { return c.NoRope == nil || !c.NoRope[layer] }

// validateFamily checks the settings that only some families have.
func (c *Config) validateFamily() error {
	switch {
	case families[c.Family].class == "":
		return fmt.Errorf("model_type: %q is unknown", c.Family)
	case c.SlidingWindow != 0 && c.Family != Mistral:
		return fmt.Errorf("sliding_window: %d: only full attention is supported", c.SlidingWindow)
	case c.SlidingWindow != 0 && c.SlidingWindow < c.MaxPositions:
		return fmt.Errorf("sliding_window: %d (%d if absent) is less than max_position_embeddings %d, and only full "+
			"attention is supported: lower max_position_embeddings to the window, within which it changes nothing, "+
			"or set it to null if the model was trained without one",
			c.SlidingWindow, mistralWindow, c.MaxPositions)
	case c.SlidingWindow > 1<<30:
		return fmt.Errorf("sliding_window: %d is more than %d", c.SlidingWindow, 1<<30)
	case c.Family == SmolLM3 && len(c.NoRope) != c.NumLayers:
		return fmt.Errorf("no_rope_layers: %d entries for %d layers", len(c.NoRope), c.NumLayers)
	case c.Family != SmolLM3 && c.NoRope != nil:
		return fmt.Errorf("no_rope_layers: a %s has none", c.Family)
	case (c.Family == Granite) != (c.Multipliers != nil):
		return fmt.Errorf("model_type: %q: every granite has multipliers, and no other family", c.Family)
	case c.Multipliers != nil:
		return c.Multipliers.validate()
	}
	return nil
}

// window is sliding_window. A Mistral without the field has one, a Mistral with null has none.
type window struct {
	present bool
	tokens  *int
}

func (w *window) UnmarshalJSON(text []byte) error {
	w.present = true
	return json.Unmarshal(text, &w.tokens)
}

func (w window) MarshalJSON() ([]byte, error) { return json.Marshal(w.tokens) }
func (w window) IsZero() bool                 { return !w.present } // for omitzero

// slidingWindow is the window of a Mistral in tokens; 0 for none, and for the other families, which
// use none without use_sliding_window.
func (f *configFile) slidingWindow() (int, error) {
	w := f.SlidingWindow
	switch {
	case Family(f.ModelType) != Mistral || w.present && w.tokens == nil:
		return 0, nil
	case !w.present:
		return mistralWindow, nil
	case *w.tokens < 1:
		return 0, fmt.Errorf("sliding_window: %d is not positive", *w.tokens)
	}
	return *w.tokens, nil
}

// noRope tells for each layer of a SmolLM3 whether it has no rotary positions; nil in other families.
func (f *configFile) noRope() ([]bool, error) {
	if Family(f.ModelType) != SmolLM3 || *f.NumLayers > maxLayers { // Validate refuses so many
		return nil, nil
	}
	without := make([]bool, *f.NumLayers)
	interval := or(f.NoRopeInterval, smolLM3Interval)
	switch {
	case f.NoRopeLayers == nil && interval < 1:
		return nil, fmt.Errorf("no_rope_layer_interval: %d is not positive", interval)
	case f.NoRopeLayers != nil && len(f.NoRopeLayers) < len(without):
		return nil, fmt.Errorf("no_rope_layers: %d entries for %d layers", len(f.NoRopeLayers), len(without))
	}
	for i := range without {
		if f.NoRopeLayers == nil {
			without[i] = (i+1)%interval == 0
			continue
		}
		if v := f.NoRopeLayers[i]; v != 0 && v != 1 {
			return nil, fmt.Errorf("no_rope_layers[%d]: %d is neither 1, with rotary positions, nor 0, without", i, v)
		}
		without[i] = f.NoRopeLayers[i] == 0
	}
	return without, nil
}

// multipliers are those of a Granite, 1 if absent; nil in other families.
func (f *configFile) multipliers() *Multipliers {
	if Family(f.ModelType) != Granite {
		return nil
	}
	return &Multipliers{
		Embedding: or(f.EmbeddingMultiplier, 1), Attention: or(f.AttentionMultiplier, 1),
		Residual: or(f.ResidualMultiplier, 1), Logits: or(f.LogitsScaling, 1),
	}
}

// setFamily is the inverse of slidingWindow, noRope and multipliers. It also writes what transformers would
// otherwise take from the defaults of the family.
func (f *configFile) setFamily(c Config) {
	if c.Family == Mistral {
		f.SlidingWindow.present = true
		if c.SlidingWindow != 0 {
			f.SlidingWindow.tokens = &c.SlidingWindow
		}
	}
	if c.Family == SmolLM3 { // without the field transformers pads with 128004, which the vocabulary may not have
		f.PadToken = json.RawMessage("null")
	}
	for _, without := range c.NoRope {
		with := 1
		if without {
			with = 0
		}
		f.NoRopeLayers = append(f.NoRopeLayers, with)
	}
	if m := c.Multipliers; m != nil {
		f.EmbeddingMultiplier, f.AttentionMultiplier = &m.Embedding, &m.Attention
		f.ResidualMultiplier, f.LogitsScaling = &m.Residual, &m.Logits
	}
}
