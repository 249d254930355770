package parquet_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	oracle "github.com/parquet-go/parquet-go"

	"itool/stages/split/format/parquet"
)

// TestTimes: a time among the arguments of a call was a text before a program made a table of it,
// and the text cannot be told: it refuses the row. One that says nothing does not.
func TestTimes(t *testing.T) {
	type call struct {
		When *time.Time `parquet:"when,optional,timestamp(millisecond)"`
		Day  *int32     `parquet:"day,optional,date"`
	}
	type row struct {
		Created  time.Time `parquet:"created,timestamp(millisecond)"`
		Metadata call      `parquet:"metadata"`
		Calls    []call    `parquet:"calls,list"`
	}
	noon, day := time.Unix(1_680_688_800, 0), int32(19723)
	var b bytes.Buffer
	w := oracle.NewGenericWriter[row](&b)
	if _, err := w.Write([]row{
		{noon, call{&noon, &day}, []call{{}}},
		{noon, call{}, []call{{When: &noon}}},
		{noon, call{}, []call{{Day: &day}}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	rows := f.Rows(1<<20, "metadata")
	got, err := rows.Next()
	const want = `{"created": 1680688800000, "metadata": null, "calls": [{"when": null, "day": null}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, err %v, want %s", got, err, want)
	}
	for _, want := range []string{"column calls.when: a date or time", "column calls.day: a date or time"} {
		if _, err := rows.Next(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("err = %v, want %s", err, want)
		}
	}
}
