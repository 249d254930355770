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

	"itool/schemas"
)

// What other languages write, with other schema bytes than ours, is the same
// record. The files are made by the scripts beside them.
func TestDecodeForeignWriters(t *testing.T) {
	want := []every{
		{"héllo", true, -1, 1 << 40, 1<<64 - 1, 0.5, -0.25, []byte{0, 255}, []int32{1, -2, 3}, []float32{0.25}, []string{"a", "", "ß"}},
		{},
		{"z", true, 7, 8, 9, 1.5, 2.5, []byte("r"), []int32{4}, []float32{5, 6}, []string{"last"}},
	}
	for _, name := range []string{"pyarrow.arrow", "arrowjs.arrow"} {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "foreign", name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := schemas.Decode[every](schemas.Batch{Header: schemas.Header{Schema: "every/v3", Rows: 3}, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// small is a record whose stream is quickly made by hand.
type small struct {
	Text string  `arrow:"text"`
	Ints []int32 `arrow:"ints"`
}

func (small) Schema() string { return "small/v1" }

// Arrow's writer with schemas and options that are not ours.
func TestDecodeComparesSchemasByMeaning(t *testing.T) {
	text := arrow.Field{Name: "text", Type: arrow.BinaryTypes.String}
	ints := arrow.Field{Name: "ints", Type: arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int32)}
	nullable := func(f arrow.Field) arrow.Field { f.Nullable = true; return f }
	typed := func(f arrow.Field, t arrow.DataType) arrow.Field { f.Type = t; return f }
	metadata := arrow.MetadataFrom(map[string]string{"pandas": "{}"})
	const rows = `[{"text": "é", "ints": [1, 2]}, {"text": "", "ints": []}]`

	for _, c := range []struct {
		name   string
		schema *arrow.Schema
		rows   string // JSON
		option ipc.Option
		want   string // part of the error; "" = it decodes
	}{
		{"ours", arrow.NewSchema([]arrow.Field{text, ints}, nil), rows, nil, ""},
		{"metadata", arrow.NewSchema([]arrow.Field{text, ints}, &metadata), rows, nil, ""},
		{"nullable without nulls", arrow.NewSchema([]arrow.Field{nullable(text), nullable(typed(ints, arrow.ListOf(arrow.PrimitiveTypes.Int32)))}, nil), rows, nil, ""},
		{"other item name", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Int32}))}, nil), rows, nil, ""},
		{"a null", arrow.NewSchema([]arrow.Field{nullable(text), ints}, nil), `[{"text": null, "ints": []}, {"text": "", "ints": []}]`, nil, "message 1: column text: 1 nulls, none are allowed"},
		{"a null item", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.ListOf(arrow.PrimitiveTypes.Int32))}, nil), `[{"text": "", "ints": [1, null]}, {"text": "", "ints": []}]`, nil, "message 1: column ints: 1 nulls"},
		{"other order", arrow.NewSchema([]arrow.Field{ints, text}, nil), rows, nil, `schema: column 0 is "ints", want "text"`},
		{"other name", arrow.NewSchema([]arrow.Field{{Name: "Text", Type: text.Type}, ints}, nil), `[]`, nil, `schema: column 0 is "Text", want "text"`},
		{"column missing", arrow.NewSchema([]arrow.Field{text}, nil), rows, nil, "schema: 1 columns, want 2"},
		{"column too many", arrow.NewSchema([]arrow.Field{text, ints, {Name: "x", Type: text.Type}}, nil), `[]`, nil, "schema: 3 columns, want 2"},
		{"no columns", arrow.NewSchema(nil, nil), `[]`, nil, "schema: 0 columns, want 2"},
		{"large text", arrow.NewSchema([]arrow.Field{typed(text, arrow.BinaryTypes.LargeString), ints}, nil), rows, nil, "schema: column text: is large utf8, want utf8"},
		{"binary", arrow.NewSchema([]arrow.Field{typed(text, arrow.BinaryTypes.Binary), ints}, nil), `[]`, nil, "column text: is binary, want utf8"},
		{"wide items", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.ListOf(arrow.PrimitiveTypes.Int64))}, nil), rows, nil, "column ints: is list of int64, want list of int32"},
		{"unsigned items", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.ListOf(arrow.PrimitiveTypes.Uint32))}, nil), rows, nil, "column ints: is list of uint32, want list of int32"},
		{"list of lists", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int32)))}, nil), `[]`, nil, "column ints: is list of list, want list of int32"},
		{"no list", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.PrimitiveTypes.Int32)}, nil), `[]`, nil, "column ints: is int32, want list of int32"},
		{"half floats", arrow.NewSchema([]arrow.Field{text, typed(ints, arrow.FixedWidthTypes.Float16)}, nil), `[]`, nil, "column ints: is float16, want list of int32"},
		{"dictionary", arrow.NewSchema([]arrow.Field{typed(text, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}), ints}, nil), rows, nil, "column text: dictionary encoding is not supported"},
		{"big endian", arrow.NewSchemaWithEndian([]arrow.Field{text, ints}, nil, endian.NonNativeEndian), `[]`, nil, "schema: big-endian streams are not supported"},
		{"zstd", arrow.NewSchema([]arrow.Field{text, ints}, nil), rows, ipc.WithZstd(), "message 1: body compression is not supported"},
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
			got, err := schemas.Decode[small](schemas.Batch{Header: schemas.Header{Schema: "small/v1", Rows: int(rec.NumRows())}, Body: body.Bytes()})
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
