package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
)

// baseRows is how many rows of every matrix go into BaseDigest. Any training changes some of them, and
// a mapped base of many gigabytes need not be read as a whole.
const baseRows = 8

// BaseDigest identifies the base weights: the SHA-256 of names, shapes and values in float32; of a
// matrix, of baseRows rows at equal distances. The same values give the same digest in every type. A
// base and its quantization to four bits have different digests. A model that was rounded to eight
// bits when it was opened has the digest of its file.
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

// add must get the tensors in the order of Model.tensors.
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

// Fingerprint identifies everything that decides a model's answers: base, form of the weights,
// adapter, and the device that computes. Models with the same fingerprint give the same bits.
func (m *Model) Fingerprint() string {
	sum := newBaseSum()
	maps := &m.Layers[0].Q
	fmt.Fprintf(sum, "%s %T %t %T %t %s\n", m.BaseDigest(), m.HeadWeight(), m.Wrapped.Head != nil, maps.Weight(),
		maps.Wrapped != nil, m.Device.Name())
	fmt.Fprintln(sum, m.RopeTheta, m.RopeScaling, m.RMSNormEps)
	if s := m.Multipliers; s != nil {
		fmt.Fprintln(sum, *s)
	}
	if m.NoRope != nil {
		fmt.Fprintln(sum, m.NoRope)
	}
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
