package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
)

// baseRows of every matrix stand for it in BaseDigest: any training changes some, and
// a mapped base of many gigabytes stays unread.
const baseRows = 8

// BaseDigest tells bases apart: the SHA-256 of names, shapes, and values in float32,
// of matrices baseRows rows spread evenly. The same values give the same digest, in
// whichever type they are stored; a base and its four bits differ. What was rounded
// to eight bits when it was opened has the digest of its file.
func (m *Model) BaseDigest() string {
	if m.opened != "" {
		return m.opened
	}
	sum := newBaseSum()
	for _, t := range m.tensors() {
		sum.add(t)
	}
	return sum.String()
}

type baseSum struct{ hash.Hash }

func newBaseSum() baseSum { return baseSum{sha256.New()} }

// add takes the tensors in the order of Model.tensors.
func (s baseSum) add(t tensor) {
	fmt.Fprintln(s, t.name, t.shape)
	if t.wrapped == nil {
		s.floats(*t.data)
		return
	}
	w := t.weight()
	n, k := w.Shape()
	row := make([]float32, k)
	for i := range min(n, baseRows) {
		r := i * n / min(n, baseRows)
		w.Rows(row, r, r+1)
		s.floats(row)
	}
}

// Fingerprint tells models apart by what they answer: base, the form that it is kept in,
// adapter, and the device that computes.
func (m *Model) Fingerprint() string {
	sum := newBaseSum()
	maps := &m.Layers[0].Q
	fmt.Fprintf(sum, "%s %T %t %T %t %s\n", m.BaseDigest(), m.HeadWeight(), m.Wrapped.Head != nil, maps.Weight(), maps.Wrapped != nil, m.Device.Name())
	if a := m.Adapter; a != nil {
		fmt.Fprintln(sum, a.Rank, a.Scale())
		for _, l := range a.Layers {
			for _, lora := range l {
				if lora != nil {
					sum.floats(lora.A)
					sum.floats(lora.B)
				}
			}
		}
	}
	return sum.String()
}

func (s baseSum) floats(values []float32) {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	s.Write(raw)
}

func (s baseSum) String() string { return hex.EncodeToString(s.Sum(nil)) }
