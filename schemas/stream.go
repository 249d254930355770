package schemas

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Arrow's IPC stream: messages, each of a marker, the length of its metadata,
// the metadata (a flatbuffer) and a body; then a marker with length 0.
const (
	continuation = 0xFFFFFFFF

	kindSchema      = 1
	kindRecordBatch = 3

	fieldKind       = 1 // of Message
	fieldHeader     = 2
	fieldBodyLength = 3
)

var kindNames = [...]string{"empty", "schema", "dictionary batch", "record batch", "tensor", "sparse tensor"}

// A message is one verified frame; its header is not yet.
type message struct {
	kind   byte
	header table
	body   []byte
}

// batches walks the stream, compares its schema with the layout and shows each
// record batch. The arrays are the columns in order; a list is followed by its
// items. They are reused for the next batch.
func (l layout) batches(stream []byte, visit func(rows int, arrays []buffers) error) error {
	var arrays []buffers
	for at, number := 0, 0; ; number++ {
		m, next, err := readMessage(stream, at)
		if err != nil {
			return fmt.Errorf("message %d: %w", number, err)
		}
		switch {
		case next == len(stream) && m.kind == 0 && number == 0:
			return fmt.Errorf("no schema before the end marker")
		case next == len(stream) && m.kind == 0:
			return nil
		case number == 0 && m.kind == kindSchema:
			if len(m.body) > 0 {
				return fmt.Errorf("schema: has a body of %d bytes", len(m.body))
			}
			if err := l.checkSchema(m.header); err != nil {
				return fmt.Errorf("schema: %w", err)
			}
		case number > 0 && m.kind == kindRecordBatch:
			rows, err := l.recordBatch(m, &arrays)
			if err != nil {
				return fmt.Errorf("message %d: %w", number, err)
			}
			if err := visit(rows, arrays); err != nil {
				return err
			}
		default:
			name := "unknown kind"
			if int(m.kind) < len(kindNames) {
				name = kindNames[m.kind]
			}
			return fmt.Errorf("message %d: %s not allowed here: want one schema, then record batches", number, name)
		}
		at = next
	}
}

// readMessage reads the frame at a place of the stream and says where the next
// one begins. At the end marker the message has kind 0 and next is the length
// of the stream; a message proper cannot have kind 0.
func readMessage(stream []byte, at int) (m message, next int, err error) {
	rest := stream[at:]
	if len(rest) < 8 {
		return m, 0, fmt.Errorf("byte %d: no end marker: the stream is cut short", at)
	}
	if binary.LittleEndian.Uint32(rest) != continuation {
		return m, 0, fmt.Errorf("byte %d: no message marker: not a stream of Arrow 0.15 or later", at)
	}
	length := binary.LittleEndian.Uint32(rest[4:])
	rest = rest[8:]
	if length == 0 {
		if len(rest) > 0 {
			return m, 0, fmt.Errorf("byte %d: %d bytes after the end marker", at, len(rest))
		}
		return m, len(stream), nil
	}
	if uint64(length) > uint64(len(rest)) {
		return m, 0, fmt.Errorf("byte %d: metadata of %d bytes, the stream has %d left", at, length, len(rest))
	}
	f := &flat{b: rest[:length]}
	rest = rest[length:]
	root := f.root()
	version, bodyLength := root.int16(0), root.int64(fieldBodyLength)
	m.kind, m.header = root.byte(fieldKind), root.table(fieldHeader)
	switch {
	case f.err != nil:
		return m, 0, f.err
	case version != 3 && version != 4:
		return m, 0, fmt.Errorf("metadata version %d: want V4 or V5", version+1)
	case m.kind == 0 || !m.header.present():
		return m, 0, fmt.Errorf("metadata: no header")
	case bodyLength < 0 || bodyLength > int64(len(rest)):
		return m, 0, fmt.Errorf("body of %d bytes, the stream has %d left", bodyLength, len(rest))
	}
	m.body = rest[:bodyLength]
	return m, len(stream) - len(rest) + int(bodyLength), nil
}

// checkSchema compares by meaning, not by bytes: each language's writer spells
// the same schema differently. Metadata and the name of a list's items say
// nothing, and a nullable column will do as long as it holds no null.
func (l layout) checkSchema(schema table) error {
	if schema.int16(0) != 0 {
		return fmt.Errorf("big-endian streams are not supported")
	}
	at, n := schema.vector(1, 4)
	if schema.f.err == nil && n != len(l.columns) {
		return fmt.Errorf("%d columns, want %d", n, len(l.columns))
	}
	for i, c := range l.columns {
		field := schema.f.table(schema.f.follow(at + 4*i))
		name, got := string(field.text(0)), fieldType(field)
		item := table{}
		if c.list && field.byte(2) == codeList {
			// Only a list has an item, and only one: there is no deeper to go.
			items, n := field.vector(5, 4)
			if schema.f.err == nil && n != 1 {
				return fmt.Errorf("column %d %.64q: list of %d types", i, name, n)
			}
			item = schema.f.table(schema.f.follow(items))
			got = "list of " + fieldType(item)
		}
		want := elems[c.elem].arrow.Name()
		if c.list {
			want = "list of " + want
		}
		switch {
		case schema.f.err != nil:
			return schema.f.err
		case name != c.name:
			return fmt.Errorf("column %d is %.64q, want %q", i, name, c.name)
		case field.table(4).present() || item.table(4).present():
			return fmt.Errorf("column %s: dictionary encoding is not supported", c.name)
		case got != want:
			return fmt.Errorf("column %s: is %s, want %s", c.name, got, want)
		}
	}
	return schema.f.err
}

// typeNames are the union codes of Arrow's Type, as in Schema.fbs.
var typeNames = [...]string{
	"none", "null", "int", "float", "binary", "utf8", "bool", "decimal", "date", "time", "timestamp", "interval",
	"list", "struct", "union", "fixed-size binary", "fixed-size list", "map", "duration", "large binary",
	"large utf8", "large list", "run-end encoded", "binary view", "utf8 view", "list view", "large list view",
}

// fieldType names the type of a field as Arrow does: int32, float64, utf8, …
func fieldType(field table) string {
	code, details := field.byte(2), field.table(3)
	switch code {
	case codeInt:
		sign := "u"
		if details.byte(1) != 0 {
			sign = ""
		}
		return fmt.Sprintf("%sint%d", sign, details.int32(0))
	case codeFloat:
		return fmt.Sprintf("float%d", 16<<min(uint(details.int16(0)), 16))
	}
	if int(code) < len(typeNames) {
		return typeNames[code]
	}
	return fmt.Sprintf("type %d", code)
}

// recordBatch finds the buffers of each column. After it, every buffer lies in
// the body and no two overlap, so that a small message cannot stand for much.
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

// counts says how many arrays and buffers a record batch has.
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

// buffers are the values of one array as they lie in the message.
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
	used        int // bytes of the body that are taken
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

// allSet says whether a validity bitmap calls all n values valid. None is needed.
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
