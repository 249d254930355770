package model

import (
	"fmt"
	"io/fs"

	"itool/stages/policy/kernel"
)

// Need is the memory that a folder's weights take on a device with memory of its own, without putting them there; none
// for another device.
func Need(fsys fs.FS, dev kernel.Device, form Form) (kernel.Need, Config, error) {
	m, err := load(fsys, dev, form)
	if err != nil {
		return nil, Config{}, fmt.Errorf("model: %w", err)
	}
	return m.need(), m.Config, nil
}

// need is what finish will put on the device.
func (m *Model) need() kernel.Need {
	dev, ok := m.Device.(kernel.Limited)
	if !ok {
		return nil
	}
	weights := 4 * 2 * int64(m.MaxPositions) * int64(m.HeadDim/2) // the angles
	for _, t := range m.tensors() {
		switch {
		case t.wrapped == nil:
			weights += 4 * int64(size(t.shape))
		case t.name == embedName:
			weights += m.embedBytes(dev, t.weight())
		default:
			weights += dev.WeightBytes(t.weight(), false)
		}
	}
	return kernel.Need{{For: "weights", Bytes: weights}, {For: "adapter", Bytes: m.adapterBytes()}}
}

// embedBytes is what the embedding takes: rows, and the head if it is tied. A mapped one that is not tied is wrapped
// for its rows alone.
func (m *Model) embedBytes(dev kernel.Limited, w kernel.Weight) int64 {
	if m.Wrapped.Embed != nil {
		return dev.WeightBytes(w, true)
	}
	rows := 4 * int64(m.VocabSize) * int64(m.HiddenSize)
	if m.TieEmbeddings {
		rows += dev.WeightBytes(w, false)
	}
	return rows
}

// adapterBytes is what an unmerged adapter takes.
func (m *Model) adapterBytes() (sum int64) {
	for i := range m.Layers {
		for j, l := range m.Layers[i].Linears() {
			if lora := m.Adapter.at(i, Module(j)); lora != nil && l.Wrapped != nil {
				sum += 4 * int64(len(lora.A)+len(lora.B))
			}
		}
	}
	return sum
}
