package schemas_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"itool/schemas"
)

// every has a field of each type that a record may have.
type every struct {
	Text   string    `arrow:"text"`
	Yes    bool      `arrow:"yes"`
	I32    int32     `arrow:"i32"`
	I64    int64     `arrow:"i64"`
	U64    uint64    `arrow:"u64"`
	F32    float32   `arrow:"f32"`
	F64    float64   `arrow:"f64"`
	Raw    []byte    `arrow:"raw"`
	Ints   []int32   `arrow:"ints"`
	Floats []float32 `arrow:"floats"`
	Texts  []string  `arrow:"texts"`
}

func (every) Schema() string { return "every/v3" }

var everyRows = []every{
	{
		"héllo 調べる", true, math.MinInt32, math.MaxInt64, math.MaxUint64, -0.5, math.Inf(1),
		[]byte{0, 255}, []int32{1, -2, 3}, []float32{0.25}, []string{"a", "", "ß"},
	},
	{},
	{Text: "x", F64: math.NaN(), Ints: []int32{7}, Texts: []string{""}},
	{Yes: true, Raw: []byte("raw"), Floats: []float32{1, 2, 3}},
}

func TestRoundTrip(t *testing.T) {
	nine := make([]every, 9) // a bitmap of more than one byte
	for i := range nine {
		nine[i].Yes = i%3 == 0
	}
	for _, c := range []struct {
		name string
		rows []every
	}{
		{"no rows", nil},
		{"one zero row", make([]every, 1)},
		{"all types", everyRows},
		{"nine rows", nine},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := encode(t, c.rows)
			got, err := schemas.Decode[every](b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.rows, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("rows changed (-want +got):\n%s", diff)
			}
			if again := encode(t, c.rows); !bytes.Equal(again.Body, b.Body) || again.Header != b.Header {
				t.Error("the same rows gave other bytes")
			}
		})
	}
}

func TestEmptyListsAreNil(t *testing.T) {
	empty := every{Raw: []byte{}, Ints: []int32{}, Texts: []string{}, Floats: []float32{}}
	got, err := schemas.Decode[every](encode(t, []every{empty}))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got[0], every{}) {
		t.Errorf("got %#v, want all nil", got[0])
	}
}

// Rows share arrays; an append to one row's list must not write into the next row's.
func TestAppendDoesNotChangeTheNextRow(t *testing.T) {
	two := []every{{Ints: []int32{1}, Raw: []byte{1}}, {Ints: []int32{2}, Raw: []byte{2}}}
	rows, err := schemas.Decode[every](encode(t, two))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = append(rows[0].Ints, 9), append(rows[0].Raw, 9)
	if rows[1].Ints[0] != 2 || rows[1].Raw[0] != 2 {
		t.Errorf("the next row became %v, %v", rows[1].Ints, rows[1].Raw)
	}
}

// Arrow's own reader is the reference for readers in other languages: it reads our bytes.
func TestArrowReadsOurBytes(t *testing.T) {
	r, err := ipc.NewReader(bytes.NewReader(encode(t, everyRows).Body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() {
		t.Fatalf("no record batch: %v", r.Err())
	}
	rec := r.Record()
	want := []struct{ name, typ, first string }{
		{"text", "utf8", "héllo 調べる"},
		{"yes", "bool", "true"},
		{"i32", "int32", "-2147483648"},
		{"i64", "int64", "9223372036854775807"},
		{"u64", "uint64", "18446744073709551615"},
		{"f32", "float32", "-0.5"},
		{"f64", "float64", "+Inf"},
		{"raw", "binary", "AP8="},
		{"ints", "list<item: int32>", "[1,-2,3]"},
		{"floats", "list<item: float32>", "[0.25]"},
		{"texts", "list<item: utf8>", `["a","","ß"]`},
	}
	for i, w := range want {
		f := rec.Schema().Field(i)
		if f.Name != w.name || f.Type.String() != w.typ || f.Nullable {
			t.Errorf("column %d is %s %s (nullable %v), want %s %s", i, f.Name, f.Type, f.Nullable, w.name, w.typ)
		}
		if got := rec.Column(i).ValueStr(0); got != w.first {
			t.Errorf("column %s: first value %s, want %s", w.name, got, w.first)
		}
	}
	if r.Next() || r.Err() != nil {
		t.Errorf("want one record batch, then the end; err %v", r.Err())
	}
}

func encode[R schemas.Record](t testing.TB, rows []R) schemas.Batch {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: "r", Key: "k"}, rows)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
