package schemas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// stream writes rows, a slice of records, as one Arrow IPC stream: schema, one
// record batch, end marker. The bytes depend only on the rows.
func (l layout) stream(rows reflect.Value) ([]byte, error) {
	fields := make([]arrow.Field, len(l.columns))
	arrays := make([]arrow.Array, len(l.columns))
	size := 0
	for i, c := range l.columns {
		w := newWriter(c, rows)
		for row := range rows.Len() {
			w.add(rows.Index(row).Field(c.field).Addr().Interface())
		}
		data, err := w.data(c, rows.Len())
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		size += len(w.rows.ends) + len(w.rows.data) + len(w.items.ends) + len(w.items.data)
		fields[i] = arrow.Field{Name: c.name, Type: c.arrowType()}
		arrays[i] = array.MakeFromData(data)
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	out.Grow(size + 512*(1+len(fields))) // metadata: about 300 bytes per column
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(array.NewRecord(schema, arrays, int64(rows.Len()))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// A writer collects the cells of one column in Arrow's layout.
type writer struct {
	rows  values // the column; of a list, only its ends are used
	items values // of a list
}

// values are little-endian values, or bytes with the end of each value.
type values struct {
	n    int
	ends []byte // int32 each
	data []byte
}

func (v *values) end(at int) { v.ends = binary.LittleEndian.AppendUint32(v.ends, uint32(at)) }

func (v *values) text(s string) {
	v.n++
	v.data = append(v.data, s...)
	v.end(len(v.data))
}

// newWriter allocates the memory of the whole column. Growing step by step would cost three
// times the memory and twice the time for rows of a thousand tokens.
func newWriter(c column, rows reflect.Value) *writer {
	n := rows.Len()
	total := 0 // of all lengths: bytes of text, or items
	if c.list || c.elem.variable() {
		for row := range n {
			total += rows.Index(row).Field(c.field).Len()
		}
	}
	w := &writer{}
	switch {
	case c.list:
		w.rows.ends = make([]byte, 0, 4*n)
		w.items.data = make([]byte, 0, total*elems[c.elem].bits/8)
	case c.elem.variable():
		w.rows.ends = make([]byte, 0, 4*n)
		w.rows.data = make([]byte, 0, total)
	default:
		w.rows.data = make([]byte, 0, (n*elems[c.elem].bits+7)/8)
	}
	return w
}

// add appends one cell, given by pointer.
func (w *writer) add(cell any) {
	le, rows, items := binary.LittleEndian, &w.rows, &w.items
	switch p := cell.(type) {
	case *string:
		rows.text(*p)
	case *[]byte:
		rows.data = append(rows.data, *p...)
		rows.end(len(rows.data))
	case *bool:
		if rows.n%8 == 0 {
			rows.data = append(rows.data, 0)
		}
		if *p {
			rows.data[rows.n/8] |= 1 << (rows.n % 8)
		}
		rows.n++
	case *int32:
		rows.data = le.AppendUint32(rows.data, uint32(*p))
	case *int64:
		rows.data = le.AppendUint64(rows.data, uint64(*p))
	case *uint64:
		rows.data = le.AppendUint64(rows.data, *p)
	case *float32:
		rows.data = le.AppendUint32(rows.data, math.Float32bits(*p))
	case *float64:
		rows.data = le.AppendUint64(rows.data, math.Float64bits(*p))
	case *[]int32:
		for _, v := range *p {
			items.data = le.AppendUint32(items.data, uint32(v))
		}
		items.n += len(*p)
		rows.end(items.n)
	case *[]float32:
		for _, v := range *p {
			items.data = le.AppendUint32(items.data, math.Float32bits(v))
		}
		items.n += len(*p)
		rows.end(items.n)
	case *[]string:
		for _, s := range *p {
			items.text(s)
		}
		rows.end(items.n)
	default:
		panic(fmt.Sprintf("schemas: no column type for %T, though layoutOf found one", cell))
	}
}

// data makes an Arrow array of the buffers.
func (w *writer) data(c column, rows int) (arrow.ArrayData, error) {
	// Offsets are int32. Longer columns must be split into several batches.
	if max(len(w.rows.data), len(w.items.data)) > math.MaxInt32 {
		return nil, fmt.Errorf("more than 2 GiB of values: write fewer rows per batch")
	}
	if !c.list {
		return array.NewData(c.arrowType(), rows, w.rows.buffers(c.elem), nil, 0, 0), nil
	}
	items := array.NewData(elems[c.elem].arrow, w.items.n, w.items.buffers(c.elem), nil, 0, 0)
	list := []*memory.Buffer{nil, w.rows.offsets()}
	return array.NewData(c.arrowType(), rows, list, []arrow.ArrayData{items}, 0, 0), nil
}

// buffers returns Arrow's buffers: validity (nil, because no value is null), offsets if
// lengths differ, values.
func (v *values) buffers(e elem) []*memory.Buffer {
	if e.variable() {
		return []*memory.Buffer{nil, v.offsets(), memory.NewBufferBytes(v.data)}
	}
	return []*memory.Buffer{nil, memory.NewBufferBytes(v.data)}
}

// offsets returns the ends with a 0 before them.
func (v *values) offsets() *memory.Buffer {
	return memory.NewBufferBytes(append(make([]byte, 4, 4+len(v.ends)), v.ends...))
}
