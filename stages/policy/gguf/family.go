package gguf

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy/model"
)

// This file is what sets the families apart in llama.cpp.

// families are the architectures that the engine computes, by the name in general.architecture.
var families = map[string]model.Family{
	"llama": model.Llama, "qwen2": model.Qwen2, "qwen3": model.Qwen3, "smollm3": model.SmolLM3,
	"granite": model.Granite,
}

// architecture is llama.cpp's name of a family. A Mistral without a window is a Llama there.
func architecture(f model.Family) string {
	if f == model.Mistral {
		return "llama"
	}
	return string(f)
}

// rotatesNeighbours tells whether llama.cpp rotates neighbouring rows of a family's heads
// (LLAMA_ROPE_TYPE_NORM), so that its files have the rows in another order than Hugging Face's.
func rotatesNeighbours(f model.Family) bool { return f != model.Qwen2 && f != model.Qwen3 }

// noRopeStep is llama.cpp's constant for SmolLM3, which no key changes: of so many layers the last has no
// rotary positions.
const noRopeStep = 4

// expressible refuses a model that llama.cpp would compute differently.
func expressible(c *model.Config) error {
	if c.Family != model.SmolLM3 {
		return nil
	}
	for i, without := range c.NoRope {
		if without != ((i+1)%noRopeStep == 0) {
			return errors.New("no_rope_layers: in llama.cpp exactly every fourth layer of a smollm3 has no rotary " +
				"positions, and no setting changes that: write a folder of Hugging Face's instead")
		}
	}
	if c.RopeScaling != nil {
		return errors.New("rope_scaling: llama.cpp does not scale the rotary angles of a smollm3: " +
			"write a folder of Hugging Face's instead")
	}
	return nil
}

// multiplier is one of Granite's constants and the rest of llama.cpp's key for it.
type multiplier struct {
	name  string
	value *float64
}

func multipliers(m *model.Multipliers) []multiplier {
	return []multiplier{
		{"embedding_scale", &m.Embedding}, {"attention.scale", &m.Attention}, {"residual_scale", &m.Residual},
		{"logit_scale", &m.Logits},
	}
}

// readsKey tells whether family reads a key that is no key of the other families.
func readsKey(arch, name string) bool {
	return families[arch] == model.Granite &&
		slices.ContainsFunc(multipliers(&model.Multipliers{}), func(m multiplier) bool { return m.name == name })
}

// family reads what only some families have, with llama.cpp's defaults. c has the sizes.
func (f *File) family(arch string, c *model.Config) error {
	switch c.Family {
	case model.SmolLM3:
		c.NoRope = make([]bool, min(c.NumLayers, 1<<16)) // Validate refuses so many
		for i := range c.NoRope {
			c.NoRope[i] = (i+1)%noRopeStep == 0
		}
	case model.Granite:
		const rotates = "granite.rope.scaling.finetuned"
		if v, ok := f.meta[rotates]; ok && v.off() {
			return fmt.Errorf("key %q: %v, which means no rotary positions at all, is not supported", rotates, v)
		}
		c.Multipliers = &model.Multipliers{Embedding: 1, Attention: 1 / math.Sqrt(float64(c.HeadDim)), Residual: 1}
		for _, m := range multipliers(c.Multipliers) {
			key := arch + "." + m.name
			if v, ok := f.meta[key]; *m.value != 0 && (!ok || v.off()) {
				continue
			}
			var err error
			if *m.value, err = f.float(key); err != nil {
				return err
			}
		}
	}
	return nil
}
