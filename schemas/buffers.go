package schemas

import (
	"fmt"
	"math"
)

// recordBatch finds the buffers of each column. It checks that every buffer lies in the
// body and that no two overlap: otherwise a small message could claim much memory.
func (l layout) recordBatch(m message, arrays *[]buffers) (rows int, err error) {
	f := m.header.f
	length := m.header.int64(0)
	nodes, nodeCount := m.header.vector(1, 16)
	places, placeCount := m.header.vector(2, 16)
	_, viewCount := m.header.vector(4, 8)
	compressed := m.header.table(3).present()
	wantNodes, wantPlaces := l.counts()
	switch {
	case f.err != nil:
		return 0, f.err
	case compressed:
		return 0, fmt.Errorf("body compression is not supported")
	case nodeCount != wantNodes || placeCount != wantPlaces || viewCount != 0:
		return 0, fmt.Errorf("%d arrays in %d buffers, want %d in %d", nodeCount, placeCount, wantNodes, wantPlaces)
	case length < 0 || length > math.MaxInt32:
		return 0, fmt.Errorf("%d rows", length)
	}
	r := bufferReader{f: f, body: m.body, node: nodes, place: places}
	*arrays = (*arrays)[:0]
	for _, c := range l.columns {
		outer := r.array(c.list || c.elem.variable(), !c.list)
		*arrays = append(*arrays, outer)
		if r.err == nil && int64(outer.n) != length {
			r.err = fmt.Errorf("%d values, the batch has %d rows", outer.n, length)
		}
		if c.list {
			*arrays = append(*arrays, r.array(c.elem.variable(), true))
		}
		if r.err != nil {
			return 0, fmt.Errorf("column %s: %w", c.name, r.err)
		}
	}
	return int(length), f.err
}

// counts returns how many arrays and buffers a record batch must have.
func (l layout) counts() (arrays, places int) {
	for _, c := range l.columns {
		arrays, places = arrays+1, places+2
		if c.list {
			arrays, places = arrays+1, places+2
		}
		if c.elem.variable() {
			places++
		}
	}
	return arrays, places
}

// buffers hold the values of one array as the message stores them.
type buffers struct {
	n       int
	offsets []byte // n+1 int32, or empty when n is 0; nil for fixed-width values
	data    []byte // nil for a list
}

// bufferReader takes the arrays of one record batch in order.
type bufferReader struct {
	f           *flat
	body        []byte
	node, place int // in the metadata, of the next array and the next buffer
	used        int // bytes of the body up to the end of the last buffer
	err         error
}

func (r *bufferReader) array(offsets, data bool) buffers {
	n, nulls := r.f.int64(r.node), r.f.int64(r.node+8)
	r.node += 16
	a := buffers{}
	switch {
	case n < 0 || n > math.MaxInt32:
		r.fail("%d values", n)
	case nulls != 0:
		r.fail("%d nulls, none are allowed", nulls)
	default:
		a.n = int(n)
	}
	validity := r.buffer()
	if !allSet(validity, a.n) {
		r.fail("a value is null, though the null count is 0")
	}
	if offsets {
		a.offsets = r.buffer()
	}
	if data {
		a.data = r.buffer()
	}
	return a
}

// buffer takes the next buffer. Every known writer puts them one after another.
func (r *bufferReader) buffer() []byte {
	at, n := r.f.int64(r.place), r.f.int64(r.place+8)
	r.place += 16
	if n == 0 {
		return nil
	}
	size := int64(len(r.body))
	if at < 0 || n < 0 || at > size || n > size-at {
		r.fail("buffer of %d bytes at %d, the body has %d", n, at, size)
		return nil
	}
	if at < int64(r.used) {
		r.fail("buffer at %d overlaps the one before it", at)
		return nil
	}
	r.used = int(at + n)
	return r.body[at : at+n]
}

func (r *bufferReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// allSet reports whether a validity bitmap marks all n values as valid. An empty bitmap
// does.
func allSet(bitmap []byte, n int) bool {
	if len(bitmap) == 0 {
		return true
	}
	if len(bitmap) < (n+7)/8 {
		return false
	}
	for _, b := range bitmap[:n/8] {
		if b != 0xFF {
			return false
		}
	}
	mask := byte(1)<<(n%8) - 1
	return mask == 0 || bitmap[n/8]&mask == mask
}
