package schemas

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A flat reads one flatbuffer that may be hostile. Every read goes through bytes, which
// checks bounds. The first error is kept, and every later read returns zero. Counts in the
// buffer cause no allocation, and nothing recurses, so neither large counts nor deep nesting
// can do harm. Alignment is not required.
//
// A flatbuffer consists of tables. A table begins with the distance back to its vtable. The
// vtable lists the place of each field in the table; 0 means that the field has its default.
type flat struct {
	b   []byte
	err error
}

func (f *flat) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("metadata: "+format, args...)
	}
}

// zeros is what a failed read returns. No read is longer than 8 bytes.
var zeros [8]byte

// bytes returns n ≤ 8 bytes.
func (f *flat) bytes(at, n int) []byte {
	if f.err == nil && (at < 0 || at > len(f.b)-n) {
		f.fail("byte %d is beyond its %d", at, len(f.b))
	}
	if f.err != nil {
		return zeros[:n]
	}
	return f.b[at : at+n]
}

func (f *flat) uint16(at int) int { return int(binary.LittleEndian.Uint16(f.bytes(at, 2))) }

func (f *flat) int64(at int) int64 { return int64(binary.LittleEndian.Uint64(f.bytes(at, 8))) }

// follow returns the place that an offset points to. Offsets point forward only.
func (f *flat) follow(at int) int {
	o := binary.LittleEndian.Uint32(f.bytes(at, 4))
	if uint64(o) > uint64(len(f.b)-at) && f.err == nil {
		f.fail("offset %d at byte %d points outside", o, at)
		return 0
	}
	return at + int(o)
}

func (f *flat) root() table { return f.table(f.follow(0)) }

// A table without a flat is absent: all its fields have their defaults.
type table struct {
	f      *flat
	at     int
	size   int // bytes of the table
	vtable int
	slots  int // entries of the vtable
}

func (f *flat) table(at int) table {
	back := int32(binary.LittleEndian.Uint32(f.bytes(at, 4)))
	vtable := at - int(back)
	length, size := f.uint16(vtable), f.uint16(vtable+2)
	bad := length < 4 || length%2 != 0 || size < 4 || vtable > len(f.b)-length || at > len(f.b)-size
	if f.err == nil && bad {
		f.fail("table at byte %d has a bad vtable", at)
	}
	if f.err != nil {
		return table{f: f}
	}
	return table{f: f, at: at, size: size, vtable: vtable, slots: (length - 4) / 2}
}

// slot returns the place of a field of width bytes; ok is false if the field has its default.
func (t table) slot(i, width int) (at int, ok bool) {
	if i >= t.slots {
		return 0, false
	}
	o := t.f.uint16(t.vtable + 4 + 2*i)
	if o == 0 {
		return 0, false
	}
	if o < 4 || o > t.size-width {
		t.f.fail("field %d of the table at byte %d lies outside it", i, t.at)
		return 0, false
	}
	return t.at + o, true
}

func (t table) byte(i int) byte {
	if at, ok := t.slot(i, 1); ok {
		return t.f.bytes(at, 1)[0]
	}
	return 0
}

func (t table) int16(i int) int {
	if at, ok := t.slot(i, 2); ok {
		return int(int16(t.f.uint16(at)))
	}
	return 0
}

func (t table) int32(i int) int {
	if at, ok := t.slot(i, 4); ok {
		return int(int32(binary.LittleEndian.Uint32(t.f.bytes(at, 4))))
	}
	return 0
}

func (t table) int64(i int) int64 {
	if at, ok := t.slot(i, 8); ok {
		return t.f.int64(at)
	}
	return 0
}

func (t table) table(i int) table {
	if at, ok := t.slot(i, 4); ok {
		return t.f.table(t.f.follow(at))
	}
	return table{}
}

func (t table) present() bool { return t.f != nil }

// vector returns the place of the first element and the number of elements. All of them
// lie inside the buffer.
func (t table) vector(i, width int) (at, n int) {
	at, ok := t.slot(i, 4)
	if !ok {
		return 0, 0
	}
	at = t.f.follow(at)
	count := binary.LittleEndian.Uint32(t.f.bytes(at, 4))
	if t.f.err == nil && (count > math.MaxInt32 || int64(count)*int64(width) > int64(len(t.f.b)-at-4)) {
		t.f.fail("vector at byte %d says %d elements of %d bytes", at, count, width)
	}
	if t.f.err != nil {
		return 0, 0
	}
	return at + 4, int(count)
}

func (t table) text(i int) []byte {
	at, n := t.vector(i, 1)
	if t.f == nil || t.f.err != nil {
		return nil
	}
	return t.f.b[at : at+n]
}
