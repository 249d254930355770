package schemas

import (
	"encoding/binary"
	"fmt"
)

// Arrow's IPC stream: messages, each of a marker, the length of its metadata,
// the metadata (a flatbuffer) and a body; then a marker with length 0.
const (
	continuation = 0xFFFFFFFF

	kindSchema      = 1
	kindRecordBatch = 3
)

// The numbers of the fields that are read, in the tables of Arrow's Message.fbs and Schema.fbs.
const (
	messageVersion    = 0
	messageKind       = 1
	messageHeader     = 2
	messageBodyLength = 3

	schemaEndianness = 0
	schemaFields     = 1

	fieldName       = 0
	fieldTypeCode   = 2
	fieldTypeTable  = 3 // what else belongs to the type, such as the width of an int
	fieldDictionary = 4
	fieldChildren   = 5 // of a list: the field of its items

	intBits        = 0
	intSigned      = 1
	floatPrecision = 0 // 0 half, 1 single, 2 double
)

// offsetBytes is the size of an offset in a vector of tables.
const offsetBytes = 4

var kindNames = [...]string{"empty", "schema", "dictionary batch", "record batch", "tensor", "sparse tensor"}

// A message is one frame of the stream. The frame is verified, the contents of header are not.
type message struct {
	kind   byte
	header table
	body   []byte
}

// batches reads the stream, compares its schema with the layout and calls visit for each
// record batch. arrays are the columns in order; a column of lists has two: the lists, then
// the items. They are reused for the next batch.
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

// readMessage reads the frame at a place of the stream and returns where the next one
// begins. At the end marker the message has kind 0 and next is the length of the stream;
// no other message has kind 0.
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
	version, bodyLength := root.int16(messageVersion), root.int64(messageBodyLength)
	m.kind, m.header = root.byte(messageKind), root.table(messageHeader)
	switch {
	case f.err != nil:
		return m, 0, f.err
	case version != 3 && version != 4: // counted from 0
		return m, 0, fmt.Errorf("metadata version %d: want V4 or V5", version+1)
	case m.kind == 0 || !m.header.present():
		return m, 0, fmt.Errorf("metadata: no header")
	case bodyLength < 0 || bodyLength > int64(len(rest)):
		return m, 0, fmt.Errorf("body of %d bytes, the stream has %d left", bodyLength, len(rest))
	}
	m.body = rest[:bodyLength]
	return m, len(stream) - len(rest) + int(bodyLength), nil
}

// checkSchema compares the stream's schema with the layout: the names and types of the
// columns, not the bytes, because the writers of different languages encode the same schema
// differently. Metadata and the name of a list's items are ignored. A nullable column is
// accepted; recordBatch refuses the nulls themselves.
func (l layout) checkSchema(schema table) error {
	if schema.int16(schemaEndianness) != 0 {
		return fmt.Errorf("big-endian streams are not supported")
	}
	at, n := schema.vector(schemaFields, offsetBytes)
	if schema.f.err == nil && n != len(l.columns) {
		return fmt.Errorf("%d columns, want %d", n, len(l.columns))
	}
	for i, c := range l.columns {
		field := schema.f.table(schema.f.follow(at + offsetBytes*i))
		name, got := string(field.text(fieldName)), fieldType(field)
		item := table{}
		if c.list && field.byte(fieldTypeCode) == codeList {
			// A list has one item type. Lists of lists are not accepted, so one level is enough.
			items, n := field.vector(fieldChildren, offsetBytes)
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
		case field.table(fieldDictionary).present() || item.table(fieldDictionary).present():
			return fmt.Errorf("column %s: dictionary encoding is not supported", c.name)
		case got != want:
			return fmt.Errorf("column %s: is %s, want %s", c.name, got, want)
		}
	}
	return schema.f.err
}

// typeNames are the names of Arrow's types, by their code in the union Type of Schema.fbs.
var typeNames = [...]string{
	"none", "null", "int", "float", "binary", "utf8", "bool", "decimal", "date", "time", "timestamp", "interval",
	"list", "struct", "union", "fixed-size binary", "fixed-size list", "map", "duration", "large binary",
	"large utf8", "large list", "run-end encoded", "binary view", "utf8 view", "list view", "large list view",
}

// fieldType names the type of a field as Arrow does: int32, float64, utf8, …
func fieldType(field table) string {
	code, details := field.byte(fieldTypeCode), field.table(fieldTypeTable)
	switch code {
	case codeInt:
		sign := "u"
		if details.byte(intSigned) != 0 {
			sign = ""
		}
		return fmt.Sprintf("%sint%d", sign, details.int32(intBits))
	case codeFloat:
		return fmt.Sprintf("float%d", 16<<min(uint(details.int16(floatPrecision)), 16))
	}
	if int(code) < len(typeNames) {
		return typeNames[code]
	}
	return fmt.Sprintf("type %d", code)
}
