// Package model holds a policy's weights. It reads and writes checkpoints of Hugging Face and adapters
// of PEFT.
//
// A small model has the weight of each linear map in memory twice: as float32 rows, and packed for the
// device with the adapter merged in. A large model has mapped weights, which the kernels read in the
// file's own type, and its adapter stays unmerged. See Form.
//
// The package computes no logits: decoding and training do that with the fields of Model.
//
//	m, err := model.Open(os.DirFS("SmolLM"), device)
//	m, err = m.WithAdapter(adapter)
package model

import (
	"math"
	"math/rand/v2"
	"slices"

	"itool/stages/policy/kernel"
)

// Model does not change once it is made, and many goroutines may use it. WithAdapter makes models that
// share its base weights.
type Model struct {
	Config
	Device kernel.Device

	Embed  []float32     // (V, C); nil when Wrapped.Embed is set
	Layers []Layer       //
	Norm   []float32     // (C), final RMSNorm
	HeadW  []float32     // (V, C); the same slice as Embed when tied; nil when Wrapped.Head is set
	Head   kernel.Matrix // HeadW packed, or Wrapped.Head
	Cos    []float32     // (MaxPositions, D/2)
	Sin    []float32     // (MaxPositions, D/2)

	Wrapped struct { // weights that kernels read in their own type; they replace Embed and HeadW
		Embed, Head kernel.Weight // (V, C); one and the same when tied
	}

	On *Placed // what inference computes with, on the device

	opened string // BaseDigest of the files, before rounding to eight bits; empty: made or changed in memory

	Adapter *Adapter // merged into every Linear.M, or in Linear.Unmerged; nil for a model without
}

// Layer is one transformer block.
type Layer struct {
	InputNorm, PostNorm []float32 // (C), before attention and before SwiGLU
	QNorm, KNorm        []float32 // (D), for each head of q and k, before the rotation; nil except in Qwen 3
	Q                   Linear    // (H·D, C)
	K, V                Linear    // (G·D, C)
	O                   Linear    // (C, H·D)
	Gate, Up            Linear    // (F, C)
	Down                Linear    // (C, F)
}

// Linear is y = x·Wᵀ + Bias; an unmerged adapter adds Scale·(x·Aᵀ)·Bᵀ.
type Linear struct {
	W        []float32     // (N, K) base weight, without the adapter; nil when Wrapped is set
	Wrapped  kernel.Weight // (N, K) base weight in its own type, or nil
	Bias     []float32     // (N); nil for none
	N, K     int           // output and input features
	M        kernel.Matrix // what inference multiplies with: base + adapter, packed; or Wrapped
	Unmerged *LoRA         // the adapter if it is not merged into M, else nil
}

// Weight is the base weight, wrapped or in float32.
func (l *Linear) Weight() kernel.Weight {
	if l.Wrapped != nil {
		return l.Wrapped
	}
	return &kernel.Dense{N: l.N, K: l.K, Data: l.W}
}

// Module says which linear map of a layer: the index in Linears and in AdapterLayer.
type Module int

// The seven linear maps of a layer.
const (
	Q Module = iota
	K
	V
	O
	Gate
	Up
	Down
	Modules int = iota // how many there are
)

var moduleNames = [Modules]struct{ group, name string }{
	{"self_attn", "q_proj"}, {"self_attn", "k_proj"}, {"self_attn", "v_proj"}, {"self_attn", "o_proj"},
	{"mlp", "gate_proj"}, {"mlp", "up_proj"}, {"mlp", "down_proj"},
}

// String is the name in adapter_config.json, such as "q_proj".
func (m Module) String() string { return moduleNames[m].name }

// ParseModule is the inverse of String; ok is false for an unknown name.
func ParseModule(name string) (m Module, ok bool) {
	for i, n := range moduleNames {
		if n.name == name {
			return Module(i), true
		}
	}
	return 0, false
}

// Linears lists the layer's linear maps in the order of Module.
func (l *Layer) Linears() [Modules]*Linear {
	return [Modules]*Linear{&l.Q, &l.K, &l.V, &l.O, &l.Gate, &l.Up, &l.Down}
}

// New makes a model with random weights: normal with standard deviation 0.02, divided by √(2·layers)
// for the two projections that add to the residual stream; norms are 1, biases 0. The same seed gives
// the same weights. cfg must be valid.
func New(cfg Config, seed uint64, dev kernel.Device) *Model {
	m := &Model{Config: cfg, Device: dev}
	m.Layers = make([]Layer, cfg.NumLayers)
	r := rand.New(rand.NewPCG(seed, 0x6d6f64656c))
	residual := 0.02 / math.Sqrt(2*float64(cfg.NumLayers))
	for _, t := range m.tensors() {
		data := make([]float32, size(t.shape))
		std := 0.02
		if t.residual {
			std = residual
		}
		for i := range data {
			switch {
			case t.bias:
			case len(t.shape) == 1:
				data[i] = 1
			default:
				data[i] = float32(r.NormFloat64() * std)
			}
		}
		*t.data = data
	}
	m.finish()
	return m
}

// Clone returns a model with its own base weights in float32: they may change without changing m. The
// adapter is shared.
func (m *Model) Clone() *Model {
	n := *m
	n.Layers = slices.Clone(m.Layers)
	for _, t := range n.tensors() {
		if *t.data = t.values(); t.wrapped != nil {
			*t.wrapped = nil
		}
	}
	n.Wrapped.Head, n.opened = nil, ""
	n.finish()
	return &n
}

// Distance is ‖W − W′‖ ÷ ‖W′‖ over the base weights of all layers' linear maps, where W is m's and W′
// is other's. Unless as is nil, each weight of m is first converted by it. Models of different shapes
// have an infinite distance.
func (m *Model) Distance(other *Model, as func(kernel.Weight) (kernel.Weight, error)) (float64, error) {
	if m.Shapes() != other.Shapes() || len(m.Layers) != len(other.Layers) || m.Family != other.Family {
		return math.Inf(1), nil
	}
	var far, size float64
	for i := range m.Layers {
		ours, theirs := m.Layers[i].Linears(), other.Layers[i].Linears()
		for j, l := range ours {
			w, v := l.Weight(), theirs[j].Weight()
			if as != nil {
				var err error
				if w, err = as(w); err != nil {
					return 0, err
				}
			}
			together(w, v, func(x, y float32) bool {
				d := float64(x) - float64(y)
				far, size = far+d*d, size+float64(y)*float64(y)
				return true
			})
		}
	}
	return math.Sqrt(far / size), nil
}

// together visits the values of two weights of the same shape until visit returns false.
func together(w, v kernel.Weight, visit func(x, y float32) bool) {
	const rows = 64
	n, k := w.Shape()
	a, b := make([]float32, rows*k), make([]float32, rows*k)
	for from := 0; from < n; from += rows {
		to := min(n, from+rows)
		w.Rows(a, from, to)
		v.Rows(b, from, to)
		for i := range (to - from) * k {
			if !visit(a[i], b[i]) {
				return
			}
		}
	}
}

// finish computes what a checkpoint does not contain: the tied head, the packed weights, the angles.
func (m *Model) finish() {
	m.tie()
	for i := range m.Layers {
		for j, l := range m.Layers[i].Linears() {
			l.N, l.K = m.Shapes()[j][0], m.Shapes()[j][1]
		}
	}
	if m.Wrapped.Head != nil {
		m.Head = m.Device.Wrap(m.Wrapped.Head)
	} else {
		m.Head = m.Device.Pack(m.Device.Put(m.HeadW), m.VocabSize, m.HiddenSize)
	}
	if m.Cos == nil {
		m.Cos, m.Sin = angles(&m.Config)
	}
	m.place(nil)
	m.pack(nil)
}

// tie makes a tied head.
func (m *Model) tie() {
	if m.TieEmbeddings {
		m.HeadW, m.Wrapped.Head = m.Embed, m.Wrapped.Embed
	}
}

// pack makes the matrices that inference multiplies with. A base in float32 is packed with its adapter
// merged in; a wrapped base stays as it is, and its adapter stays unmerged. If like is not nil, it is
// a model with the same base: matrices that neither adapter changes are shared with it.
func (m *Model) pack(like *Model) {
	defer m.connect()
	var effective []float32
	for i := range m.Layers {
		linears := m.Layers[i].Linears()
		for j, l := range linears {
			lora := m.Adapter.at(i, Module(j))
			l.Unmerged = nil
			if l.Wrapped != nil {
				if l.Unmerged = lora; like == nil {
					l.M = m.Device.Wrap(l.Wrapped)
				}
				continue
			}
			if like != nil && lora == nil && like.Adapter.at(i, Module(j)) == nil {
				l.M = like.Layers[i].Linears()[j].M
				continue
			}
			if lora == nil {
				l.M = m.Device.Pack(m.Device.Put(l.W), l.N, l.K)
				continue
			}
			effective = append(effective[:0], l.W...)
			m.Adapter.addTo(effective, lora, m.Device)
			l.M = m.Device.Pack(m.Device.Put(effective), l.N, l.K)
		}
	}
}

// EmbedWeight is the embedding (V, C), wrapped or in float32.
func (m *Model) EmbedWeight() kernel.Weight {
	if m.Wrapped.Embed != nil {
		return m.Wrapped.Embed
	}
	return &kernel.Dense{N: m.VocabSize, K: m.HiddenSize, Data: m.Embed}
}

// HeadWeight is the head (V, C), wrapped or in float32.
func (m *Model) HeadWeight() kernel.Weight {
	if m.Wrapped.Head != nil {
		return m.Wrapped.Head
	}
	return &kernel.Dense{N: m.VocabSize, K: m.HiddenSize, Data: m.HeadW}
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
