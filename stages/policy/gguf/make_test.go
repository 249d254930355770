package gguf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
)

// remade writes a file again that a test has read and changed.
func (f *file) remade() []byte {
	b := header(uint64(len(f.tensors)), uint64(len(f.meta)))
	for _, key := range slices.Sorted(maps.Keys(f.meta)) {
		b = appendValue(str(b, key), f.meta[key])
	}
	names := slices.Sorted(maps.Keys(f.tensors))
	var body []byte
	for _, name := range names {
		x := f.tensors[name]
		b = u32(str(b, name), uint32(len(x.dims)))
		for _, d := range x.dims {
			b = binary.LittleEndian.AppendUint64(b, d)
		}
		b = binary.LittleEndian.AppendUint64(u32(b, x.kind), uint64(len(body)))
		body = append(body, x.data...)
		body = append(body, make([]byte, -len(body)&31)...)
	}
	return append(append(b, make([]byte, -len(b)&31)...), body...)
}

// appendValue appends the type of a value and the value.
func appendValue(b []byte, v any) []byte {
	kind := map[string]uint32{"uint32": 4, "int32": 5, "float32": 6, "bool": 7, "string": 8, "uint64": 10}
	switch v := v.(type) {
	case []any:
		b = u32(b, 9)
		if len(v) == 0 {
			return binary.LittleEndian.AppendUint64(u32(b, 8), 0)
		}
		first := appendValue(nil, v[0])[:4]
		b = binary.LittleEndian.AppendUint64(append(b, first...), uint64(len(v)))
		for _, e := range v {
			b = append(b, appendValue(nil, e)[4:]...)
		}
		return b
	case string:
		return str(u32(b, 8), v)
	case float32:
		return u32(b, 6, math.Float32bits(v))
	}
	b = u32(b, kind[fmt.Sprintf("%T", v)])
	if v, ok := v.(bool); ok {
		return append(b, map[bool]byte{true: 1}[v])
	}
	var w bytes.Buffer
	if err := binary.Write(&w, binary.LittleEndian, v); err != nil {
		panic(err)
	}
	return append(b, w.Bytes()...)
}

// changed is the fixture of that name after the change.
func changed(t testing.TB, name string, change func(f *file)) []byte {
	t.Helper()
	f := read(t, fixture(t, name))
	change(f)
	return f.remade()
}
