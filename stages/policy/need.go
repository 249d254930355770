package policy

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// defaultCacheTokens is what Open looks for room for, if Options say nothing: a prompt and its tree.
const defaultCacheTokens = 4096

// Need is the memory of a device that a policy takes besides its weights: keys and values of that many tokens, and
// the activations of one packed batch. kernel.Need.Fits compares it with what is free.
func Need(c model.Config, tokens int) kernel.Need {
	return kernel.Need{
		{For: "KV cache", Bytes: int64(tokens) * cacheBytes(c)},
		{For: "activations", Bytes: activationBytes(c, min(packTokens, c.MaxPositions))},
	}
}

// cacheBytes are the keys and values of a token.
func cacheBytes(c model.Config) int64 {
	return 2 * 4 * int64(c.NumLayers) * int64(c.NumKVHeads*c.HeadDim)
}

// activationBytes is what forward.size reserves for rows, with the quarter that grow adds, and the memory that the
// kernels of a GPU share: x rounded to bf16, and a chunk of the head's logits.
func activationBytes(c model.Config, rows int) int64 {
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	row := 4*c.HiddenSize + 2*q + 2*kv + c.NumHeads + 3
	if c.Family == model.Qwen3 {
		row += q + kv + c.NumHeads + c.NumKVHeads
	}
	mlp := 3 * min(rows, mlpRows) * c.IntermediateSize
	const headRows, headTokens, headBytes = 1024, 8192, 6
	shared := 2*rows*max(c.HiddenSize, q) + headBytes*min(rows, headRows)*min(c.VocabSize, headTokens)
	return 5*int64(rows*row+mlp) + int64(shared)
}

// beside is what Open looks for room for.
func (o Options) beside(c model.Config) kernel.Need {
	tokens := o.CacheTokens
	if tokens == 0 {
		tokens = min(defaultCacheTokens, c.MaxPositions)
	}
	return Need(c, tokens)
}
