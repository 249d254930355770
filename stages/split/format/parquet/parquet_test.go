package parquet_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/split/format/parquet"
)

// turn and row have all that rows of conversations have: lists of groups, lists of lists, maps,
// and absent values at every level.
type turn struct {
	Role  string   `parquet:"role,dict" json:"role"`
	Text  *string  `parquet:"text,optional" json:"text"`
	Marks []string `parquet:"marks,list" json:"marks"`
}

type row struct {
	ID      int64            `parquet:"id,delta" json:"id"`
	Small   int32            `parquet:"small,delta" json:"small"`
	Count   uint32           `parquet:"count" json:"count"`
	Big     uint64           `parquet:"big,dict" json:"big"`
	Half    float32          `parquet:"half" json:"half"`
	Score   float64          `parquet:"score,dict" json:"score"`
	Good    bool             `parquet:"good" json:"good"`
	Query   string           `parquet:"query" json:"query"`
	Source  string           `parquet:"source,dict" json:"source"`
	Lengths string           `parquet:"lengths,delta" json:"lengths"`
	Maybe   *int64           `parquet:"maybe,optional,dict" json:"maybe"`
	Turns   []turn           `parquet:"turns,list" json:"turns"`
	Bare    []int64          `parquet:"bare" json:"bare"`
	Map     map[string]int64 `parquet:"map" json:"map"`
	Inner   struct {
		A *string `parquet:"a,optional" json:"a"`
		B string  `parquet:"b" json:"b"`
	} `parquet:"inner" json:"inner"`
}

func rowOf(i int) row {
	text := fmt.Sprintf("text %d \"\\\n\x01 é", i)
	r := row{
		ID: int64(i) * 1_000_003 * int64(1-i%2*2), Small: int32(-i), Count: math.MaxUint32 - uint32(i),
		Big: math.MaxUint64 - uint64(i%3), Half: float32(i) / 3, Score: float64(i%7) / 7, Good: i%3 == 0,
		Query: strings.Repeat("q", i%50), Source: []string{"a", "b", ""}[i%3], Lengths: text[:i%9],
		Map: map[string]int64{}, Bare: []int64{}, Turns: []turn{},
	}
	if i%4 > 0 {
		r.Maybe, r.Inner.A = &r.ID, &text
	}
	for j := range i % 4 {
		t := turn{Role: []string{"user", "assistant"}[j%2], Marks: []string{}}
		if (i+j)%3 > 0 {
			t.Text = &text
		}
		for k := range (i + j) % 3 {
			t.Marks = append(t.Marks, fmt.Sprint("mark ", k))
		}
		r.Turns, r.Bare = append(r.Turns, t), append(r.Bare, int64(j))
		r.Map[fmt.Sprint("key ", j)] = int64(j)
	}
	return r
}

func write(t testing.TB, rows int, opts ...oracle.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := oracle.NewGenericWriter[row](&b, opts...)
	for i := range rows {
		if _, err := w.Write([]row{rowOf(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads data to its end, or to the first error that ends it.
func readAll(data []byte, most int) (rows []string, err error) {
	f, err := parquet.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	for r := f.Rows(most); ; {
		b, err := r.Next()
		var value *parquet.ValueError
		switch {
		case errors.Is(err, io.EOF):
			return rows, nil
		case errors.As(err, &value), errors.Is(err, parquet.ErrTooLong):
			b = []byte(err.Error())
		case err != nil:
			return rows, err
		}
		rows = append(rows, string(b))
	}
}

// TestRows: what another library writes comes out as JSON of the same values, over pages, row
// groups, packings and both versions of pages.
func TestRows(t *testing.T) {
	const total = 1000
	for _, c := range []struct {
		name string
		opts []oracle.WriterOption
	}{
		{"plain", nil},
		{"snappy", []oracle.WriterOption{oracle.Compression(&oracle.Snappy)}},
		{"gzip, version 1", []oracle.WriterOption{oracle.Compression(&oracle.Gzip), oracle.DataPageVersion(1)}},
		{"zstd, small pages", []oracle.WriterOption{oracle.Compression(&oracle.Zstd), oracle.PageBufferSize(300)}},
		{"version 1, small pages", []oracle.WriterOption{oracle.DataPageVersion(1), oracle.PageBufferSize(200)}},
		{"row groups", []oracle.WriterOption{oracle.MaxRowsPerRowGroup(37), oracle.Compression(&oracle.Snappy)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := readAll(write(t, total, c.opts...), 1<<20)
			if err != nil || len(rows) != total {
				t.Fatalf("%d rows, err %v", len(rows), err)
			}
			for i, text := range rows {
				want, err := json.Marshal(rowOf(i))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(decode(t, string(want)), decode(t, text)); diff != "" {
					t.Fatalf("row %d: -want +got:\n%s\n%s", i, diff, text)
				}
			}
		})
	}
}

// decode reads JSON with floats as numbers of 32 bits, which rowOf's half is.
func decode(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, k := range []string{"half", "score"} {
		f, err := v[k].(json.Number).Float64()
		if err != nil {
			t.Fatal(err)
		}
		v[k] = f
	}
	return v
}

// TestReal: a file that pandas wrote, read as the other library reads it.
func TestReal(t *testing.T) {
	data, err := io.ReadAll(toolcalltest.Open(t, "formats/toolrl_rlla_test.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readAll(data, 1<<20)
	if err != nil || len(rows) != 80 {
		t.Fatalf("%d rows, err %v; want 80", len(rows), err)
	}
	const begin = `{"data_source": "rlla", "prompt": [{"content": "You are a helpful multi-turn dialogue assistant`
	if !strings.HasPrefix(rows[0], begin) {
		t.Errorf("the first row begins with %.200s", rows[0])
	}
	f, err := oracle.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	all := f.RowGroups()[0].Rows()
	defer all.Close()
	buf := make([]oracle.Row, 1)
	for i, text := range rows {
		if n, _ := all.ReadRows(buf); n != 1 {
			t.Fatalf("the other library ends at row %d", i)
		}
		var texts []string // of all text columns, in their order
		for _, v := range buf[0] {
			if v.Kind() == oracle.ByteArray && !v.IsNull() {
				texts = append(texts, string(v.ByteArray()))
			}
		}
		for k, want := range texts {
			var quoted bytes.Buffer
			e := json.NewEncoder(&quoted)
			e.SetEscapeHTML(false)
			if err := e.Encode(want); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, strings.TrimSpace(quoted.String())) {
				t.Fatalf("row %d lacks its text %d, %.100q", i, k, want)
			}
		}
	}
}

// TestHostile: every cut and many flips of a file end in an error or in rows, without a panic
// and without memory that its headers ask for.
func TestHostile(t *testing.T) {
	good := write(t, 12, oracle.Compression(&oracle.Snappy), oracle.PageBufferSize(100))
	if _, err := readAll(good, 1<<20); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(good); n += 5 {
		if _, err := readAll(good[:n], 1<<20); err == nil {
			t.Fatalf("the first %d of %d bytes were read", n, len(good))
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tries := 0
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= []byte{0x01, 0x80, 0xff}[i%3]
		_, _ = readAll(bad, 1<<16)
		tries++
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(tries); each > 16<<20 {
		t.Errorf("a damaged file of %d bytes takes %d bytes of memory", len(good), each)
	}
}

// brotli is a packing that the other library writes and this one refuses.
var brotli compress.Codec = &oracle.Brotli

func TestWrong(t *testing.T) {
	good := write(t, 10)
	footer := func(n uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[len(b)-8:], n)
		return b
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"a few bytes", []byte("PAR1PAR1"), "is cut off"},
		{"cut off", good[:len(good)-100], "no footer: it is cut off"},
		{"encrypted", append(bytes.Clone(good[:len(good)-4]), "PARE"...), "encrypted"},
		{"a huge footer", footer(1 << 31), "claims 2147483648 bytes"},
		{"a footer of another place", footer(uint32(len(good) - 12)), "the Parquet file"},
		{"brotli", write(t, 10, oracle.Compression(brotli)), "packed with BROTLI, which cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if rows, err := readAll(c.data, 1<<20); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d rows, err = %v, want %q", len(rows), err, c.want)
			}
		})
	}
}

// TestBadValues: a row with a value that has no JSON, and one that is too long, are named; the
// rows beside them are read.
func TestBadValues(t *testing.T) {
	type odd struct {
		Text  string  `parquet:"text"`
		Score float64 `parquet:"score"`
	}
	var b bytes.Buffer
	w := oracle.NewGenericWriter[odd](&b)
	rows := []odd{{"a", 3}, {"\xff", 1}, {"b", math.NaN()}, {strings.Repeat("x", 2000), 0}, {"c", 1e300}}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(b.Bytes(), 1000)
	want := []string{
		`{"text": "a", "score": 3.0}`, "column text: a text that is no UTF-8", "column score: NaN is no number in JSON",
		"the row is too long", `{"text": "c", "score": 1e+300}`,
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("err %v, -want +got:\n%s", err, diff)
	}
}

func FuzzRows(f *testing.F) {
	f.Add(write(f, 20))
	f.Add(write(f, 20, oracle.Compression(&oracle.Zstd), oracle.DataPageVersion(1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readAll(data, 1<<16)
		if err != nil {
			return
		}
		for _, r := range rows {
			if strings.HasPrefix(r, "{") && !json.Valid([]byte(r)) {
				t.Fatalf("no JSON: %s", r)
			}
		}
	})
}
