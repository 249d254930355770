package pretrain

import (
	"math"
	"math/rand/v2"

	"itool/stages/policy/model"
)

// mimeticInit initializes the attention of all layers except the first so that it looks
// like that of trained models: a query is similar to the key of the same token, and the
// output is the attended input itself, scaled. The model then learns to copy much sooner
// (Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers", 2023).
//
// Call it before m is used: it changes the unpacked weights, which the trainer packs.
func mimeticInit(m *model.Model, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0x6d696d6963))
	c, d, share := m.HiddenSize, m.HeadDim, m.NumHeads/m.NumKVHeads
	std := 1 / math.Sqrt(float64(c))
	for i := range m.Layers[1:] {
		l := &m.Layers[1+i]
		for _, w := range [][]float32{l.K.W, l.V.W} {
			for j := range w {
				w[j] = float32(r.NormFloat64() * std)
			}
		}
		for h := range m.NumHeads {
			from := h / share * d // first row of the group's K and V
			for j := range d {
				for k := range c {
					noise := float32(r.NormFloat64() * std / 2)
					l.Q.W[(h*d+j)*c+k] = l.K.W[(from+j)*c+k] + noise
					l.O.W[k*m.NumHeads*d+h*d+j] = l.V.W[(from+j)*c+k] / 2
				}
			}
		}
	}
}
