package schemas_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"itool/schemas"
)

// Decode keeps its limit of memory for every cut and every flipped bit of a batch.
func TestDamagedBatchesStayWithinTheLimit(t *testing.T) {
	good := encode(t, everyRows)
	for n := range good.Body {
		cost[every](t, good.Body[:n], len(everyRows), true)
	}
	flipped := bytes.Clone(good.Body)
	for bit := range 8 * len(flipped) {
		flipped[bit/8] ^= 1 << (bit % 8)
		if bit%8 != bit/8%8 {
			_, _ = bare[every](flipped, len(everyRows))
		} else { // measuring stops all goroutines, so it is done for one bit in eight
			cost[every](t, flipped, len(everyRows), false)
			b := schemas.Batch{Header: good.Header, Body: flipped}
			if _, err := schemas.Decode[every](b); err == nil || !strings.Contains(err.Error(), "digest") {
				t.Fatalf("bit %d flipped, err = %v, want the digest to differ", bit, err)
			}
		}
		flipped[bit/8] ^= 1 << (bit % 8)
	}
	// Counts and offsets are words of four bytes: make each one in turn large.
	for _, word := range []uint32{math.MaxUint32, math.MaxInt32, 1 << 31, 1 << 24, 0} {
		for at := 0; at+4 <= len(flipped); at += 4 {
			binary.LittleEndian.PutUint32(flipped[at:], word)
			cost[every](t, flipped, len(everyRows), false)
			copy(flipped[at:], good.Body[at:at+4])
		}
	}
}

// cost decodes a damaged body and measures what that allocates.
func cost[R schemas.Record](t *testing.T, body []byte, rows int, refused bool) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := bare[R](body, rows)
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4*len(body)+1<<20); got > limit {
		t.Fatalf("%d bytes allocated %d, limit %d", len(body), got, limit)
	}
	if refused && err == nil {
		t.Fatalf("a stream cut at %d was accepted", len(body))
	}
}

// lists is the record with the worst ratio of memory to message: an empty list takes 4
// bytes in the message and 24 in memory.
type lists struct {
	A []int32   `arrow:"a"`
	B []float32 `arrow:"b"`
	C []string  `arrow:"c"`
	D []byte    `arrow:"d"`
}

func (lists) Schema() string { return "lists/v1" }

// flags needs 8 bytes of memory for every byte of a message.
type flags struct {
	On bool `arrow:"on"`
}

func (flags) Schema() string { return "flags/v1" }

func TestMemoryIsCapped(t *testing.T) {
	t.Run("empty lists", func(t *testing.T) { capped(t, make([]lists, 100), make([]lists, 100_000)) })
	t.Run("flags", func(t *testing.T) { capped(t, make([]flags, 500_000), make([]flags, 4_000_000)) })
	t.Run("empty items", func(t *testing.T) {
		capped(t, []lists{{C: make([]string, 10_000)}}, make([]lists, 60_000))
	})
}

// capped checks that few rows pass within the limit and that many are refused
// by Encode, before they could be published.
func capped[R schemas.Record](t *testing.T, few, many []R) {
	t.Helper()
	b := encode(t, few)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows, err := schemas.Decode[R](b)
	runtime.ReadMemStats(&after)
	if err != nil || len(rows) != len(few) {
		t.Fatalf("%d rows, err %v, want %d rows", len(rows), err, len(few))
	}
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4*len(b.Body)+1<<20); got > limit {
		t.Errorf("%d bytes allocated %d, limit %d", len(b.Body), got, limit)
	}
	_, err = schemas.Encode(schemas.Header{}, many)
	if err == nil || !strings.Contains(err.Error(), "write fewer rows per batch") {
		t.Errorf("%d rows: err = %v, want advice to write fewer", len(many), err)
	}
}

// A stream may hold many record batches. Each needs little memory, and all rows count.
func TestManySmallBatches(t *testing.T) {
	t.Run("all types", func(t *testing.T) {
		repeat(t, every{Text: "x", Raw: []byte{1}, Ints: []int32{1}, Floats: []float32{1}, Texts: []string{"y"}})
	})
	t.Run("lists", func(t *testing.T) {
		repeat(t, lists{A: []int32{1}, B: []float32{1}, C: []string{"x"}, D: []byte{1}})
	})
	t.Run("flags", func(t *testing.T) { repeat(t, flags{true}) })
}

// repeat writes one row in each of many batches of one stream.
func repeat[R schemas.Record](t *testing.T, row R) {
	one := encode(t, []R{row}).Body
	schema := 8 + int(binary.LittleEndian.Uint32(one[4:]))
	const n = 20_000
	body := bytes.Clone(one[:schema])
	for range n {
		body = append(body, one[schema:len(one)-8]...)
	}
	body = append(body, one[len(one)-8:]...)
	rows, err := bare[R](body, n)
	if err != nil || len(rows) != n || !reflect.DeepEqual(rows[n-1], row) {
		t.Fatalf("%d rows, err %v, want %d times %v", len(rows), err, n, row)
	}
	cost[R](t, body, n, false)
}
