package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"
)

// The bounds of a header. Those of real files are far below: the largest vocabularies in use have 2¹⁸
// tokens, a header with one takes some 10 MiB.
const (
	maxHeader  = 256 << 20 // bytes
	maxKey     = 1 << 16   // bytes, as the specification says
	maxName    = 64        // bytes of a tensor's name, as the specification says
	maxDims    = 4         // dimensions of a tensor
	maxTensors = 1 << 16
)

// File is an open GGUF file: its header in memory, its tensors where they are. Many goroutines may use one
// if its reader allows that.
type File struct {
	Tensors []Tensor // in the order of the file

	r    io.ReaderAt
	meta map[string]value
}

// Tensor is the description of a tensor.
type Tensor struct {
	Name  string
	Shape []int // outermost dimension first, as in Hugging Face's files; no dimension is 0
	Type  Type

	at int64 // in the file, in bytes
}

// Read reads and checks the header of a file of size bytes. Errors name the key or the tensor. The file
// must not change while it is in use; r is not closed.
func Read(r io.ReaderAt, size int64) (*File, error) {
	h := &header{size: size}
	h.left = min(size, maxHeader)
	h.r = bufio.NewReaderSize(io.NewSectionReader(r, 0, h.left), 1<<16)
	f := &File{r: r, meta: map[string]value{}}
	if err := f.read(h); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file ends within its header: it is cut short, copy it again")
		}
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

func (f *File) read(h *header) error {
	tensors, pairs, err := h.start()
	if err != nil {
		return err
	}
	for i := range pairs {
		key, err := h.str(maxKey)
		if err == nil && !utf8.ValidString(key) {
			err = fmt.Errorf("%.40q is no UTF-8: the file is damaged, copy it again", key)
		}
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		if _, twice := f.meta[key]; twice {
			return fmt.Errorf("key %q is there twice: the file has two meanings, take another", key)
		}
		if f.meta[key], err = h.value(); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	align, err := f.alignment()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range tensors {
		t, err := h.tensor()
		if err != nil {
			return fmt.Errorf("tensor %d: %w", i, err)
		}
		if names[t.Name] {
			return fmt.Errorf("tensor %q is there twice: the file has two meanings, take another", t.Name)
		}
		names[t.Name] = true
		f.Tensors = append(f.Tensors, t)
	}
	return f.place(h.at, h.size, align)
}

func (f *File) alignment() (int64, error) {
	if _, ok := f.meta["general.alignment"]; !ok {
		return alignment, nil
	}
	n, err := f.integer("general.alignment")
	if err == nil && (n < 1 || n&(n-1) != 0) {
		err = fmt.Errorf("key %q: %d is no power of two: the file is damaged", "general.alignment", n)
	}
	return int64(n), err
}

// place checks that the tensors lie one behind the other, each at a multiple of align bytes, in any order:
// llama.cpp asks for the same. Tensor.at, until here from the start of the data, becomes a place in the
// file. header is the size of the header in bytes.
func (f *File) place(header, size, align int64) error {
	start := roundUp(header, align)
	order := make([]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = &f.Tensors[i]
	}
	slices.SortStableFunc(order, func(a, b *Tensor) int {
		return int(min(1, max(-1, a.at-b.at))) // neither is negative
	})
	var end int64 // of the data so far, in bytes
	for _, t := range order {
		next := roundUp(end, align)
		switch n := t.bytes(); {
		case t.at != next:
			return fmt.Errorf("tensor %q begins at byte %d of the data, but the one before it ends at %d: "+
				"the file is damaged, copy it again", t.Name, t.at, end)
		case start > size || next > size-start || n > size-start-next:
			return fmt.Errorf("tensor %q needs %d bytes behind byte %d, but the file has %d: it is cut short, "+
				"copy it again", t.Name, n, start+next, size)
		default:
			end = next + n
			t.at = start + next
		}
	}
	if rest := size - start - end; len(order) > 0 && rest >= align {
		return fmt.Errorf("%d bytes lie behind the last tensor: the header and the data do not belong together, "+
			"copy the file again", rest)
	}
	return nil
}

// roundUp returns the next multiple of align that is at least n, or the largest integer if there is none.
func roundUp(n, align int64) int64 {
	if n > math.MaxInt64-align {
		return math.MaxInt64
	}
	return (n + align - 1) / align * align
}

// rowBytes is the size of one row of the innermost dimension.
func (t *Tensor) rowBytes() int {
	l := layouts[t.Type]
	return t.Shape[len(t.Shape)-1] / l.values * l.bytes
}

// Values is the number of values.
func (t *Tensor) Values() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

func (t *Tensor) bytes() int64 {
	l := layouts[t.Type]
	return int64(t.Values()) / int64(l.values) * int64(l.bytes)
}

// header reads the start of a file.
type header struct {
	r    *bufio.Reader
	at   int64 // bytes read
	left int64 // bytes that the header may still have
	size int64 // of the file, in bytes
	buf  [8]byte
}

// start reads the magic and the version.
func (h *header) start() (tensors, pairs uint64, err error) {
	magic, err := h.take(4)
	if err == nil && string(magic) != "GGUF" {
		return 0, 0, errors.New("the file does not begin with GGUF: it is no GGUF file, or its download failed")
	}
	if err != nil {
		return 0, 0, err
	}
	switch version, err := h.u32(); {
	case err != nil:
		return 0, 0, err
	case version == 1:
		return 0, 0, errors.New("version 1 of the format is not supported: take a newer conversion (versions 2 and 3)")
	case version != 0 && version&0xffff == 0:
		return 0, 0, errors.New("the file is big-endian, which is not supported: take a little-endian one")
	case version != 2 && version != 3:
		return 0, 0, fmt.Errorf("version %d of the format is not supported (2 and 3 are)", version)
	}
	if tensors, err = h.u64(); err == nil {
		pairs, err = h.u64()
	}
	if err == nil && tensors > maxTensors {
		err = fmt.Errorf("%d tensors, more than %d: the file is damaged, copy it again", tensors, maxTensors)
	}
	return tensors, pairs, err
}

// tensor reads the description of one tensor. Its bytes fit into an int64.
func (h *header) tensor() (t Tensor, err error) {
	if t.Name, err = h.str(maxName); err != nil {
		return t, err
	}
	if !utf8.ValidString(t.Name) {
		return t, fmt.Errorf("the name %q is no UTF-8: the file is damaged, copy it again", t.Name)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%q: %w", t.Name, err)
		}
	}()
	if t.Shape, err = h.shape(); err != nil {
		return t, err
	}
	inner := t.Shape[len(t.Shape)-1]
	kind, err := h.u32()
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	l, ok := layouts[t.Type]
	if !ok {
		return t, fmt.Errorf("type %d of values is unknown: the file is damaged, or newer than this program", kind)
	}
	if inner%l.values != 0 {
		return t, fmt.Errorf("rows of %d values are no whole blocks of %s, which have %d", inner, t.Type, l.values)
	}
	at, err := h.u64()
	if err == nil && at > math.MaxInt64 {
		err = fmt.Errorf("byte %d of the data is behind the end of any file", at)
	}
	t.at = int64(at)
	return t, err
}

// shape reads the dimensions of a tensor. Their product fits into an int64.
func (h *header) shape() (shape []int, err error) {
	dims, err := h.u32()
	if err == nil && (dims < 1 || dims > maxDims) {
		return nil, fmt.Errorf("%d dimensions are not within 1..%d", dims, maxDims)
	}
	if err != nil {
		return nil, err
	}
	values := uint64(1)
	for range dims {
		d, err := h.u64()
		if err != nil {
			return nil, err
		}
		if d == 0 || d > 1<<40 || values > 1<<50/d { // far beyond any file
			return nil, fmt.Errorf("a dimension of %d, with %d values in the others, cannot be: "+
				"the file is damaged, copy it again", d, values)
		}
		values *= d
		shape = append(shape, int(d))
	}
	slices.Reverse(shape) // the file lists the innermost dimension first
	return shape, nil
}

// take returns the next n bytes, at most 8. They are valid until the next call.
func (h *header) take(n int) ([]byte, error) {
	if int64(n) > h.left {
		return nil, h.ended()
	}
	if _, err := io.ReadFull(h.r, h.buf[:n]); err != nil {
		return nil, err
	}
	h.at, h.left = h.at+int64(n), h.left-int64(n)
	return h.buf[:n], nil
}

func (h *header) ended() error {
	if h.size > maxHeader {
		return fmt.Errorf("the header has more than %d bytes: the file is damaged, copy it again", maxHeader)
	}
	return io.ErrUnexpectedEOF
}

func (h *header) u32() (uint32, error) {
	b, err := h.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (h *header) u64() (uint64, error) {
	b, err := h.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// str reads a string of at most limit bytes.
func (h *header) str(limit int64) (string, error) {
	n, err := h.u64()
	if err != nil {
		return "", err
	}
	if n > uint64(limit) {
		return "", fmt.Errorf("a text of %d bytes is longer than %d: the file is damaged, copy it again", n, limit)
	}
	b, err := h.bytes(n, 1)
	return string(b), err
}

// bytes reads n elements of width bytes each.
func (h *header) bytes(n uint64, width int64) ([]byte, error) {
	if n > uint64(h.left/width) {
		return nil, h.ended()
	}
	b := make([]byte, int64(n)*width) // no larger than what is left of the file
	if _, err := io.ReadFull(h.r, b); err != nil {
		return nil, err
	}
	h.at, h.left = h.at+int64(len(b)), h.left-int64(len(b))
	return b, nil
}
