package model

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"
)

// Placed are the weights on the device, as inference computes with them. On a CPU they share the memory of the
// model's slices.
type Placed struct {
	Embed    kernel.Floats // (V, C); none if Table is set
	Table    kernel.Matrix // the wrapped embedding
	Layers   []layer.Layer
	Norm     kernel.Floats // (C)
	Cos, Sin kernel.Floats // (MaxPositions, D/2)
}

// place puts on the device what no adapter changes. like, unless it is nil, has it already.
func (m *Model) place(like *Model) {
	dev := m.Device
	if like != nil {
		on := *like.On
		on.Layers = append([]layer.Layer(nil), on.Layers...)
		m.On = &on
		return
	}
	on := &Placed{Norm: dev.Put(m.Norm), Cos: dev.Put(m.Cos), Sin: dev.Put(m.Sin)}
	switch {
	case m.Wrapped.Embed == nil:
		on.Embed = dev.Put(m.Embed)
	case m.TieEmbeddings:
		on.Table = m.Head
	default:
		on.Table = dev.Wrap(m.Wrapped.Embed)
	}
	on.Layers = make([]layer.Layer, len(m.Layers))
	for i := range m.Layers {
		l := &m.Layers[i]
		p := &on.Layers[i]
		p.InputNorm, p.PostNorm, p.NoRope = dev.Put(l.InputNorm), dev.Put(l.PostNorm), !m.Rotates(i)
		if l.QNorm != nil {
			p.QNorm, p.KNorm = dev.Put(l.QNorm), dev.Put(l.KNorm)
		}
		for j, linear := range l.Linears() {
			to := p.Linears()[j]
			if to.N, to.K = linear.N, linear.K; linear.Bias != nil {
				to.Bias = dev.Put(linear.Bias)
			}
		}
	}
	m.On = on
}

// connect gives the layers on the device the matrices and the unmerged adapter.
func (m *Model) connect() {
	for i := range m.Layers {
		linears := m.Layers[i].Linears()
		for j, to := range m.On.Layers[i].Linears() {
			l := linears[j]
			to.M, to.A, to.B = l.M, kernel.Floats{}, kernel.Floats{}
			if lora := l.Unmerged; lora != nil {
				to.A, to.B = m.Device.Put(lora.A), m.Device.Put(lora.B)
				to.Rank, to.Scale = len(lora.A)/l.K, float32(m.Adapter.Scale())
			}
		}
	}
}

// Lookup copies the embedding's rows of ids to y (len(ids), C) on the device.
func (p *Placed) Lookup(dev kernel.Device, y kernel.Floats, ids kernel.Ints, c int) {
	if p.Table != nil {
		dev.Embed(y, p.Table, ids)
	} else {
		dev.GatherRows(y, p.Embed, ids, c)
	}
}
