package schemas_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/endian"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

// Streams that other languages wrote decode to the same rows, although their schema bytes
// differ from ours. The scripts beside the files made them.
func TestDecodeForeignWriters(t *testing.T) {
	want := []every{
		{
			"héllo", true, -1, 1 << 40, 1<<64 - 1, 0.5, -0.25,
			[]byte{0, 255}, []int32{1, -2, 3}, []float32{0.25}, []string{"a", "", "ß"},
		},
		{},
		{"z", true, 7, 8, 9, 1.5, 2.5, []byte("r"), []int32{4}, []float32{5, 6}, []string{"last"}},
	}
	for _, name := range []string{"pyarrow.arrow", "arrowjs.arrow"} {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "foreign", name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := bare[every](body, 3)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// small is a record whose stream is easily made by hand.
type small struct {
	Text string  `arrow:"text"`
	Ints []int32 `arrow:"ints"`
}

func (small) Schema() string { return "small/v1" }

// Arrow's writer with schemas and options that are not ours.
func TestDecodeComparesSchemasByMeaning(t *testing.T) {
	text := arrow.Field{Name: "text", Type: arrow.BinaryTypes.String}
	ints := arrow.Field{Name: "ints", Type: arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int32)}
	schema := func(fields ...arrow.Field) *arrow.Schema { return arrow.NewSchema(fields, nil) }
	nullable := func(f arrow.Field) arrow.Field { f.Nullable = true; return f }
	typed := func(f arrow.Field, t arrow.DataType) arrow.Field { f.Type = t; return f }
	named := func(f arrow.Field, name string) arrow.Field { f.Name = name; return f }
	list := func(item arrow.DataType) arrow.Field { return typed(ints, arrow.ListOf(item)) }
	metadata := arrow.MetadataFrom(map[string]string{"pandas": "{}"})
	element := arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Int32}
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	const rows = `[{"text": "é", "ints": [1, 2]}, {"text": "", "ints": []}]`

	for _, c := range []struct {
		name   string
		schema *arrow.Schema
		rows   string // JSON
		option ipc.Option
		want   string // part of the error; "" = it decodes
	}{
		{"ours", schema(text, ints), rows, nil, ""},
		{"metadata", arrow.NewSchema([]arrow.Field{text, ints}, &metadata), rows, nil, ""},
		{"nullable without nulls", schema(nullable(text), nullable(list(arrow.PrimitiveTypes.Int32))), rows, nil, ""},
		{"other item name", schema(text, typed(ints, arrow.ListOfField(element))), rows, nil, ""},
		{"a null", schema(nullable(text), ints), `[{"text": null, "ints": []}, {"text": "", "ints": []}]`, nil,
			"message 1: column text: 1 nulls, none are allowed"},
		{"a null item", schema(text, list(arrow.PrimitiveTypes.Int32)),
			`[{"text": "", "ints": [1, null]}, {"text": "", "ints": []}]`, nil, "message 1: column ints: 1 nulls"},
		{"other order", schema(ints, text), rows, nil, `schema: column 0 is "ints", want "text"`},
		{"other name", schema(named(text, "Text"), ints), `[]`, nil,
			`schema: column 0 is "Text", want "text"`},
		{"column missing", schema(text), rows, nil, "schema: 1 columns, want 2"},
		{"column too many", schema(text, ints, named(text, "x")), `[]`, nil, "schema: 3 columns, want 2"},
		{"no columns", schema(), `[]`, nil, "schema: 0 columns, want 2"},
		{"large text", schema(typed(text, arrow.BinaryTypes.LargeString), ints), rows, nil,
			"schema: column text: is large utf8, want utf8"},
		{"binary", schema(typed(text, arrow.BinaryTypes.Binary), ints), `[]`, nil, "column text: is binary, want utf8"},
		{"wide items", schema(text, list(arrow.PrimitiveTypes.Int64)), rows, nil,
			"column ints: is list of int64, want list of int32"},
		{"unsigned items", schema(text, list(arrow.PrimitiveTypes.Uint32)), rows, nil,
			"column ints: is list of uint32, want list of int32"},
		{"list of lists", schema(text, list(arrow.ListOf(arrow.PrimitiveTypes.Int32))), `[]`, nil,
			"column ints: is list of list, want list of int32"},
		{"no list", schema(text, typed(ints, arrow.PrimitiveTypes.Int32)), `[]`, nil,
			"column ints: is int32, want list of int32"},
		{"half floats", schema(text, typed(ints, arrow.FixedWidthTypes.Float16)), `[]`, nil,
			"column ints: is float16, want list of int32"},
		{"dictionary", schema(typed(text, dictionary), ints), rows, nil,
			"column text: dictionary encoding is not supported"},
		{"big endian", arrow.NewSchemaWithEndian([]arrow.Field{text, ints}, nil, endian.NonNativeEndian), `[]`, nil,
			"schema: big-endian streams are not supported"},
		{"zstd", schema(text, ints), rows, ipc.WithZstd(), "message 1: body compression is not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, c.schema, strings.NewReader(c.rows))
			if err != nil {
				t.Fatal(err)
			}
			options := []ipc.Option{ipc.WithSchema(c.schema)}
			if c.option != nil {
				options = append(options, c.option)
			}
			var body bytes.Buffer
			w := ipc.NewWriter(&body, options...)
			if err := w.Write(rec); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := bare[small](body.Bytes(), int(rec.NumRows()))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("err = %v, want %q in it", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]small{{"é", []int32{1, 2}}, {}}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
