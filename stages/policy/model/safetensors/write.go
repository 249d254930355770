package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"itool/stages/policy/kernel"
)

// Tensor is a named tensor to write. Its values are Data, Make, MakeBytes or Stream. With a function the
// values are made only when they are written, so that not all tensors are in memory at once.
type Tensor struct {
	Name      string
	Shape     []int
	Data      []float32              // as many values as Shape says; written in the file's dtype
	Make      func() []float32       // instead of Data
	MakeBytes func() ([]byte, error) // instead of Data: written as they are
	Stream    func(io.Writer) error  // instead of MakeBytes: writes them piece by piece
	Dtype     Dtype                  // of MakeBytes and Stream
}

// Dtype is the type of a tensor's elements.
type Dtype string

// The dtypes that Write supports.
const (
	F32  Dtype = "F32"
	BF16 Dtype = "BF16" // rounded to nearest, ties to even
	F16  Dtype = "F16"  // the same; a value that is too large for it is an error
	U8   Dtype = "U8"   // for MakeBytes and Stream only
)

// ErrTooLarge says that a value has no place in F16.
var ErrTooLarge = errors.New("but float16 reaches only 65,504")

// Write writes the tensors, sorted by name: the same tensors give the same bytes. metadata may be nil.
func Write(w io.Writer, tensors []Tensor, dtype Dtype, metadata map[string]string) error {
	width, ok := widths[string(dtype)]
	if !ok || dtype != F32 && dtype != BF16 && dtype != F16 {
		return fmt.Errorf("safetensors: cannot write dtype %q", dtype)
	}
	tensors = slices.SortedFunc(slices.Values(tensors),
		func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
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
		case t.MakeBytes != nil, t.Stream != nil:
			kind, width, have = t.Dtype, widths[string(t.Dtype)], n
		case t.Make != nil:
			have = n
		}
		if n != have {
			return fmt.Errorf("safetensors: tensor %q: shape %v does not have %d elements", t.Name, t.Shape, have)
		}
		header[t.Name] = entry{Dtype: string(kind), Shape: shape, Offsets: []uint64{at, at + n*width}}
		at += n * width
	}
	text, err := json.Marshal(header) // sorts the keys
	if err != nil {
		return err
	}
	for len(text)%8 != 0 { // so that the data begins aligned
		text = append(text, ' ')
	}
	b := bufio.NewWriterSize(w, 1<<16)
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	b.Write(text)
	for _, t := range tensors {
		if err := t.write(b, dtype); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, err)
		}
	}
	return b.Flush()
}

// write leaves errors of b to b.Flush, except for bytes from MakeBytes: when the disk is full, gigabytes
// more need not be made.
func (t *Tensor) write(b *bufio.Writer, dtype Dtype) error {
	data, want := t.Data, 1
	for _, d := range t.Shape {
		want *= d
	}
	switch {
	case t.MakeBytes != nil:
		bytes, err := t.MakeBytes()
		if err == nil && uint64(len(bytes)) != uint64(want)*widths[string(t.Dtype)] {
			err = fmt.Errorf("%d bytes were made for shape %v of %s", len(bytes), t.Shape, t.Dtype)
		}
		if err != nil {
			return err
		}
		_, err = b.Write(bytes)
		return err
	case t.Stream != nil:
		return t.stream(b, int64(want)*int64(widths[string(t.Dtype)]))
	case t.Make != nil:
		if data = t.Make(); len(data) != want {
			return fmt.Errorf("%d values were made for shape %v", len(data), t.Shape)
		}
	}
	return writeData(b, data, dtype)
}

// stream checks that as many bytes were written as the header says.
func (t *Tensor) stream(b *bufio.Writer, want int64) error {
	c := counter{w: b}
	err := t.Stream(&c)
	if err == nil && c.n != want {
		err = fmt.Errorf("%d bytes were written for shape %v of %s", c.n, t.Shape, t.Dtype)
	}
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func writeData(b *bufio.Writer, data []float32, dtype Dtype) error {
	var buf [4]byte
	for i, v := range data {
		switch dtype {
		case BF16:
			binary.LittleEndian.PutUint16(buf[:], kernel.ToBF16(v))
			b.Write(buf[:2])
		case F16:
			h := kernel.ToHalf(v)
			if h&0x7c00 == 0x7c00 {
				return fmt.Errorf("element %d is %v, %w", i, v, ErrTooLarge)
			}
			binary.LittleEndian.PutUint16(buf[:], h)
			b.Write(buf[:2])
		default:
			binary.LittleEndian.PutUint32(buf[:], math.Float32bits(v))
			b.Write(buf[:])
		}
	}
	return nil
}
