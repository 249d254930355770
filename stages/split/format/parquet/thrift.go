package parquet

import (
	"encoding/binary"
	"errors"
)

// The footer and the page headers are structs in Thrift's compact protocol. They come from
// outside, so a length is believed only as far as there are bytes for it, and the number of
// fields is bounded, because each takes more memory than it has bytes.

const (
	maxFields      = 1 << 20
	maxThriftDepth = 16
)

// Thrift's types in the compact protocol.
const (
	tTrue   = 1
	tFalse  = 2
	tByte   = 3
	tI32    = 5
	tI64    = 6
	tDouble = 7
	tBinary = 8
	tList   = 9
	tSet    = 10
	tMap    = 11
	tStruct = 12
)

var (
	errShort  = errors.New("it ends too early")
	errThrift = errors.New("its header is damaged")
)

// field is a field of a struct or an element of a list.
type field struct {
	id    int16
	typ   byte
	num   int64   // of a number or a bool
	bytes []byte  // of a binary, within the input
	list  []field // fields of a struct, elements of a list
}

// get returns the field with this id, or nil.
func (f *field) get(id int16) *field {
	if f == nil {
		return nil
	}
	for i := range f.list {
		if f.list[i].id == id {
			return &f.list[i]
		}
	}
	return nil
}

// int returns the number of the field with this id, or missing.
func (f *field) int(id int16, missing int64) int64 {
	if g := f.get(id); g != nil {
		return g.num
	}
	return missing
}

// thrift reads b, which holds one struct.
type thrift struct {
	b      []byte
	at     int
	fields int // read so far
}

// readStruct reads the struct at the beginning of b and tells its length. errShort: b ends
// within it.
func readStruct(b []byte) (*field, int, error) {
	t := thrift{b: b}
	f := &field{typ: tStruct}
	if err := t.structure(f, 0); err != nil {
		return nil, 0, err
	}
	return f, t.at, nil
}

func (t *thrift) byte() (byte, error) {
	if t.at >= len(t.b) {
		return 0, errShort
	}
	t.at++
	return t.b[t.at-1], nil
}

func (t *thrift) varint() (uint64, error) {
	n, size := binary.Uvarint(t.b[t.at:])
	switch {
	case size == 0:
		return 0, errShort
	case size < 0:
		return 0, errThrift
	}
	t.at += size
	return n, nil
}

func (t *thrift) zigzag() (int64, error) {
	n, err := t.varint()
	return int64(n>>1) ^ -int64(n&1), err
}

func (t *thrift) structure(into *field, depth int) error {
	if depth > maxThriftDepth {
		return errThrift
	}
	id := int64(0)
	for {
		b, err := t.byte()
		if err != nil {
			return err
		}
		if b == 0 {
			return nil
		}
		if delta := int64(b >> 4); delta != 0 {
			id += delta
		} else if id, err = t.zigzag(); err != nil {
			return err
		}
		if id < 0 || id > 1<<15-1 {
			return errThrift
		}
		f := field{id: int16(id), typ: b & 15}
		if err := t.value(&f, depth, false); err != nil {
			return err
		}
		into.list = append(into.list, f)
	}
}

// value reads a value of the type that f has. A bool in a list has a byte of its own.
func (t *thrift) value(f *field, depth int, inList bool) (err error) {
	if t.fields++; t.fields > maxFields {
		return errThrift
	}
	switch f.typ {
	case tTrue, tFalse:
		b := f.typ
		if inList {
			b, err = t.byte()
		}
		f.num = int64(b & 1) // true is 1, false is 2 or 0
		return err
	case tByte:
		b, err := t.byte()
		f.num = int64(b)
		return err
	case 4, tI32, tI64:
		f.num, err = t.zigzag()
		return err
	case tDouble:
		if t.at += 8; t.at > len(t.b) {
			return errShort
		}
		return nil
	case tBinary:
		n, err := t.varint()
		if err != nil {
			return err
		}
		if n > uint64(len(t.b)-t.at) {
			return errShort
		}
		f.bytes = t.b[t.at : t.at+int(n)]
		t.at += int(n)
		return nil
	case tList, tSet:
		return t.elements(f, depth+1)
	case tMap:
		return t.pairs(depth + 1)
	case tStruct:
		return t.structure(f, depth+1)
	}
	return errThrift
}

func (t *thrift) elements(f *field, depth int) error {
	b, err := t.byte()
	if err != nil {
		return err
	}
	n := uint64(b >> 4)
	if n == 15 {
		if n, err = t.varint(); err != nil {
			return err
		}
	}
	if depth > maxThriftDepth || n > maxFields {
		return errThrift
	}
	for range n {
		e := field{typ: b & 15}
		if err := t.value(&e, depth, true); err != nil {
			return err
		}
		f.list = append(f.list, e)
	}
	return nil
}

// pairs skips a map: neither footer nor page header has one that is needed.
func (t *thrift) pairs(depth int) error {
	n, err := t.varint()
	if err != nil || n == 0 {
		return err
	}
	types, err := t.byte()
	if err != nil {
		return err
	}
	if depth > maxThriftDepth || n > maxFields {
		return errThrift
	}
	for range n {
		k, v := field{typ: types >> 4}, field{typ: types & 15}
		if err := t.value(&k, depth, true); err != nil {
			return err
		}
		if err := t.value(&v, depth, true); err != nil {
			return err
		}
	}
	return nil
}
