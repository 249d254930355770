package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

// Checkpoint is what a file holds, in the terms of a Hugging Face folder.
type Checkpoint struct {
	Config  model.Config // without DType, which depends on how the weights are written
	Weights []Weight     // all tensors of model.Config.Tensors, in its order
}

// Weight is a tensor of the checkpoint.
type Weight struct {
	Name  string // as in Hugging Face's files
	Shape []int  // the same
	Type  Type   // in the file

	file  *File
	t     *Tensor
	heads int // the rows of so many heads are in llama.cpp's order; 0: none
}

// Checkpoint finds the model in the file. A tensor that is missing, that has another shape, that is in a
// type which is not supported, or that the model would not use is an error, and so is a setting that the
// engine does not compute.
func (f *File) Checkpoint() (*Checkpoint, error) {
	byName := map[string]*Tensor{}
	for i := range f.Tensors {
		byName[f.Tensors[i].Name] = &f.Tensors[i]
	}
	cfg, err := f.config(byName["output.weight"] == nil)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Config: cfg}
	for _, want := range cfg.Tensors() {
		name := toGGUF(want.Name)
		t := byName[name]
		if t == nil {
			return nil, fmt.Errorf("gguf: tensor %q is missing: the file holds no whole %s model", name, cfg.Family)
		}
		if !slices.Equal(t.Shape, want.Shape) {
			return nil, fmt.Errorf("gguf: tensor %q has shape %v, the keys ask for %v", name, t.Shape, want.Shape)
		}
		if !t.Type.supported() {
			return nil, notSupported(t)
		}
		w := Weight{Name: want.Name, Shape: want.Shape, Type: t.Type, file: f, t: t}
		if rotatesNeighbours(cfg.Family) {
			switch {
			case strings.HasSuffix(name, ".attn_q.weight"):
				w.heads = cfg.NumHeads
			case strings.HasSuffix(name, ".attn_k.weight"):
				w.heads = cfg.NumKVHeads
			}
		}
		c.Weights = append(c.Weights, w)
		delete(byName, name)
	}
	if t := byName[ropeFactors]; t != nil {
		if c.Config.RopeScaling, err = f.llama3(t, cfg); err != nil {
			return nil, fmt.Errorf("gguf: tensor %q: %w", ropeFactors, err)
		}
		delete(byName, ropeFactors)
	}
	for i := range f.Tensors {
		if t := &f.Tensors[i]; byName[t.Name] != nil {
			return nil, fmt.Errorf("gguf: tensor %q is not part of a %s model as the engine computes it: "+
				"it would be ignored", t.Name, cfg.Family)
		}
	}
	return c, nil
}

// ropeFactors are the divisors of the rotary frequencies (D/2).
const ropeFactors = "rope_freqs.weight"

// partNames are llama.cpp's names of the parts of a layer, by Hugging Face's.
var partNames = map[string]string{
	"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
	"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
	"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
	"self_attn.o_proj": "attn_output",
	"mlp.gate_proj":    "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}

// toGGUF is llama.cpp's name of a tensor that Hugging Face calls name.
func toGGUF(name string) string {
	switch name {
	case "model.embed_tokens.weight":
		return "token_embd.weight"
	case "model.norm.weight":
		return "output_norm.weight"
	case "lm_head.weight":
		return "output.weight"
	}
	layer, part, _ := strings.Cut(strings.TrimPrefix(name, "model.layers."), ".")
	at := strings.LastIndex(part, ".") // before weight or bias
	return "blk." + layer + "." + partNames[part[:at]] + part[at:]
}

// Dtype is the type that the weight is written in if quantized ones are written in the given type: F32,
// F16 and BF16 stay what they are.
func (w *Weight) Dtype(quantized safetensors.Dtype) safetensors.Dtype {
	switch w.Type {
	case F32:
		return safetensors.F32
	case F16:
		return safetensors.F16
	case BF16:
		return safetensors.BF16
	}
	return quantized
}

// Values is the number of values.
func (w *Weight) Values() int { return w.t.Values() }

// Bytes is the size of what Stream writes.
func (w *Weight) Bytes(quantized safetensors.Dtype) int64 {
	if w.Dtype(quantized) == safetensors.F32 {
		return 4 * int64(w.Values())
	}
	return 2 * int64(w.Values())
}

// streamBytes bounds the rows that Stream reads at once, unless one row is longer.
const streamBytes = 1 << 20

// Stream writes the values, row by row in Hugging Face's order, in Dtype(quantized): F32 is exact, BF16 is
// rounded to nearest, ties to even. A value that is not finite is an error.
func (w *Weight) Stream(out io.Writer, quantized safetensors.Dtype) error {
	k := w.Shape[len(w.Shape)-1]
	rows := 1
	if len(w.Shape) == 2 {
		rows = w.Shape[0]
	}
	s := stream{w: w, out: out, wide: quantized == safetensors.F32}
	step := max(1, streamBytes/(4*k))
	if w.heads > 0 {
		step = 1 // the next row is elsewhere
	}
	for from := 0; from < rows; from += step {
		at := from
		if w.heads > 0 {
			at = halves(from, rows/w.heads)
		}
		if err := s.rows(at, min(at+step, rows), k); err != nil {
			return err
		}
	}
	return nil
}

// halves is the row in the file of row r of the weight. Hugging Face rotates row i of a head of d rows
// with row i + d/2; llama.cpp rotates neighbours, and its files have those rows side by side.
func halves(r, d int) int { return r/d*d + r%d%(d/2)*2 + r%d/(d/2) }

// stream has the buffers of Stream.
type stream struct {
	w      *Weight
	out    io.Writer
	wide   bool // write quantized values in float32, not in bf16
	raw    []byte
	values []float32
	text   []byte
}

func (s *stream) rows(from, to, k int) (err error) {
	t := s.w.t
	if s.raw, err = s.w.file.raw(t, s.raw, from, to); err != nil {
		return err
	}
	n := (to - from) * k
	s.values = slices.Grow(s.values[:0], n)[:n]
	widen(s.values, s.raw, t.Type)
	for i, v := range s.values {
		if v-v != 0 { // NaN and both infinities
			return fmt.Errorf("gguf: tensor %q: row %d, value %d is %v: the weights are broken, take another file",
				t.Name, from+i/k, i%k, v)
		}
	}
	if !t.Type.Quantized() {
		_, err = s.out.Write(s.raw)
		return err
	}
	s.text = s.text[:0]
	for _, v := range s.values {
		if s.wide {
			s.text = binary.LittleEndian.AppendUint32(s.text, math.Float32bits(v))
		} else {
			s.text = binary.LittleEndian.AppendUint16(s.text, kernel.ToBF16(v))
		}
	}
	_, err = s.out.Write(s.text)
	return err
}
