// Package safetensors reads and writes the weight files of Hugging Face models: eight bytes of header
// length, a JSON header, then the tensors' bytes.
//
// A file is hostile input: every number in the header is checked against the size of the file before
// anything is allocated. The package knows no model; it returns tensors by name, in float32 or in the
// file's own type.
//
//	f, err := safetensors.Read(fsys, "model.safetensors")
//	w, err := f.Float32("model.norm.weight", 192)
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"runtime"
	"slices"
	"unsafe"

	"itool/stages/policy/kernel"
)

// maxHeaderBytes is the format's own limit.
const maxHeaderBytes = 100 << 20

// File is one weight file, in memory or mapped.
type File struct {
	Metadata map[string]string // free text of the writer; nil for none

	name    string
	data    []byte // the bytes behind the header
	mapped  bool
	tensors map[string]entry
}

type entry struct {
	Dtype   string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Offsets []uint64 `json:"data_offsets"` // begin, end within data
}

// Read opens a file and checks its header. A large local file is mapped, any other is read into
// memory. Errors name the file and, if possible, the tensor.
func Read(fsys fs.FS, name string) (*File, error) {
	raw, unmap, err := load(fsys, name)
	if err != nil {
		return nil, err
	}
	f, err := parse(raw)
	if err != nil {
		if unmap != nil {
			unmap(raw)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.name = name
	if unmap != nil {
		f.mapped = true
		runtime.AddCleanup(f, unmap, raw)
	}
	return f, nil
}

// Release lets the operating system reclaim the memory of a tensor of a mapped file until it is read
// again.
func (f *File) Release(tensor string) {
	if e, ok := f.tensors[tensor]; ok && f.mapped {
		release(f.data[e.Offsets[0]:e.Offsets[1]])
	}
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Shape returns a tensor's dimensions, and whether the file has it.
func (f *File) Shape(tensor string) ([]int, bool) {
	e, ok := f.tensors[tensor]
	if !ok {
		return nil, false
	}
	shape := make([]int, len(e.Shape))
	for i, n := range e.Shape {
		shape[i] = int(n)
	}
	return shape, true
}

// Dtype is the type of a tensor, or "" if the file does not have it.
func (f *File) Dtype(tensor string) Dtype { return Dtype(f.tensors[tensor].Dtype) }

// Mapped returns a matrix (n, k) in its own dtype, BF16, F16 or F32, without copying it: it stays in
// the file's memory. The errors are those of Float32.
func (f *File) Mapped(tensor string, n, k int) (kernel.Weight, error) {
	raw, dtype, err := f.tensor(tensor, n, k)
	if err != nil {
		return nil, err
	}
	var w kernel.Weight
	var bad int // the first element that is NaN or infinite: all bits of its exponent are set; or −1
	switch dtype {
	case BF16:
		w, bad = &kernel.BF16{N: n, K: k, Data: raw, Owner: f}, all(raw, 0x7f80)
	case F16:
		w, bad = &kernel.F16{N: n, K: k, Data: raw, Owner: f}, all(raw, 0x7c00)
	default:
		wide, ok := view(raw)
		// Float32 returns an error for another type, and copies values that are not aligned.
		if dtype != F32 || !ok {
			data, err := f.Float32(tensor, n, k)
			if err != nil {
				return nil, err
			}
			return &kernel.Dense{N: n, K: k, Data: data}, nil
		}
		w, bad = &kernel.Dense{N: n, K: k, Data: wide, Owner: f},
			slices.IndexFunc(wide, func(v float32) bool { return v-v != 0 })
	}
	if bad >= 0 {
		row := make([]float32, k)
		w.Rows(row, bad/k, bad/k+1)
		return nil, f.notFinite(tensor, bad, row[bad%k])
	}
	f.Release(tensor) // the check has read all of a tensor that may be larger than memory
	return w, nil
}

// all is the index of the first 16 bits of raw that have all bits of mask set, or −1.
func all(raw []byte, mask uint16) int {
	for i := 0; i < len(raw); i += 2 {
		if binary.LittleEndian.Uint16(raw[i:])&mask == mask {
			return i / 2
		}
	}
	return -1
}

// view returns raw as float32 values without copying it; ok is false if raw is not aligned, or if the
// machine is not little-endian.
func view(raw []byte) (values []float32, ok bool) {
	p := unsafe.SliceData(raw)
	if uintptr(unsafe.Pointer(p))%4 != 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, false
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), len(raw)/4), true
}

func (f *File) notFinite(tensor string, at int, v float32) error {
	return fmt.Errorf("%s: tensor %q: element %d is %v: the weights are broken, take another checkpoint",
		f.name, tensor, at, v)
}

// tensor returns the bytes and type of a tensor. Another shape is an error.
func (f *File) tensor(tensor string, shape ...int) ([]byte, Dtype, error) {
	e, ok := f.tensors[tensor]
	if !ok {
		return nil, "", fmt.Errorf("%s: tensor %q is missing: the file does not belong to this config.json",
			f.name, tensor)
	}
	if have, _ := f.Shape(tensor); !slices.Equal(have, shape) {
		return nil, "", fmt.Errorf("%s: tensor %q has shape %v, config.json asks for %v", f.name, tensor, have, shape)
	}
	return f.data[e.Offsets[0]:e.Offsets[1]], Dtype(e.Dtype), nil
}

// Bytes returns the bytes of a tensor without copying them: they are valid as long as f is reachable.
// Another dtype or shape is an error.
func (f *File) Bytes(tensor string, dtype Dtype, shape ...int) ([]byte, error) {
	raw, have, err := f.tensor(tensor, shape...)
	if err == nil && have != dtype {
		return nil, fmt.Errorf("%s: tensor %q: dtype %s, but %s is expected", f.name, tensor, have, dtype)
	}
	return raw, err
}

// Float32 returns a copy of a tensor in float32, from F32, F16 or BF16. Another dtype, another shape and
// a value that is not finite are errors.
func (f *File) Float32(tensor string, shape ...int) ([]float32, error) {
	raw, dtype, err := f.tensor(tensor, shape...)
	if err != nil {
		return nil, err
	}
	out, ok := decode(raw, string(dtype))
	if !ok {
		return nil, fmt.Errorf("%s: tensor %q: dtype %s is not supported: convert it to F32, F16 or BF16",
			f.name, tensor, dtype)
	}
	for i, v := range out {
		if v-v != 0 { // NaN and both infinities
			return nil, f.notFinite(tensor, i, v)
		}
	}
	return out, nil
}

func parse(raw []byte) (*File, error) {
	if len(raw) < 8 {
		return nil, fmt.Errorf("%d bytes are not a safetensors file: copy it again", len(raw))
	}
	n, body := binary.LittleEndian.Uint64(raw), raw[8:]
	if n > maxHeaderBytes {
		return nil, fmt.Errorf("header of %d bytes is over the limit of %d: not a safetensors file", n, maxHeaderBytes)
	}
	if n > uint64(len(body)) {
		return nil, fmt.Errorf("header of %d bytes, but only %d bytes follow: the file is cut short, copy it again",
			n, len(body))
	}
	f := &File{data: body[n:], tensors: map[string]entry{}}
	d := json.NewDecoder(bytes.NewReader(body[:n]))
	err := object(d, func(name string) error {
		if name == "__metadata__" {
			f.Metadata = map[string]string{}
			if err := metadata(d, f.Metadata); err != nil {
				return fmt.Errorf("__metadata__: %w", err)
			}
			return nil
		}
		e, err := parseEntry(d, uint64(len(f.data)))
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.tensors[name] = e
		return nil
	})
	if err == nil {
		err = ended(d)
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return f, f.tiled()
}

// object reads a JSON object key by key; value must read each key's value. encoding/json would accept a
// key twice and take its last value, and keys in any letter case. The format forbids both: another
// reader of the file could see another model.
func object(d *json.Decoder, value func(key string) error) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("%v where an object is expected", t)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key := t.(string) // an object has no other keys
		if seen[key] {
			return fmt.Errorf("%q is listed twice: the file has two meanings, take another", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// ended returns an error if anything but space follows the header's object.
func ended(d *json.Decoder) error {
	if t, err := d.Token(); err == nil {
		return fmt.Errorf("%v behind its end", t)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func metadata(d *json.Decoder, into map[string]string) error {
	return object(d, func(key string) error {
		var text string
		err := d.Decode(&text)
		into[key] = text
		return err
	})
}

// parseEntry reads and checks one tensor: its fields are known, and its bytes are shape × element size.
func parseEntry(d *json.Decoder, size uint64) (entry, error) {
	var e entry
	err := object(d, func(field string) error {
		switch field {
		case "dtype":
			return d.Decode(&e.Dtype)
		case "shape":
			return d.Decode(&e.Shape)
		case "data_offsets":
			return d.Decode(&e.Offsets)
		}
		return fmt.Errorf("unknown field %q", field)
	})
	if err != nil {
		return e, err
	}
	width, ok := widths[e.Dtype]
	if !ok {
		return e, fmt.Errorf("unknown dtype %q", e.Dtype)
	}
	if len(e.Offsets) != 2 || e.Offsets[0] > e.Offsets[1] {
		return e, fmt.Errorf("data_offsets %v are not a range", e.Offsets)
	}
	if e.Offsets[1] > size {
		return e, fmt.Errorf("data ends at byte %d, but the file has %d: it is cut short, copy it again",
			e.Offsets[1], size)
	}
	want := width
	for _, n := range e.Shape {
		if n != 0 && want > math.MaxInt64/n {
			return e, fmt.Errorf("shape %v overflows", e.Shape)
		}
		want *= n
	}
	if have := e.Offsets[1] - e.Offsets[0]; have != want {
		return e, fmt.Errorf("shape %v of %s needs %d bytes, data_offsets give %d", e.Shape, e.Dtype, want, have)
	}
	return e, nil
}

// tiled checks that the tensors cover the data without gap or overlap. The format forbids both: bytes
// with two meanings are a means of attack.
func (f *File) tiled() error {
	names := slices.SortedFunc(maps.Keys(f.tensors), func(a, b string) int {
		return slices.Compare(f.tensors[a].Offsets, f.tensors[b].Offsets)
	})
	var at uint64
	for _, name := range names {
		e := f.tensors[name]
		if e.Offsets[0] < at {
			return fmt.Errorf("tensor %q overlaps the one before it at byte %d", name, e.Offsets[0])
		}
		if e.Offsets[0] > at {
			return fmt.Errorf("tensor %q leaves a gap of %d bytes before it", name, e.Offsets[0]-at)
		}
		at = e.Offsets[1]
	}
	if at != uint64(len(f.data)) {
		return errors.New("bytes behind the last tensor: the header and the data do not belong together, " +
			"copy the file again")
	}
	return nil
}
