package gguf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/stages/policy/model"
)

// Architecture is the model's kind, such as llama.
func (f *File) Architecture() (string, error) {
	arch, ok, err := f.text("general.architecture")
	if err == nil && !ok {
		_, err = f.get("general.architecture")
	}
	if err != nil {
		return "", fmt.Errorf("gguf: %w", err)
	}
	return arch, nil
}

// Name is what the file says that the model is called; it may be empty.
func (f *File) Name() string {
	name, _, _ := f.text("general.name")
	return name
}

// neutral are the values of an architecture's keys that change nothing in the engine's computation; nil
// for a key whose value never does, or that config reads. A key that is not in the list and says anything
// but zero, false or nothing is refused.
var neutral = map[string]any{
	"block_count": nil, "context_length": nil, "embedding_length": nil, "feed_forward_length": nil,
	"attention.head_count": nil, "attention.head_count_kv": nil, "attention.key_length": nil,
	"attention.value_length": nil, "attention.layer_norm_rms_epsilon": nil, "vocab_size": nil,
	"rope.dimension_count": nil, "rope.freq_base": nil,
	"attention.causal": "true", "rope.scaling.type": nil, "rope.scaling.factor": nil, "rope.scale_linear": nil,
	"rope.scaling.original_context_length": nil, "rope.scaling.finetuned": nil,
	"tensor_data_layout": nil, // how Meta's own files stored q and k: the conversion has undone it
	"logit_scale":        "1",
}

// config is the model's shape, without the type of its weights. tied tells whether the head is the
// embedding.
func (f *File) config(tied bool) (c model.Config, err error) {
	arch, err := f.Architecture()
	if err != nil {
		return c, err
	}
	var ok bool
	if c.Family, ok = families[arch]; !ok {
		return c, fmt.Errorf("gguf: architecture %.40q is not supported: llama, qwen2, qwen3, smollm3 and granite are",
			arch)
	}
	if err := f.refuseOthers(arch); err != nil {
		return c, fmt.Errorf("gguf: %w", err)
	}
	c.TieEmbeddings = tied
	if err := f.shape(arch, &c); err != nil {
		return c, fmt.Errorf("gguf: %w", err)
	}
	if err := f.family(arch, &c); err != nil {
		return c, fmt.Errorf("gguf: %w", err)
	}
	if c.BOS, c.EOS, err = f.endTokens(); err != nil {
		return c, fmt.Errorf("gguf: %w", err)
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("gguf: the keys of %s: %w", arch, err)
	}
	return c, nil
}

// refuseOthers refuses a part of a model, and settings that would compute another one.
func (f *File) refuseOthers(arch string) error {
	if parts, err := f.integerOr("split.count", 1); err != nil {
		return err
	} else if parts > 1 {
		return fmt.Errorf("the model is split into %d files: join them first (llama-gguf-split --merge FIRST OUT), "+
			"and give the whole one", parts)
	}
	for _, key := range slices.Sorted(maps.Keys(f.meta)) {
		name, ours := strings.CutPrefix(key, arch+".")
		v := f.meta[key]
		want, listed := neutral[name]
		if !ours || v.off() || listed && (want == nil || want == v.String()) || readsKey(arch, name) {
			continue
		}
		return fmt.Errorf("key %q: %v is not supported, because it may change the computation", key, v)
	}
	return f.scaling(arch)
}

// scaling refuses scaled rotary angles, except those of Llama 3, which are a tensor.
func (f *File) scaling(arch string) error {
	kind, _, err := f.text(arch + ".rope.scaling.type")
	if err != nil {
		return err
	}
	for _, key := range []string{arch + ".rope.scaling.factor", arch + ".rope.scale_linear"} {
		v, ok := f.meta[key]
		if !ok || v.off() || v.String() == "1" || kind == "none" {
			continue
		}
		if kind == "" {
			kind = "linear" // as llama.cpp assumes
		}
		return fmt.Errorf("key %q: rotary angles scaled by %v (%s) are not supported", key, v, kind)
	}
	if kind != "" && kind != "none" && kind != "linear" {
		return fmt.Errorf("key %q: %q is not supported", arch+".rope.scaling.type", kind)
	}
	return nil
}

// shape reads the sizes.
func (f *File) shape(arch string, c *model.Config) (err error) {
	read := func(name string, absent int) int { // absent < 0: it must be there
		key, n := arch+"."+name, 0
		if err == nil && absent < 0 {
			n, err = f.integer(key)
		} else if err == nil {
			n, err = f.integerOr(key, absent)
		}
		return n
	}
	c.NumLayers, c.MaxPositions = read("block_count", -1), read("context_length", -1)
	c.HiddenSize, c.IntermediateSize = read("embedding_length", -1), read("feed_forward_length", -1)
	c.NumHeads = read("attention.head_count", -1)
	c.NumKVHeads = read("attention.head_count_kv", c.NumHeads)
	if err == nil && c.NumHeads == 0 {
		err = fmt.Errorf("key %q: 0 heads", arch+".attention.head_count")
	}
	if err != nil {
		return err
	}
	c.HeadDim = read("attention.key_length", c.HiddenSize/c.NumHeads)
	for _, name := range []string{"attention.value_length", "rope.dimension_count"} {
		if n := read(name, c.HeadDim); err == nil && n != c.HeadDim {
			return fmt.Errorf("key %q: %d differs from the size of a head, %d, which is not supported",
				arch+"."+name, n, c.HeadDim)
		}
	}
	if err == nil {
		c.RMSNormEps, err = f.float(arch + ".attention.layer_norm_rms_epsilon")
	}
	c.RopeTheta = 10000
	if _, ok := f.meta[arch+".rope.freq_base"]; ok && err == nil {
		c.RopeTheta, err = f.float(arch + ".rope.freq_base")
	}
	if err != nil {
		return err
	}
	embed := f.tensor("token_embd.weight")
	if embed == nil || len(embed.Shape) != 2 {
		return errors.New("tensor \"token_embd.weight\" is missing or no matrix: the file holds no language model")
	}
	c.VocabSize = embed.Shape[0]
	if n := read("vocab_size", c.VocabSize); err == nil && n != c.VocabSize {
		return fmt.Errorf("key %q: %d, but tensor %q has %d rows", arch+".vocab_size", n, embed.Name, c.VocabSize)
	}
	return err
}

// noToken is the least ID that stands for no token: some writers put −1 as uint32.
const noToken = 1<<31 - 1

// endTokens are the tokens that begin a text and that end an answer, as far as the file names them: end of
// text, of turn, of message.
func (f *File) endTokens() (bos, eos []int32, err error) {
	for _, name := range []string{"bos", "eos", "eot", "eom"} {
		key := "tokenizer.ggml." + name + "_token_id"
		if _, ok := f.meta[key]; !ok {
			continue
		}
		id, err := f.integer(key)
		if err != nil {
			return nil, nil, err
		}
		if id >= noToken {
			continue
		}
		if name == "bos" {
			bos = append(bos, int32(id))
		} else if !slices.Contains(eos, int32(id)) {
			eos = append(eos, int32(id))
		}
	}
	return bos, eos, nil
}

// tensor returns a tensor by name; nil: there is none.
func (f *File) tensor(name string) *Tensor {
	for i := range f.Tensors {
		if f.Tensors[i].Name == name {
			return &f.Tensors[i]
		}
	}
	return nil
}
