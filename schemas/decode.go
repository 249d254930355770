package schemas

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Decoding reads the stream twice: inspect checks everything and computes how much
// memory the rows need, then fill copies and cannot fail.

// inspect checks the stream and returns how many rows it holds.
func (l layout) inspect(stream []byte) (rows int, err error) {
	need := 0
	err = l.batches(stream, func(n int, arrays []buffers) error {
		for _, c := range l.columns {
			more, err := c.check(arrays, rows)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.name, err)
			}
			need += more
			arrays = arrays[c.arrays():]
		}
		rows += n
		return nil
	})
	if err != nil {
		return 0, err
	}
	// Empty lists take 4 bytes on the wire and 24 in memory, so a stream of empty lists
	// could fill the memory of a worker. Encode inspects, too: what it writes can be read.
	need += allocated(rows * l.rowBytes)
	if limit := 4*len(stream) + 1<<20 - reserve; need > limit {
		return 0, fmt.Errorf("%d rows need %d bytes of memory, a stream of %d bytes may need %d: "+
			"write fewer rows per batch", rows, need, len(stream), limit)
	}
	return rows, nil
}

// reserve is what a decode allocates besides the rows: layout, arrays, errors.
const reserve = 64 << 10 // bytes

// allocated returns an upper bound of what Go's allocator takes for n bytes: above 32 KiB
// whole pages of 8 KiB, below that the next size class, which is less than a quarter larger.
func allocated(n int) int {
	switch {
	case n == 0:
		return 0
	case n <= 32<<10:
		return n + n/4 + 128
	}
	return (n + 8<<10 - 1) &^ (8<<10 - 1)
}

// arrays returns how many arrays of a record batch belong to the column.
func (c column) arrays() int {
	if c.list {
		return 2
	}
	return 1
}

// check verifies that each value of a column lies inside its buffers and returns how many
// bytes fill will allocate. Row numbers in errors count from first.
func (c column) check(arrays []buffers, first int) (need int, err error) {
	a := arrays[0]
	if !c.list {
		return checkValues(c.elem, a, "row", first)
	}
	items := arrays[1]
	if err := checkOffsets(a, items.n, "row", first); err != nil {
		return 0, err
	}
	if need, err = checkValues(c.elem, items, "item", 0); err != nil {
		return 0, err
	}
	return need + allocated(a.span()*elems[c.elem].goBytes), nil
}

func checkValues(e elem, a buffers, unit string, first int) (need int, err error) {
	if !e.variable() {
		if size := (int64(a.n)*int64(elems[e].bits) + 7) / 8; size > int64(len(a.data)) {
			return 0, fmt.Errorf("%d %ss need %d bytes, the buffer has %d", a.n, unit, size, len(a.data))
		}
		return 0, nil
	}
	if err := checkOffsets(a, len(a.data), unit, first); err != nil {
		return 0, err
	}
	if e == elemText {
		for i := range a.n {
			if !utf8.Valid(a.data[a.offset(i):a.offset(i+1)]) {
				return 0, fmt.Errorf("%s %d: not UTF-8", unit, first+i)
			}
		}
	}
	return allocated(a.span()), nil
}

// checkOffsets verifies that a has n+1 offsets, that they never decrease and that none
// exceeds limit, the length of what they point into. Errors name the row or item (the
// unit), counted from first.
func checkOffsets(a buffers, limit int, unit string, first int) error {
	if a.n == 0 {
		return nil // no code reads the offsets then
	}
	if 4*(int64(a.n)+1) > int64(len(a.offsets)) {
		return fmt.Errorf("%d %ss need %d offsets, the buffer has %d", a.n, unit, a.n+1, len(a.offsets)/4)
	}
	last := 0
	for i := range a.n + 1 {
		o := int(int32(binary.LittleEndian.Uint32(a.offsets[4*i:])))
		if o < last || o > limit {
			at := first + max(i-1, 0) // offset i is where value i−1 ends
			if o < last {
				return fmt.Errorf("%s %d: offset %d after %d", unit, at, o, last)
			}
			return fmt.Errorf("%s %d: offset %d beyond %d", unit, at, o, limit)
		}
		last = o
	}
	return nil
}

// offset returns where value i begins and value i−1 ends. checkOffsets must have passed.
func (a buffers) offset(i int) int { return int(binary.LittleEndian.Uint32(a.offsets[4*i:])) }

// span returns the length of all values together; 0 without values.
func (a buffers) span() int {
	if a.n == 0 {
		return 0
	}
	return a.offset(a.n) - a.offset(0)
}
