package train_test

import (
	"math"

	"itool/stages/policy/model"
)

// naive is a slow and obvious Llama in float64. It returns the log-probability of every token but the first,
// computed one position after the other.
func naive(m *model.Model, tokens []int32) []float64 {
	heads, d := m.NumHeads, m.HeadDim
	keys, values := make([][][]float64, len(m.Layers)), make([][][]float64, len(m.Layers))
	var logp []float64
	for pos := range tokens[:len(tokens)-1] {
		x := widen(m.Embed[int(tokens[pos])*m.HiddenSize:][:m.HiddenSize])
		for i := range m.Layers {
			l := &m.Layers[i]
			h := rms(x, l.InputNorm, m.RMSNormEps)
			q := rotate(mul(l.Q, h), d, pos, m.RopeTheta)
			keys[i] = append(keys[i], rotate(mul(l.K, h), d, pos, m.RopeTheta))
			values[i] = append(values[i], mul(l.V, h))
			out := make([]float64, heads*d)
			for head := range heads {
				kv := head / (heads / m.NumKVHeads) * d
				var weights []float64
				var sum float64
				for _, k := range keys[i] {
					var dot float64
					for j := range d {
						dot += q[head*d+j] * k[kv+j]
					}
					w := math.Exp(dot / math.Sqrt(float64(d)))
					weights, sum = append(weights, w), sum+w
				}
				for p, v := range values[i] {
					for j := range d {
						out[head*d+j] += weights[p] / sum * v[kv+j]
					}
				}
			}
			x = plus(x, mul(l.O, out))
			h = rms(x, l.PostNorm, m.RMSNormEps)
			gate, up := mul(l.Gate, h), mul(l.Up, h)
			for j, g := range gate {
				gate[j] = g / (1 + math.Exp(-g)) * up[j]
			}
			x = plus(x, mul(l.Down, gate))
		}
		logits := mul(model.Linear{W: m.HeadW, N: m.VocabSize, K: m.HiddenSize}, rms(x, m.Norm, m.RMSNormEps))
		var sum float64
		for _, v := range logits {
			sum += math.Exp(v)
		}
		logp = append(logp, logits[tokens[pos+1]]-math.Log(sum))
	}
	return logp
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

func plus(a, b []float64) []float64 {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

func mul(l model.Linear, x []float64) []float64 {
	y := make([]float64, l.N)
	for n := range y {
		for k, v := range x {
			y[n] += v * float64(l.W[n*l.K+k])
		}
	}
	return y
}

func rms(x []float64, w []float32, eps float64) []float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+eps) * float64(w[i])
	}
	return y
}

func rotate(x []float64, d, pos int, theta float64) []float64 {
	y := make([]float64, len(x))
	for at := 0; at < len(x); at += d {
		for i := range d / 2 {
			s, c := math.Sincos(float64(pos) * math.Pow(theta, -float64(2*i)/float64(d)))
			a, b := x[at+i], x[at+i+d/2]
			y[at+i], y[at+i+d/2] = a*c-b*s, b*c+a*s
		}
	}
	return y
}
