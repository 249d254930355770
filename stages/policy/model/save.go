package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/nf4"
	"itool/stages/policy/model/safetensors"
)

// Create creates a file of a checkpoint. Close must make it complete.
type Create func(name string) (io.WriteCloser, error)

// names are what config.json calls the types of weights.
var names = map[safetensors.Dtype]string{safetensors.F32: "float32", safetensors.BF16: "bfloat16",
	safetensors.F16: "float16"}

// Dtype is the type of a checkpoint's weights for a Config.DType: float32 unless name is one of the
// types of 16 bits.
func Dtype(name string) safetensors.Dtype {
	for dtype, n := range names {
		if n == name {
			return dtype
		}
	}
	return safetensors.F32
}

// TypeName is what config.json calls a type of weights: float32, bfloat16 or float16.
func TypeName(dtype safetensors.Dtype) string { return names[dtype] }

// CheckpointType is the name of the type of a checkpoint's weights: float32, bfloat16 or float16.
func (c Config) CheckpointType() string { return names[Dtype(c.DType)] }

// Save writes config.json.
func (c Config) Save(create Create) error { return writeJSON(create, "config.json", c.file()) }

// Save writes config.json and model.safetensors with the base weights in dtype. It does not write the
// adapter: save that too, or save Merged. A tied head is written once.
func (m *Model) Save(create func(name string) (io.WriteCloser, error), dtype safetensors.Dtype) error {
	cfg := m.Config
	cfg.NF4 = false
	cfg.DType = names[dtype]
	if err := cfg.Save(create); err != nil {
		return err
	}
	var ts []safetensors.Tensor
	for _, t := range m.tensors() {
		out := safetensors.Tensor{Name: t.name, Shape: t.shape, Data: *t.data}
		if t.wrapped != nil && *t.wrapped != nil {
			out.Make = t.values // one at a time in float32
		}
		ts = append(ts, out)
	}
	return writeTensors(create, weightsName, ts, dtype, map[string]string{"format": "pt"}) // transformers asks for it
}

// SaveNF4 writes config.json and model.safetensors with the linear maps of the layers in four bits and
// all other tensors in the checkpoint's type. It writes one map at a time, so a mapped model is never
// in memory as a whole.
func (m *Model) SaveNF4(create func(name string) (io.WriteCloser, error)) error {
	cfg := m.Config
	cfg.NF4 = true
	rest := Dtype(cfg.DType)
	cfg.DType = cfg.CheckpointType()
	if err := cfg.Save(create); err != nil {
		return err
	}
	var ts []safetensors.Tensor
	for _, t := range m.tensors() {
		if !t.linear {
			ts = append(ts, safetensors.Tensor{Name: t.name, Shape: t.shape, Make: func() []float32 {
				defer t.release()
				return t.values()
			}})
			continue
		}
		ts = append(ts, nf4.Tensors(t.name, t.shape[0], t.shape[1], cfg.DType, func() (*nf4.Weight, error) {
			defer t.release()
			return nf4.Quantize(t.weight(), cfg.DType)
		})...)
	}
	return writeTensors(create, weightsName, ts, rest, map[string]string{"format": "pt"})
}

// release lets the operating system reclaim the memory of a mapped tensor until it is read again.
func (t tensor) release() {
	if t.wrapped == nil {
		return
	}
	var owner any
	switch w := (*t.wrapped).(type) {
	case *kernel.BF16:
		owner = w.Owner
	case *kernel.F16:
		owner = w.Owner
	case *kernel.Dense:
		owner = w.Owner
	}
	if f, ok := owner.(*safetensors.File); ok {
		f.Release(t.name)
	}
}

// Save writes adapter_config.json and adapter_model.safetensors in float32, in the format of PEFT.
func (a *Adapter) Save(create func(name string) (io.WriteCloser, error)) error {
	targets, err := json.Marshal(a.Targets())
	if err != nil {
		return err
	}
	err = writeJSON(create, adapterConfigName, adapterFile{
		PeftType: "LORA", TaskType: "CAUSAL_LM", Rank: a.Rank, Alpha: a.Alpha,
		RankStable: a.RankStable, Targets: targets,
		Bias: "none", Init: true, Inference: true,
	})
	if err != nil {
		return err
	}
	var ts []safetensors.Tensor
	for i, l := range a.Layers {
		for j, lora := range l {
			if lora == nil {
				continue
			}
			nameA, nameB := loraNames(i, Module(j))
			ts = append(ts,
				safetensors.Tensor{Name: nameA, Shape: []int{a.Rank, len(lora.A) / a.Rank}, Data: lora.A},
				safetensors.Tensor{Name: nameB, Shape: []int{len(lora.B) / a.Rank, a.Rank}, Data: lora.B})
		}
	}
	metadata := map[string]string{"format": "pt"}
	if a.Base != "" {
		metadata[baseKey] = a.Base
	}
	return writeTensors(create, adapterWeightsName, ts, safetensors.F32, metadata)
}

// baseKey is the key in the metadata of an adapter's weights for the BaseDigest of its base.
const baseKey = "base_digest"

func writeTensors(create Create, name string, ts []safetensors.Tensor, dtype safetensors.Dtype,
	metadata map[string]string) error {
	return write(create, name, func(w io.Writer) error { return safetensors.Write(w, ts, dtype, metadata) })
}

func writeJSON(create Create, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return write(create, name, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// write always closes the file that it creates, and returns the errors of both.
func write(create Create, name string, fill func(io.Writer) error) error {
	w, err := create(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := errors.Join(fill(w), w.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
