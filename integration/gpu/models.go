package main

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
)

// folder is a model of random weights on disk, in bf16 or with its linear maps in four bits; it is made once.
func (b *bench) folder(s shape, q quantization) (string, error) {
	dir := filepath.Join(b.dir, s.name+" "+q.name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	from := ""
	if q == nf4 {
		var err error
		if from, err = b.folder(s, bf16); err != nil {
			return "", err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	if from == "" {
		return dir, random(s.complete(), create)
	}
	host, err := kernelOfHost()
	if err != nil {
		return "", err
	}
	m, err := model.OpenAs(os.DirFS(from), host, model.Mapped)
	if err != nil {
		return "", err
	}
	return dir, m.SaveNF4(create)
}

// complete has what all shapes share.
func (s shape) complete() model.Config {
	c := s.config
	c.MaxPositions, c.RMSNormEps, c.DType, c.EOS = 4096, 1e-5, "bfloat16", []int32{0}
	return c
}

// random writes a model whose values come from one table of normal numbers: drawing billions would take minutes.
func random(c model.Config, create func(string) (io.WriteCloser, error)) error {
	if err := c.Save(create); err != nil {
		return err
	}
	const entries = 65_537 // a prime: rows begin at different places of it
	r := rand.New(rand.NewPCG(1, 2))
	var table, ones []byte
	for range entries {
		table = binary.LittleEndian.AppendUint16(table, kernel.ToBF16(float32(r.NormFloat64()*0.02)))
		ones = binary.LittleEndian.AppendUint16(ones, kernel.ToBF16(1))
	}
	var all []safetensors.Tensor
	for _, t := range c.Tensors() {
		n, from := 2, table
		for _, d := range t.Shape {
			n *= d
		}
		if len(t.Shape) == 1 { // a norm; a bias of ones does no harm
			from = ones
		}
		all = append(all, safetensors.Tensor{Name: t.Name, Shape: t.Shape, Dtype: safetensors.BF16,
			Stream: func(w io.Writer) error {
				for left := n; left > 0; left -= len(from) {
					if _, err := w.Write(from[:min(left, len(from))]); err != nil {
						return err
					}
				}
				return nil
			}})
	}
	f, err := create("model.safetensors")
	if err != nil {
		return err
	}
	return errors.Join(safetensors.Write(f, all, safetensors.BF16, map[string]string{"format": "pt"}), f.Close())
}

// model opens weights on the device; that of the last call is kept, and others are forgotten.
func (b *bench) model(s shape, q quantization) (*policy.Policy, error) {
	if b.opened != nil && b.key == s.name+q.name {
		return b.opened, nil
	}
	dir, err := b.folder(s, q)
	if err != nil {
		return nil, err
	}
	b.opened = nil
	m, err := model.OpenAs(os.DirFS(dir), b.dev, model.Mapped)
	if err != nil {
		return nil, err
	}
	// Its tokenizer and template serve: nothing is rendered.
	tiny, err := policy.Open(policytest.Tiny(1), policy.Options{Device: b.dev, SessionTokens: 1 << 17})
	if err != nil {
		return nil, err
	}
	b.opened, b.key = tiny.With(m), s.name+q.name
	return b.opened, nil
}
