package schemas

import (
	"fmt"
	"reflect"

	"github.com/apache/arrow/go/v17/arrow"
)

// A layout is what a record's struct says about its columns.
type layout struct {
	schema   string
	rowBytes int // size of one row in memory, without what its slices point to
	columns  []column
}

// A column is one field of the record.
type column struct {
	name  string
	field int  // index in the struct
	list  bool // a slice of elem; otherwise one elem per row
	elem  elem
}

// An elem is the type of a column's values, or of the items of its lists.
type elem int

const (
	elemText elem = iota
	elemBytes
	elemBool
	elemInt32
	elemInt64
	elemUint64
	elemFloat32
	elemFloat64
)

// Type codes of Arrow's Schema.fbs.
const (
	codeInt    = 2
	codeFloat  = 3
	codeBinary = 4
	codeUtf8   = 5
	codeBool   = 6
	codeList   = 12
)

// elems lists for each elem its Arrow type, its code in the schema message and its sizes.
var elems = [...]struct {
	arrow   arrow.DataType
	code    byte // union code of the type table
	bits    int  // width of a value on the wire; 0: offsets and bytes
	signed  bool // of an int
	goBytes int  // size of a value in memory, without what it points to
}{
	elemText:    {arrow.BinaryTypes.String, codeUtf8, 0, false, 16},
	elemBytes:   {arrow.BinaryTypes.Binary, codeBinary, 0, false, 24},
	elemBool:    {arrow.FixedWidthTypes.Boolean, codeBool, 1, false, 1},
	elemInt32:   {arrow.PrimitiveTypes.Int32, codeInt, 32, true, 4},
	elemInt64:   {arrow.PrimitiveTypes.Int64, codeInt, 64, true, 8},
	elemUint64:  {arrow.PrimitiveTypes.Uint64, codeInt, 64, false, 8},
	elemFloat32: {arrow.PrimitiveTypes.Float32, codeFloat, 32, false, 4},
	elemFloat64: {arrow.PrimitiveTypes.Float64, codeFloat, 64, false, 8},
}

// variable reports whether values differ in length and so have offsets.
func (e elem) variable() bool { return elems[e].bits == 0 }

// layoutOf reads the struct tags. Its errors are faults of the record's struct, not of
// the input. It takes a few microseconds, so nothing is cached.
func layoutOf[R Record]() (layout, error) {
	var zero R
	t := reflect.TypeFor[R]()
	if t.Kind() != reflect.Struct {
		return layout{}, fmt.Errorf("schemas: record %v is not a struct", t)
	}
	l := layout{schema: zero.Schema(), rowBytes: int(t.Size())}
	if _, _, err := splitSchema(l.schema); err != nil {
		return layout{}, fmt.Errorf("schemas: record %v: %w", t, err)
	}
	seen := make(map[string]bool)
	for i := range t.NumField() {
		f := t.Field(i)
		c := column{name: f.Tag.Get("arrow"), field: i}
		if c.name == "" || seen[c.name] || !f.IsExported() {
			return layout{}, fmt.Errorf(
				"schemas: record %v: field %s needs an arrow tag of its own and an upper-case name", t, f.Name)
		}
		seen[c.name] = true
		var ok bool
		if c.list, c.elem, ok = typeOf(f.Type); !ok {
			return layout{}, fmt.Errorf("schemas: record %v: field %s: no column type for %v", t, f.Name, f.Type)
		}
		l.columns = append(l.columns, c)
	}
	if len(l.columns) == 0 {
		return layout{}, fmt.Errorf("schemas: record %v has no fields", t)
	}
	return l, nil
}

func typeOf(t reflect.Type) (list bool, e elem, ok bool) {
	switch t {
	case reflect.TypeFor[string]():
		return false, elemText, true
	case reflect.TypeFor[[]byte]():
		return false, elemBytes, true
	case reflect.TypeFor[bool]():
		return false, elemBool, true
	case reflect.TypeFor[int32]():
		return false, elemInt32, true
	case reflect.TypeFor[int64]():
		return false, elemInt64, true
	case reflect.TypeFor[uint64]():
		return false, elemUint64, true
	case reflect.TypeFor[float32]():
		return false, elemFloat32, true
	case reflect.TypeFor[float64]():
		return false, elemFloat64, true
	case reflect.TypeFor[[]int32]():
		return true, elemInt32, true
	case reflect.TypeFor[[]float32]():
		return true, elemFloat32, true
	case reflect.TypeFor[[]string]():
		return true, elemText, true
	}
	return false, 0, false
}

func (c column) arrowType() arrow.DataType {
	if c.list {
		return arrow.ListOfNonNullable(elems[c.elem].arrow)
	}
	return elems[c.elem].arrow
}

// cell returns a pointer to a column's field in row i. A pointer in an interface needs no
// allocation.
func cell[T any](rows reflect.Value, i, field int) *T {
	return rows.Index(i).Field(field).Addr().Interface().(*T)
}
