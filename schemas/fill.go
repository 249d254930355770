package schemas

import (
	"encoding/binary"
	"math"
	"reflect"
)

// fill copies an inspected stream into rows, a slice of records of the right length.
func (l layout) fill(stream []byte, rows reflect.Value) error {
	at := 0
	return l.batches(stream, func(n int, arrays []buffers) error {
		part := rows.Slice(at, at+n)
		for _, c := range l.columns {
			c.fill(part, arrays)
			arrays = arrays[c.arrays():]
		}
		at += n
		return nil
	})
}

// fill sets the column's field in each row. What the fields point to is one or
// two allocations per column and batch, shared by the rows.
func (c column) fill(rows reflect.Value, arrays []buffers) {
	a := arrays[0]
	if a.n == 0 {
		return
	}
	if c.list {
		switch items := arrays[1]; c.elem {
		case elemInt32:
			fillLists(rows, c.field, a, items.int32)
		case elemFloat32:
			fillLists(rows, c.field, a, items.float32)
		case elemText:
			if a.span() > 0 {
				fillLists(rows, c.field, a, items.texts(a.offset(0), a.offset(a.n)))
			}
		}
		return
	}
	switch c.elem {
	case elemText:
		fillEach(rows, c.field, a.texts(0, a.n))
	case elemBytes:
		fillLists(rows, c.field, a, func(i int) byte { return a.data[i] })
	case elemBool:
		fillEach(rows, c.field, func(i int) bool { return a.data[i/8]>>(i%8)&1 != 0 })
	case elemInt32:
		fillEach(rows, c.field, a.int32)
	case elemInt64:
		fillEach(rows, c.field, func(i int) int64 { return int64(a.uint64(i)) })
	case elemUint64:
		fillEach(rows, c.field, a.uint64)
	case elemFloat32:
		fillEach(rows, c.field, a.float32)
	case elemFloat64:
		fillEach(rows, c.field, func(i int) float64 { return math.Float64frombits(a.uint64(i)) })
	}
}

func fillEach[T any](rows reflect.Value, field int, value func(i int) T) {
	for i := range rows.Len() {
		*cell[T](rows, i, field) = value(i)
	}
}

// fillLists gives every row its part of one slice. The capacity of a part is its length,
// so that an append to one row's list copies and does not write into the next row's.
// Empty lists stay nil.
func fillLists[T any](rows reflect.Value, field int, lists buffers, item func(i int) T) {
	first := lists.offset(0)
	items := make([]T, lists.span())
	for i := range items {
		items[i] = item(first + i)
	}
	for i := range rows.Len() {
		from, to := lists.offset(i)-first, lists.offset(i+1)-first
		if from < to {
			*cell[[]T](rows, i, field) = items[from:to:to]
		}
	}
}

// texts returns a function that gives value i, from ≤ i < to, as a part of one string.
// There must be at least one value.
func (a buffers) texts(from, to int) func(i int) string {
	first := a.offset(from)
	all := string(a.data[first:a.offset(to)])
	return func(i int) string { return all[a.offset(i)-first : a.offset(i+1)-first] }
}

func (a buffers) int32(i int) int32 { return int32(binary.LittleEndian.Uint32(a.data[4*i:])) }

func (a buffers) uint64(i int) uint64 { return binary.LittleEndian.Uint64(a.data[8*i:]) }

func (a buffers) float32(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(a.data[4*i:]))
}
