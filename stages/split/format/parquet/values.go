package parquet

import (
	"encoding/binary"
	"fmt"
)

// values gives the values of a page in their order, in any of the encodings that writers use.
type values struct {
	leaf     *node
	encoding int64
	data     []byte
	bit      uint64 // of booleans
	index    hybrid // into dict
	dict     *dictionary
	ints     delta // numbers, or lengths of arrays
	prefixes delta // of DELTA_BYTE_ARRAY
	last     []byte
}

// Encodings.
const (
	plain           = 0
	plainDictionary = 2
	rle             = 3
	deltaPacked     = 5
	deltaLengths    = 6
	deltaArrays     = 7
	rleDictionary   = 8
	byteStreamSplit = 9
)

func (v *values) open(leaf *node, encoding int64, data []byte, dict *dictionary) (err error) {
	*v = values{leaf: leaf, encoding: encoding, data: data, dict: dict}
	switch encoding {
	case plain:
		return nil
	case plainDictionary, rleDictionary:
		v.encoding = rleDictionary
		if len(data) == 0 { // a page of nulls alone
			return nil
		}
		if data[0] > 32 {
			return errPage
		}
		v.index = newHybrid(data[1:], int(data[0]))
		return nil
	case rle:
		if leaf.typ == boolean && len(data) >= 4 {
			v.index = newHybrid(data[4:], 1)
			return nil
		}
	case deltaPacked:
		if leaf.typ == int32s || leaf.typ == int64s {
			v.ints, err = newDelta(data)
			return err
		}
	case deltaLengths:
		if leaf.typ == byteArray {
			v.ints, v.data, err = lengths(data)
			return err
		}
	case deltaArrays:
		if leaf.typ == byteArray || leaf.typ == fixedBytes {
			if v.prefixes, data, err = lengths(data); err == nil {
				v.ints, v.data, err = lengths(data)
			}
			return err
		}
	}
	return fmt.Errorf("column %q is in encoding %d, which cannot be read: write it with PLAIN or dictionaries",
		leaf.name, encoding)
}

// lengths returns a reader of the numbers at the beginning of data, and what follows them.
func lengths(data []byte) (d delta, rest []byte, err error) {
	if d, err = newDelta(data); err != nil {
		return d, nil, err
	}
	end := d
	for end.left > 0 {
		if _, err := end.next(); err != nil {
			return d, nil, err
		}
	}
	return d, end.b, nil
}

// next reads the next value into e.
func (v *values) next(e *entry) error {
	switch v.encoding {
	case rleDictionary:
		i, err := v.index.next()
		if err != nil {
			return err
		}
		return v.dict.value(e, i)
	case rle:
		i, err := v.index.next()
		e.num = uint64(i)
		return err
	case deltaPacked:
		n, err := v.ints.next()
		if e.num = uint64(n); v.leaf.typ == int32s {
			e.num = uint64(uint32(n))
		}
		return err
	case deltaLengths:
		n, err := v.ints.next()
		if err != nil || n < 0 || n > int64(len(v.data)) {
			return errPage
		}
		e.bytes, v.data = v.data[:n], v.data[n:]
		return nil
	case deltaArrays:
		return v.joined(e)
	}
	if v.leaf.typ == boolean {
		if v.bit >= uint64(len(v.data))*8 {
			return errShort
		}
		e.num = bitsAt(v.data, v.bit, 1)
		v.bit++
		return nil
	}
	n, err := plainValue(e, v.leaf, v.data)
	v.data = v.data[n:]
	return err
}

// joined reads a value of which the file has only what differs from the value before.
func (v *values) joined(e *entry) error {
	keep, err := v.prefixes.next()
	if err != nil {
		return err
	}
	n, err := v.ints.next()
	if err != nil || keep < 0 || keep > int64(len(v.last)) || n < 0 || n > int64(len(v.data)) || keep+n > maxPage {
		return errPage
	}
	e.bytes = append(append(make([]byte, 0, keep+n), v.last[:keep]...), v.data[:n]...)
	v.last, v.data = e.bytes, v.data[n:]
	return nil
}

// plainValue reads a value at the beginning of data and returns the bytes that it takes.
func plainValue(e *entry, leaf *node, data []byte) (int, error) {
	n := leaf.length
	switch leaf.typ {
	case int32s, floats:
		n = 4
	case int64s, doubles:
		n = 8
	case byteArray:
		if len(data) < 4 {
			return 0, errShort
		}
		size := binary.LittleEndian.Uint32(data)
		if uint64(size) > uint64(len(data)-4) {
			return 0, errShort
		}
		e.bytes = data[4 : 4+size]
		return 4 + int(size), nil
	}
	if len(data) < n {
		return 0, errShort
	}
	switch n {
	case 4:
		e.num = uint64(binary.LittleEndian.Uint32(data))
	case 8:
		e.num = binary.LittleEndian.Uint64(data)
	}
	e.bytes = data[:n]
	return n, nil
}

// dictionary holds the values that the pages of a chunk number.
type dictionary struct {
	leaf *node
	page []byte
	at   []uint32 // where the values of a byteArray begin
	n    uint32
}

func newDictionary(leaf *node, page []byte, n int) (dictionary, error) {
	d := dictionary{leaf: leaf, page: page, n: uint32(n)}
	if page == nil {
		d.page = []byte{}
	}
	size := map[int]int{int32s: 4, floats: 4, int64s: 8, doubles: 8, fixedBytes: leaf.length, byteArray: 4}[leaf.typ]
	if size == 0 || n > len(page)/size {
		return d, errPage // a dictionary of booleans, or more values than there are bytes for
	}
	if leaf.typ != byteArray {
		return d, nil
	}
	d.at = make([]uint32, n)
	at := 0
	for i := range n {
		var e entry
		size, err := plainValue(&e, leaf, page[at:])
		if err != nil {
			return d, errPage
		}
		d.at[i] = uint32(at)
		at += size
	}
	return d, nil
}

func (d *dictionary) value(e *entry, i uint32) error {
	if d.leaf == nil || i >= d.n {
		return errPage
	}
	at := 0
	switch d.leaf.typ {
	case byteArray:
		at = int(d.at[i])
	case int32s, floats:
		at = 4 * int(i)
	case int64s, doubles:
		at = 8 * int(i)
	case fixedBytes:
		at = d.leaf.length * int(i)
	}
	_, err := plainValue(e, d.leaf, d.page[at:])
	return err
}
