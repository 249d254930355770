package nf4

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy/model/safetensors"
)

// A quantised weight "x.weight" lies in a file as bitsandbytes writes it: the codes
// under its own name, and these beside it.
const (
	scalesName = ".absmax"
	bookName   = ".quant_map"
	maxName    = ".nested_absmax"
	tableName  = ".nested_quant_map"
	stateName  = ".quant_state.bitsandbytes__nf4"
)

// Companions are the names of the tensors beside a quantised one.
func Companions(name string) []string {
	return []string{name + scalesName, name + bookName, name + maxName, name + tableName, name + stateName}
}

// state is the JSON beside the codes.
type state struct {
	Type        string   `json:"quant_type"`
	Block       int      `json:"blocksize"`
	Dtype       string   `json:"dtype"`
	Shape       []int    `json:"shape"`
	NestedBlock int      `json:"nested_blocksize,omitempty"`
	NestedDtype string   `json:"nested_dtype,omitempty"`
	Offset      *float64 `json:"nested_offset,omitempty"`
}

// stateBytes is the length that the JSON is filled to with spaces: a file's header is
// written before its offset is known.
const stateBytes = 256

// Files finds the file that holds a tensor, nil if none does: a checkpoint may be cut
// into files between any two tensors.
type Files func(tensor string) *safetensors.File

// Has tells whether the tensor is there in four bits: anything beside it says so, for
// then Read names what is missing.
func (f Files) Has(name string) bool {
	return slices.ContainsFunc(Companions(name), func(c string) bool { return f(c) != nil })
}

// Read takes a weight (n, k) from its files, where the codes stay.
func (f Files) Read(name string, n, k int) (*Weight, error) {
	fail := func(format string, args ...any) (*Weight, error) {
		return nil, fmt.Errorf("tensor %q: %w", name, fmt.Errorf(format, args...))
	}
	part := map[string]*safetensors.File{}
	for _, suffix := range []string{"", stateName, scalesName, bookName} {
		if part[suffix] = f(name + suffix); part[suffix] == nil {
			return fail("%s%s is missing: copy the checkpoint again, or quantise the original", name, suffix)
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
		return fail("quant_type %q: only nf4 is supported: quantise the original again", s.Type)
	case s.Block != block:
		return fail("blocksize %d: only %d is supported: quantise the original again", s.Block, block)
	case !slices.Equal(s.Shape, []int{n, k}):
		return fail("shape %v, config.json asks for [%d %d]", s.Shape, n, k)
	case s.Dtype != "bfloat16" && s.Dtype != "float16" && s.Dtype != "float32":
		return fail("dtype %q is none of bfloat16, float16, float32", s.Dtype)
	}
	w := &Weight{n: n, k: k, dtype: s.Dtype, owner: part}
	if w.codes, err = part[""].Bytes(name, safetensors.U8, (n*k+1)/2, 1); err != nil {
		return nil, err
	}
	book, err := part[bookName].Float32(name+bookName, len(Codebook))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(book, Codebook[:]) {
		return fail("%s holds another code than nf4", bookName)
	}
	blocks := (n*k + block - 1) / block
	if s.Offset == nil { // no double quantisation
		if w.max, err = part[scalesName].Float32(name+scalesName, blocks); err != nil {
			return nil, err
		}
		return w, w.finite(name)
	}
	for _, suffix := range []string{maxName, tableName} {
		if part[suffix] = f(name + suffix); part[suffix] == nil {
			return fail("%s%s is missing: copy the checkpoint again, or quantise the original", name, suffix)
		}
	}
	if s.NestedBlock != nested || s.NestedDtype != "float32" {
		return fail("nested_blocksize %d, nested_dtype %q: only %d and float32 are supported", s.NestedBlock, s.NestedDtype, nested)
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

// finite refuses scales that are no numbers, or that float16 cannot hold.
func (w *Weight) finite(name string) error {
	limit := float32(math.MaxFloat32)
	if w.dtype == "float16" {
		limit = 65504
	}
	for b := range (w.n*w.k + block - 1) / block {
		if s := w.scale(b); !(s >= -limit && s <= limit) {
			return fmt.Errorf("tensor %q: the scale of block %d is %v: the weights are broken, take another checkpoint", name, b, s)
		}
	}
	return nil
}

// Tensors are what a file holds for the weight (n, k) called name. make is asked for
// it when the first of them is written.
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
	// In the order of their names, in which a file has them: the state is the last.
	return []safetensors.Tensor{
		part("", safetensors.U8, func() []byte { return w.codes }, (n*k+1)/2, 1),
		part(scalesName, safetensors.U8, func() []byte { return w.scales }, blocks),
		part(maxName, safetensors.F32, func() []byte { return floats(w.max) }, (blocks+nested-1)/nested),
		part(tableName, safetensors.F32, func() []byte { return floats(dynamic[:]) }, len(dynamic)),
		part(bookName, safetensors.F32, func() []byte { return floats(Codebook[:]) }, len(Codebook)),
		part(stateName, safetensors.U8, func() []byte {
			text := w.state()
			w = nil // written: the next one needs the memory
			return text
		}, stateBytes),
	}
}

func (w *Weight) state() []byte {
	offset := float64(w.offset)
	text, err := json.Marshal(state{Type: "nf4", Block: block, Dtype: w.dtype, Shape: []int{w.n, w.k}, NestedBlock: nested, NestedDtype: "float32", Offset: &offset})
	if err != nil || len(text) > stateBytes {
		panic(fmt.Sprintf("nf4: state %q: %v", text, err)) // numbers and short words: neither happens
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
