package schemas_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"itool/schemas"
)

// bare decodes a body whose header has no digest.
func bare[R schemas.Record](body []byte, rows int) ([]R, error) {
	var zero R
	header := schemas.Header{Schema: zero.Schema(), Rows: rows}
	return schemas.Decode[R](schemas.Batch{Header: header, Body: body})
}

// pair64 is an entry of a record batch's metadata: {values, nulls} of an array
// or {offset, bytes} of a buffer.
func pair64(a, b int64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(a)), uint64(b))
}

// follow, vtable and slot walk a good flatbuffer: from an offset to its target, from a table
// to its vtable, from a table to its field.
func follow(b []byte, at int) int { return at + int(binary.LittleEndian.Uint32(b[at:])) }

func vtable(b []byte, table int) int {
	return table - int(int32(binary.LittleEndian.Uint32(b[table:])))
}

func slot(b []byte, table, i int) int {
	return table + int(binary.LittleEndian.Uint16(b[vtable(b, table)+4+2*i:]))
}

func int32s(v ...int32) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return b
}

// Each case damages one place of a good stream. The error must name that damage.
func TestDecodeNamesTheDamage(t *testing.T) {
	rows := []small{{"ab", []int32{101, 102, 103}}, {"é", []int32{104}}, {"", nil}}
	good := encode(t, rows).Body
	end := int32s(-1, 0)
	swap := func(old, new []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			if n := bytes.Count(b, old); n != 1 {
				t.Fatalf("%v is %d times in the stream, want once", old, n)
			}
			return bytes.Replace(b, old, new, 1)
		}
	}
	textOffsets, listOffsets := int32s(0, 2, 4, 4), int32s(0, 3, 4, 4)
	if n := bytes.Count(good, pair64(3, 0)); n != 2 {
		t.Fatalf("two arrays of 3 values expected, found %d", n)
	}

	// The metadata of both messages, and what to overwrite in it.
	batch := 8 + int(binary.LittleEndian.Uint32(good[4:]))
	schemaRoot, batchRoot := follow(good, 8), follow(good, batch+8)
	put := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	fields := follow(good, slot(good, follow(good, slot(good, schemaRoot, 2)), 1))

	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		rows   int
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, 3, "message 0: byte 0: no end marker: the stream is cut short"},
		{"not arrow", func([]byte) []byte { return []byte(`{"text": "ab"}`) }, 3,
			"message 0: byte 0: no message marker"},
		{"end marker alone", func([]byte) []byte { return end }, 3, "no schema before the end marker"},
		{"end marker cut", func(b []byte) []byte { return b[:len(b)-8] }, 3, "no end marker"},
		{"more after the end", func(b []byte) []byte { return append(b, 0) }, 3, "1 bytes after the end marker"},
		{"two streams", func(b []byte) []byte { return append(b, b...) }, 3, "bytes after the end marker"},
		{"two schemas", func(b []byte) []byte {
			schema := b[:8+int(binary.LittleEndian.Uint32(b[4:]))]
			return append(bytes.Clone(schema), b...)
		}, 3, "message 1: schema not allowed here"},
		{"no schema", func(b []byte) []byte { return b[8+int(binary.LittleEndian.Uint32(b[4:])):] }, 3,
			"message 0: record batch not allowed here"},
		{"huge metadata", func(b []byte) []byte { copy(b[4:], int32s(math.MaxInt32)); return b }, 3,
			"message 0: byte 0: metadata of 2147483647 bytes"},
		{"negative metadata", func(b []byte) []byte { copy(b[4:], int32s(-2)); return b }, 3,
			"metadata of 4294967294 bytes"},
		{"root outside", func(b []byte) []byte { copy(b[8:], int32s(math.MaxInt32)); return b }, 3,
			"message 0: metadata: offset 2147483647 at byte 0 points outside"},
		{"vtable outside", put(schemaRoot, int32s(math.MaxInt32)...), 3, "message 0: metadata: byte -21474"},
		{"vtable too short", put(vtable(good, schemaRoot), 2, 0), 3, "message 0: metadata: table at byte"},
		{"vtable of odd length", put(vtable(good, schemaRoot), 13, 0), 3, "has a bad vtable"},
		{"vtable too long", put(vtable(good, schemaRoot), 0xFE, 0xFF), 3, "has a bad vtable"},
		{"table too long", put(vtable(good, schemaRoot)+2, 0xFF, 0xFF), 3, "has a bad vtable"},
		{"table too short", put(vtable(good, schemaRoot)+2, 3, 0), 3, "has a bad vtable"},
		{"field outside its table", put(vtable(good, schemaRoot)+4+2*2, 0xFF, 0x7F), 3,
			"message 0: metadata: field 2 of the table at byte"},
		{"more columns than bytes", put(fields, int32s(math.MaxInt32)...), 3, "elements of 4 bytes"},
		{"no columns", put(fields, int32s(0)...), 3, "schema: 0 columns, want 2"},
		{"column outside", put(fields+4, int32s(math.MaxInt32)...), 3, "schema: metadata: offset 2147483647"},
		{"metadata of an old version", put(slot(good, batchRoot, 0), 2, 0), 3,
			"message 1: metadata version 3: want V4 or V5"},
		{"dictionary batch", put(slot(good, batchRoot, 1), 2), 3, "message 1: dictionary batch not allowed here"},
		{"unknown message", put(slot(good, batchRoot, 1), 77), 3, "message 1: unknown kind not allowed here"},
		{"empty message", put(slot(good, batchRoot, 1), 0), 3, "message 1: metadata: no header"},
		{"negative body", put(slot(good, batchRoot, 3), pair64(-1, 0)[:8]...), 3, "message 1: body of -1 bytes"},
		{"negative rows", put(slot(good, follow(good, slot(good, batchRoot, 2)), 0), pair64(-1, 0)[:8]...), 3,
			"message 1: -1 rows"},
		{"rows in header", func(b []byte) []byte { return b }, 4, "3 rows, the header says 4"},
		{"huge array", swap(append(pair64(3, 0), pair64(4, 0)...), append(pair64(1<<40, 0), pair64(4, 0)...)), 3,
			"message 1: column ints: 1099511627776 values"},
		{"negative array", swap(append(pair64(3, 0), pair64(4, 0)...), append(pair64(-1, 0), pair64(4, 0)...)), 3,
			"column ints: -1 values"},
		{"array of another length", swap(append(pair64(3, 0), pair64(4, 0)...), append(pair64(2, 0), pair64(4, 0)...)),
			3, "column ints: 2 values, the batch has 3 rows"},
		{"hidden null", swap(append(pair64(3, 0), pair64(4, 0)...), append(pair64(3, 1), pair64(4, 0)...)), 3,
			"column ints: 1 nulls"},
		{"items beyond buffer", swap(pair64(4, 0), pair64(5, 0)), 3,
			"column ints: 5 items need 20 bytes, the buffer has 16"},
		{"offset beyond items", swap(listOffsets, int32s(0, 3, 91, 91)), 3, "column ints: row 1: offset 91 beyond 4"},
		{"offset beyond text", swap(textOffsets, int32s(0, 2, 4, 5)), 3, "column text: row 2: offset 5 beyond 4"},
		{"offset falls", swap(textOffsets, int32s(0, 2, 1, 4)), 3, "column text: row 1: offset 1 after 2"},
		{"offset negative", swap(textOffsets, int32s(-1, 2, 4, 4)), 3, "column text: row 0: offset -1 after 0"},
		{"offset splits a rune", swap(textOffsets, int32s(0, 3, 4, 4)), 3, "column text: row 0: not UTF-8"},
		{"not UTF-8", swap([]byte("abé"), []byte("ab\xff\xfe")), 3, "column text: row 1: not UTF-8"},
		{"buffer outside", swap(pair64(0, 16), pair64(0, 1<<40)), 3, "column text: buffer of 1099511627776 bytes at 0"},
		{"buffer before the body", swap(pair64(0, 16), pair64(-8, 16)), 3, "buffer of 16 bytes at -8"},
		{"buffer of negative size", swap(pair64(0, 16), pair64(0, -16)), 3, "buffer of -16 bytes"},
		{"sum overflows", swap(pair64(0, 16), pair64(math.MaxInt64, math.MaxInt64)), 3,
			"buffer of 9223372036854775807 bytes"},
		{"buffers overlap", swap(pair64(24, 16), pair64(0, 16)), 3,
			"column ints: buffer at 0 overlaps the one before it"},
		{"too few offsets", swap(pair64(0, 16), pair64(0, 12)), 3,
			"column text: 3 rows need 4 offsets, the buffer has 3"},
		{"body beyond the stream", func(b []byte) []byte { return append(b[:len(b)-24], end...) }, 3,
			"message 1: body of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := bare[small](c.damage(bytes.Clone(good)), c.rows)
			got := fmt.Sprint(err)
			if !strings.HasPrefix(got, "schemas: small/v1: ") || !strings.Contains(got, c.want) {
				t.Errorf("err = %v\nwant schemas: small/v1: … %s", err, c.want)
			}
		})
	}
}

// Slices of larger arrays: some writers keep offsets that do not begin at 0.
func TestDecodeOffsetsThatBeginLater(t *testing.T) {
	good := encode(t, []small{{"ab", []int32{101, 102, 103}}, {"é", []int32{104}}}).Body
	body := bytes.Replace(good, int32s(0, 2, 4), int32s(1, 2, 4), 1)
	body = bytes.Replace(body, int32s(0, 3, 4), int32s(2, 3, 3), 1)
	got, err := bare[small](body, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []small{{"b", []int32{103}}, {"é", nil}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A writer may write a validity bitmap although no value is null.
func TestValidityBitmap(t *testing.T) {
	for _, c := range []struct {
		name   string
		rows   int
		bitmap []byte
		want   string // part of the error; "" = accepted
	}{
		{"two valid", 2, []byte{0b11}, ""},
		{"more bits than rows", 2, []byte{0xFF}, ""},
		{"a null", 2, []byte{0b01}, "column ints: a value is null, though the null count is 0"},
		{"eight valid", 8, []byte{0xFF}, ""},
		{"a null of eight", 8, []byte{0x7F}, "column ints: a value is null"},
		{"ten valid", 10, []byte{0xFF, 0b11}, ""},
		{"a null in the second byte", 10, []byte{0xFF, 0b01}, "column ints: a value is null"},
		{"too short", 10, []byte{0xFF}, "column ints: a value is null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := encode(t, make([]small, c.rows)).Body
			batch := 8 + int(binary.LittleEndian.Uint32(body[4:]))
			start := batch + 8 + int(binary.LittleEndian.Uint32(body[batch+4:]))
			// Of the buffers, the fourth is the second column's bitmap. It fits
			// into the padding after the text's offsets.
			places := follow(body, slot(body, follow(body, slot(body, follow(body, batch+8), 2)), 2)) + 4
			at := 4 * (c.rows + 1)
			copy(body[places+3*16:], pair64(int64(at), int64(len(c.bitmap))))
			copy(body[start+at:], c.bitmap)

			rows, err := bare[small](body, c.rows)
			if c.want == "" && (err != nil || len(rows) != c.rows) {
				t.Errorf("%d rows, err %v, want %d rows", len(rows), err, c.rows)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}
