package train

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/op"
)

// Need is the memory of a device that a training takes besides the model's weights. wrapped tells whether the model has
// its matrices in their own type; otherwise gradients need them as rows of float32, too. New refuses what does not fit.
func Need(c model.Config, cfg Config, wrapped bool) (kernel.Need, error) {
	n, err := cfg.parameters(c)
	if err != nil {
		return nil, err
	}
	s := cfg.shape(c)
	need := kernel.Need{{For: "adapters", Bytes: 4 * n}}
	switch matrices := int64(c.Parameters()); {
	case cfg.Full: // a copy of the model with float32 rows, and packed
		need[0] = kernel.Part{For: "trained weights", Bytes: 4*n + 2*matrices + 4*int64(c.MaxPositions*c.HeadDim)}
	case !wrapped: // also those of a tied head, once more
		need = append(need, kernel.Part{For: "weights as rows", Bytes: 4 * matrices})
	}
	// The matrices of one product rounded to bf16, and a chunk of the head's logits: what a GPU's kernels share.
	const headRows, headTokens, headBytes = 1024, 8192, 6
	shared := 2*s.T*(max(s.C, s.H*s.D)+s.F) + headBytes*min(s.T, headRows)*min(s.V, headTokens)
	activations := s.GraphBytes(c.NumLayers, cfg.kept(s, c.NumLayers)) + int64(shared)
	return append(need, kernel.Part{For: "gradients", Bytes: 4 * n}, kernel.Part{For: "moments", Bytes: 2 * 4 * n},
		kernel.Part{For: "activations of training", Bytes: activations}), nil
}

// parameters counts what is trained.
func (c Config) parameters(m model.Config) (n int64, err error) {
	if c.Full {
		return int64(m.Parameters()), nil
	}
	on, err := c.targets()
	for j, shape := range m.Shapes() {
		if on[j] {
			n += int64(m.NumLayers) * int64(c.Rank) * int64(shape[0]+shape[1])
		}
	}
	return n, err
}

// shape is that of the graph.
func (c Config) shape(m model.Config) op.Shape {
	s := m.Scales()
	shape := op.Shape{
		T: c.Tokens, C: m.HiddenSize, H: m.NumHeads, G: m.NumKVHeads, D: m.HeadDim, F: m.IntermediateSize,
		V: m.VocabSize, Eps: s.Eps, HeadNorm: m.Family == model.Qwen3,
		Scales: op.Scales{Embed: s.Embed, Query: s.Query, Head: s.Head},
	}
	if !c.Full {
		shape.R = c.Rank
	}
	return shape
}

// kept is the number of layers that keep their activations.
func (c Config) kept(s op.Shape, layers int) int {
	budget := c.ActivationBytes
	if budget == 0 {
		budget = defaultActivationBytes
	}
	return min(max(1, budget/s.LayerBytes()), layers)
}
