package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Tensor is a named tensor to write: float32 values, as many as Shape holds, that
// are stored in the file's dtype, or bytes that are stored as they are.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
	Make  func() []float32 // makes Data when it is written, so that not all are there at once; nil: Data is there
	Bytes []byte           // of Dtype; nil: Data
	Dtype Dtype            // of Bytes
}

// Dtype is how elements are stored.
type Dtype string

// The dtypes that Write knows.
const (
	F32  Dtype = "F32"
	BF16 Dtype = "BF16" // rounded to nearest, ties to even
	U8   Dtype = "U8"   // Bytes only
)

// Write stores the tensors, sorted by name, so that the same tensors give the same
// bytes. metadata may be nil.
func Write(w io.Writer, tensors []Tensor, dtype Dtype, metadata map[string]string) error {
	width, ok := widths[string(dtype)]
	if !ok || dtype != F32 && dtype != BF16 {
		return fmt.Errorf("safetensors: cannot write dtype %q", dtype)
	}
	tensors = slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	header := map[string]any{}
	if metadata != nil {
		header["__metadata__"] = metadata
	}
	var at uint64
	for _, t := range tensors {
		if _, twice := header[t.Name]; twice || t.Name == "__metadata__" {
			return fmt.Errorf("safetensors: tensor %q is named twice", t.Name)
		}
		shape, n := make([]uint64, len(t.Shape)), uint64(1)
		for i, d := range t.Shape {
			shape[i], n = uint64(d), n*uint64(d)
		}
		kind, width, have := dtype, width, uint64(len(t.Data))
		switch {
		case t.Bytes != nil:
			kind, width = t.Dtype, max(1, widths[string(t.Dtype)])
			have = uint64(len(t.Bytes)) / width
		case t.Make != nil:
			have = n
		}
		if n != have {
			return fmt.Errorf("safetensors: tensor %q: shape %v does not hold %d elements", t.Name, t.Shape, have)
		}
		header[t.Name] = entry{Dtype: string(kind), Shape: shape, Offsets: []uint64{at, at + n*width}}
		at += n * width
	}
	text, err := json.Marshal(header) // sorts the keys
	if err != nil {
		return err
	}
	for len(text)%8 != 0 { // the data then begins aligned
		text = append(text, ' ')
	}
	b := bufio.NewWriterSize(w, 1<<16)
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	b.Write(text)
	for _, t := range tensors {
		switch {
		case t.Bytes != nil:
			b.Write(t.Bytes)
		case t.Make != nil:
			writeData(b, t.Make(), dtype)
		default:
			writeData(b, t.Data, dtype)
		}
	}
	return b.Flush() // reports the first error of all writes
}

func writeData(b *bufio.Writer, data []float32, dtype Dtype) {
	var buf [4]byte
	for _, v := range data {
		if dtype == BF16 {
			binary.LittleEndian.PutUint16(buf[:], bfloat(v))
			b.Write(buf[:2])
			continue
		}
		binary.LittleEndian.PutUint32(buf[:], math.Float32bits(v))
		b.Write(buf[:])
	}
}
