package nf4

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy/model/safetensors"
)

// A quantized weight "x.weight" is in a file as bitsandbytes writes it: the codes have its own name, and
// the other parts have the name plus these suffixes.
const (
	scalesName = ".absmax"
	bookName   = ".quant_map"
	maxName    = ".nested_absmax"
	tableName  = ".nested_quant_map"
	stateName  = ".quant_state.bitsandbytes__nf4"
)

// Companions are the names of the other tensors of a quantized weight.
func Companions(name string) []string {
	return []string{name + scalesName, name + bookName, name + maxName, name + tableName, name + stateName}
}

// state is the JSON in the tensor with the suffix stateName.
type state struct {
	Type        string   `json:"quant_type"`
	Block       int      `json:"blocksize"`
	Dtype       string   `json:"dtype"`
	Shape       []int    `json:"shape"`
	NestedBlock int      `json:"nested_blocksize,omitempty"`
	NestedDtype string   `json:"nested_dtype,omitempty"`
	Offset      *float64 `json:"nested_offset,omitempty"`
}

// stateBytes is the length of the JSON, filled with spaces. It is fixed because a file's header, with
// the length, is written before the offset in the JSON is known.
const stateBytes = 256

// Files returns the file that contains a tensor, or nil. A checkpoint's files may divide its tensors in
// any way.
type Files func(tensor string) *safetensors.File

// Has tells whether the tensor is in four bits. Any one of its companions is enough: Read names the
// missing ones.
func (f Files) Has(name string) bool {
	return slices.ContainsFunc(Companions(name), func(c string) bool { return f(c) != nil })
}

// Read reads a weight (n, k) from its files. The codes are not copied.
func (f Files) Read(name string, n, k int) (*Weight, error) {
	fail := func(format string, args ...any) (*Weight, error) {
		return nil, fmt.Errorf("tensor %q: %w", name, fmt.Errorf(format, args...))
	}
	part := map[string]*safetensors.File{}
	for _, suffix := range []string{"", stateName, scalesName, bookName} {
		if part[suffix] = f(name + suffix); part[suffix] == nil {
			return fail("%s%s is missing: copy the checkpoint again, or quantize the original", name, suffix)
		}
	}
	shape, _ := part[stateName].Shape(name + stateName)
	text, err := part[stateName].Bytes(name+stateName, safetensors.U8, shape...)
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return fail("%s: %w", stateName, err)
	}
	switch {
	case s.Type != "nf4":
		return fail("quant_type %q: only nf4 is supported: quantize the original again", s.Type)
	case s.Block != block:
		return fail("blocksize %d: only %d is supported: quantize the original again", s.Block, block)
	case !slices.Equal(s.Shape, []int{n, k}):
		return fail("shape %v, config.json asks for [%d %d]", s.Shape, n, k)
	case s.Dtype != "bfloat16" && s.Dtype != "float16" && s.Dtype != "float32":
		return fail("dtype %q is none of bfloat16, float16, float32", s.Dtype)
	}
	w := &Weight{n: n, k: k, dtype: s.Dtype, owner: part}
	if w.codes, err = part[""].Bytes(name, safetensors.U8, (n*k+1)/2, 1); err != nil {
		return nil, err
	}
	codebook, err := part[bookName].Float32(name+bookName, len(Codebook))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(codebook, Codebook[:]) {
		return fail("%s has another codebook than nf4", bookName)
	}
	blocks := (n*k + block - 1) / block
	if s.Offset == nil { // no double quantization
		if w.max, err = part[scalesName].Float32(name+scalesName, blocks); err != nil {
			return nil, err
		}
		return w, w.finite(name)
	}
	for _, suffix := range []string{maxName, tableName} {
		if part[suffix] = f(name + suffix); part[suffix] == nil {
			return fail("%s%s is missing: copy the checkpoint again, or quantize the original", name, suffix)
		}
	}
	if s.NestedBlock != nested || s.NestedDtype != "float32" {
		return fail("nested_blocksize %d, nested_dtype %q: only %d and float32 are supported", s.NestedBlock,
			s.NestedDtype, nested)
	}
	if w.offset = float32(*s.Offset); w.offset-w.offset != 0 {
		return fail("nested_offset %v is not finite", *s.Offset)
	}
	if w.scales, err = part[scalesName].Bytes(name+scalesName, safetensors.U8, blocks); err != nil {
		return nil, err
	}
	if w.max, err = part[maxName].Float32(name+maxName, (blocks+nested-1)/nested); err != nil {
		return nil, err
	}
	if w.table, err = part[tableName].Float32(name+tableName, 256); err != nil {
		return nil, err
	}
	return w, w.finite(name)
}

// finite returns an error for a scale that is not a number, or too large for float16.
func (w *Weight) finite(name string) error {
	limit := float32(math.MaxFloat32)
	if w.dtype == "float16" {
		limit = 65504
	}
	for b := range (w.n*w.k + block - 1) / block {
		if s := w.scale(b); !(s >= -limit && s <= limit) {
			return fmt.Errorf("tensor %q: the scale of block %d is %v: the weights are broken, take another checkpoint",
				name, b, s)
		}
	}
	return nil
}

// Tensors are the tensors of a file for the weight (n, k) with this name. make is called when the first
// of them is written.
func Tensors(name string, n, k int, dtype string, make func() (*Weight, error)) []safetensors.Tensor {
	blocks := (n*k + block - 1) / block
	var w *Weight
	part := func(suffix string, dtype safetensors.Dtype, bytes func() []byte, shape ...int) safetensors.Tensor {
		return safetensors.Tensor{Name: name + suffix, Shape: shape, Dtype: dtype, MakeBytes: func() ([]byte, error) {
			if w == nil {
				var err error
				if w, err = make(); err != nil {
					return nil, err
				}
			}
			return bytes(), nil
		}}
	}
	// In the order of their names, in which Write writes them: the state is the last.
	return []safetensors.Tensor{
		part("", safetensors.U8, func() []byte { return w.codes }, (n*k+1)/2, 1),
		part(scalesName, safetensors.U8, func() []byte { return w.scales }, blocks),
		part(maxName, safetensors.F32, func() []byte { return floats(w.max) }, (blocks+nested-1)/nested),
		part(tableName, safetensors.F32, func() []byte { return floats(dynamic[:]) }, len(dynamic)),
		part(bookName, safetensors.F32, func() []byte { return floats(Codebook[:]) }, len(Codebook)),
		part(stateName, safetensors.U8, func() []byte {
			text := w.state()
			w = nil // all is written: free the memory for the next weight
			return text
		}, stateBytes),
	}
}

func (w *Weight) state() []byte {
	offset := float64(w.offset)
	text, err := json.Marshal(state{Type: "nf4", Block: block, Dtype: w.dtype, Shape: []int{w.n, w.k},
		NestedBlock: nested, NestedDtype: "float32", Offset: &offset})
	if err != nil || len(text) > stateBytes {
		panic(fmt.Sprintf("nf4: state %q: %v", text, err)) // impossible with numbers and short words
	}
	for len(text) < stateBytes {
		text = append(text, ' ')
	}
	return text
}

func floats(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
