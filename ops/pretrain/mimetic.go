package pretrain

import (
	"math"
	"math/rand/v2"

	"itool/stages/policy/model"
)

// mimeticInit starts the attention of all layers but the first as that of trained models
// looks: a query resembles the key of the same token, and what is attended to is
// added as it is. Copying is then near from the first step (Trockman and Kolter,
// "Mimetic Initialization of Self-Attention Layers", 2023).
//
// The trainer packs the weights; m is for nothing else before.
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
			from := h / share * d // the group's rows of K and V
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
