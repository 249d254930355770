package schemas_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"itool/schemas"
)

// Decode does not panic or hang on any body. The rows of an accepted body encode and decode
// to the same rows.
func FuzzDecode(f *testing.F) {
	good := encode(f, everyRows).Body
	f.Add(good, 4)
	f.Add(encode[every](f, nil).Body, 0)
	f.Add([]byte{}, 0)
	for _, cut := range []int{7, 8, 100, len(good) / 2, len(good) - 8, len(good) - 1} {
		f.Add(good[:cut], 4)
	}
	for bit := 0; bit < 8*len(good); bit += 997 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		f.Add(b, 4)
	}
	for at := 4; at+8 <= len(good); at += 164 {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint64(b[at:], math.MaxInt64-7)
		f.Add(b, 4)
	}
	files, err := filepath.Glob("testdata/foreign/*.arrow")
	if err != nil || len(files) == 0 {
		f.Fatalf("no foreign streams to begin with, err %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, rows int) {
		got, err := bare[every](body, rows)
		if err != nil {
			return
		}
		if len(got) != rows {
			t.Fatalf("%d rows, asked for %d", len(got), rows)
		}
		first, err := schemas.Encode(schemas.Header{}, got)
		if err != nil {
			t.Fatalf("decoded rows do not encode: %v", err)
		}
		again, err := schemas.Decode[every](first)
		if err != nil {
			t.Fatal(err)
		}
		// Compare bytes, not rows: NaN is not equal to itself.
		if second := encode(t, again); !bytes.Equal(first.Body, second.Body) {
			t.Errorf("rows changed on the way:\n%v\n%v", got, again)
		}
	})
}
