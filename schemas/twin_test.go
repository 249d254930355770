package schemas_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Arrow's reader is the slow, obvious twin of ours: if we accept a stream with damaged
// values, Arrow reads the same rows. Metadata is not damaged here: Arrow's reader ends the
// process on some fields that ours does not read.
func TestDamagedValuesReadAsArrowReadsThem(t *testing.T) {
	good := encode(t, everyRows).Body
	// The body of the second message, between its metadata and the end marker.
	schema := 8 + int(binary.LittleEndian.Uint32(good[4:]))
	from, to := schema+8+int(binary.LittleEndian.Uint32(good[schema+4:])), len(good)-8
	accepted := 0
	for bit := 8 * from; bit < 8*to; bit++ {
		body := bytes.Clone(good)
		body[bit/8] ^= 1 << (bit % 8)
		got, err := bare[every](body, len(everyRows))
		if err != nil {
			continue
		}
		accepted++
		if diff := cmp.Diff(arrowRows(t, body), got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("byte %d, bit %d flipped: -arrow +ours:\n%s", bit/8, bit%8, diff)
		}
	}
	// Most bits belong to numbers and padding, where every value is valid.
	if all := 8 * (to - from); accepted < all/2 {
		t.Errorf("only %d of %d damaged streams were compared", accepted, all)
	}
}

func arrowRows(t *testing.T, body []byte) (rows []every) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		rec := r.Record()
		for i := range int(rec.NumRows()) {
			row := every{
				Text: rec.Column(0).(*array.String).Value(i),
				Yes:  rec.Column(1).(*array.Boolean).Value(i),
				I32:  rec.Column(2).(*array.Int32).Value(i),
				I64:  rec.Column(3).(*array.Int64).Value(i),
				U64:  rec.Column(4).(*array.Uint64).Value(i),
				F32:  rec.Column(5).(*array.Float32).Value(i),
				F64:  rec.Column(6).(*array.Float64).Value(i),
				Raw:  rec.Column(7).(*array.Binary).Value(i),
			}
			from, to := rec.Column(8).(*array.List).ValueOffsets(i)
			row.Ints = rec.Column(8).(*array.List).ListValues().(*array.Int32).Int32Values()[from:to]
			from, to = rec.Column(9).(*array.List).ValueOffsets(i)
			row.Floats = rec.Column(9).(*array.List).ListValues().(*array.Float32).Float32Values()[from:to]
			from, to = rec.Column(10).(*array.List).ValueOffsets(i)
			for j := from; j < to; j++ {
				texts := rec.Column(10).(*array.List).ListValues().(*array.String)
				row.Texts = append(row.Texts, texts.Value(int(j)))
			}
			rows = append(rows, row)
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return rows
}
