package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"itool/stages/split/format"
)

// pack cuts data into shards of n rows, as publishing does.
func pack(t testing.TB, data string, n int) (kind format.Format, shards [][]byte) {
	t.Helper()
	f, err := format.Open(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := format.NewShard(0)
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		var b bytes.Buffer
		if err := s.End(&b, "digest"); err != nil {
			t.Fatal(err)
		}
		shards = append(shards, b.Bytes())
	}
	for raw, err := range f.Rows(t.Context()) {
		if err == nil {
			err = s.Add(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		if s.Rows == n {
			end()
		}
	}
	if s.Rows > 0 {
		end()
	}
	return f.Format, shards
}

// TestShard: rows come out of shards as Read reads them from the file, the broken ones too,
// with their numbers, lines and bytes.
func TestShard(t *testing.T) {
	rows := []string{
		openaiRow, "{\"messages\":\n oops}", openaiRow, "\"\xff\n\"", `{"messages": "` + strings.Repeat("x", 1<<20) +
			`"}`, "[]", "", // nothing between two commas
		openaiRow, "",
	}
	data := "[" + strings.Join(rows, ",\n\n") + "]"
	var want []string
	for row, err := range format.Read(t.Context(), strings.NewReader(data), format.OpenAI, 0, len(rows)) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%d %d %v %s", row.Number, row.Line, row.Messages, errText(row.Err)))
	}
	for size := 1; size <= len(rows); size++ {
		kind, shards := pack(t, data, size)
		n := 0
		for i, shard := range shards {
			first, count := i*size, min(size, len(rows)-i*size)
			for row, err := range format.ReadShard(t.Context(), bytes.NewReader(shard), kind, "digest", first, count) {
				if err != nil {
					t.Fatal(err)
				}
				got := fmt.Sprintf("%d %d %v %s", row.Number, row.Line, row.Messages, errText(row.Err))
				if got != want[n] {
					t.Errorf("shards of %d, row %d:\n%s, want\n%s", size, n, got, want[n])
				}
				n++
			}
		}
		if n != len(rows) {
			t.Errorf("shards of %d: %d rows, want %d", size, n, len(rows))
		}
	}
}

func errText(err *format.RowError) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestWrongShards: an object that is not the shard of this task ends its rows.
func TestWrongShards(t *testing.T) {
	kind, shards := pack(t, strings.Repeat(openaiRow+"\n", 5), 5)
	good := shards[0]
	head := "itool rows 1 digest 0 2\n"
	for _, c := range []struct {
		name   string
		data   []byte
		digest string
		first  int
		rows   int
		want   string
	}{
		{"of another file", good, "other", 0, 5, "not with \"itool rows 1 other 0 5"},
		{"of other rows", good, "digest", 5, 5, "not with \"itool rows 1 digest 5 5"},
		{"cut off", good[:len(good)-9], "digest", 0, 5, "the zstd data ends too early"},
		{"fewer rows", []byte(zstded(t, head+"1 2\n{}\n")), "digest", 0, 2,
			"row 1: the stored shard: it ends too early"},
		{"more rows", []byte(zstded(t, head+"1 2\n{}\n2 2\n{}\n3 2\n{}\n")), "digest", 0, 2,
			"more rows than were published"},
		{"a huge length", []byte(zstded(t, head+"1 99999999999\n{}\n")), "digest", 0, 2, "line and length are wanted"},
		{"no length", []byte(zstded(t, head+"hello\n")), "digest", 0, 2, "line and length are wanted"},
		{"an error that is none", []byte(zstded(t, head+"1 -1 [1]\n2 2\n{}\n")), "digest", 0, 2, "want what is wrong"},
		{"a row with an error", []byte(zstded(t, head+"1 2 [\"a\",\"b\",\"c\"]\n{}\n")), "digest", 0, 2,
			"line and length are wanted"},
		{"a wrong length", []byte(zstded(t, head+"1 1\n{}\n2 2\n{}\n")), "digest", 0, 2, "longer than its length says"},
		{"no line end", []byte(zstded(t, strings.Repeat("x", 1<<20))), "digest", 0, 2, "a line without an end"},
		{"no zstd", []byte("hello"), "digest", 0, 2, "the zstd data"},
		{"empty", nil, "digest", 0, 2, "ends too early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got error
			for _, err := range format.ReadShard(t.Context(), bytes.NewReader(c.data), kind, c.digest, c.first,
				c.rows) {
				got = errors.Join(got, err)
			}
			var broken *format.BrokenError
			if !errors.As(got, &broken) || !strings.Contains(got.Error(), c.want) {
				t.Errorf("err = %v, want a *BrokenError with %q", got, c.want)
			}
		})
	}
	// A store that fails is tried again: its error must stay what it is.
	gone := errors.New("the store is gone")
	fails := io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(gone))
	var got error
	for _, err := range format.ReadShard(t.Context(), fails, kind, "digest", 0, 5) {
		got = errors.Join(got, err)
	}
	if !errors.Is(got, gone) {
		t.Errorf("a failing store: err = %v, want its own", got)
	}
}

// FuzzOpen: for any bytes the rows of a file end, are in order, and come out of a shard again.
func FuzzOpen(f *testing.F) {
	for _, data := range []string{
		openaiRow, "[" + bfclRow + "," + bfclRow + "]", `{"data": [` + toolaceRow + `], "x": {"y": "]"}}`,
		"{\"data\": [1", "[" + bfclRow + ",, ]",
		gzipped(f, openaiRow), zstded(f, "[{}]"),
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := format.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		s, err := format.NewShard(0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for raw, err := range file.Rows(t.Context()) {
			if err != nil {
				return
			}
			if raw.Number != n || raw.Line < 1 || (raw.Err == nil) != (raw.Bytes != nil) {
				t.Fatalf("row %d: %+v", n, raw)
			}
			if err := s.Add(raw); err != nil {
				t.Fatal(err)
			}
			n++
		}
		var b bytes.Buffer
		if err := s.End(&b, "d"); err != nil {
			t.Fatal(err)
		}
		for row, err := range format.ReadShard(t.Context(), &b, file.Format, "d", 0, n) {
			if err != nil {
				t.Fatalf("row %d of a shard: %v", row.Number, err)
			}
		}
	})
}
