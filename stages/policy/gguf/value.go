package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// value is the value of a key: a scalar, a text, or an array of either.
type value struct {
	kind    uint32   // of the value, or of the elements of an array
	array   bool     //
	bits    uint64   // of a scalar
	text    string   // of a text
	texts   []string // of an array of texts
	numbers []byte   // of an array of scalars, as the file has them
}

// widths are the sizes of the scalar types in bytes.
var widths = map[uint32]int64{
	typeUint8: 1, typeInt8: 1, typeUint16: 2, typeInt16: 2, typeUint32: 4, typeInt32: 4, typeFloat32: 4,
	typeBool: 1, typeUint64: 8, typeInt64: 8, typeFloat64: 8,
}

var typeNames = map[uint32]string{
	typeUint8: "uint8", typeInt8: "int8", typeUint16: "uint16", typeInt16: "int16", typeUint32: "uint32",
	typeInt32: "int32", typeFloat32: "float32", typeBool: "bool", typeString: "text", typeUint64: "uint64",
	typeInt64: "int64", typeFloat64: "float64",
}

// value reads a type and a value of it.
func (h *header) value() (v value, err error) {
	if v.kind, err = h.u32(); err != nil {
		return v, err
	}
	switch {
	case v.kind == typeString:
		v.text, err = h.str(maxHeader)
	case v.kind == typeArray:
		return h.arrayValue()
	case widths[v.kind] == 0:
		err = fmt.Errorf("type %d of a value is unknown: the file is damaged, copy it again", v.kind)
	default:
		var b []byte
		if b, err = h.take(int(widths[v.kind])); err == nil {
			v.bits = bits(b)
		}
		if err == nil && v.kind == typeBool && v.bits > 1 {
			err = fmt.Errorf("%d is neither true nor false: the file is damaged, copy it again", v.bits)
		}
	}
	return v, err
}

func (h *header) arrayValue() (v value, err error) {
	v.array = true
	if v.kind, err = h.u32(); err != nil {
		return v, err
	}
	n, err := h.u64()
	if err != nil {
		return v, err
	}
	width, scalar := widths[v.kind]
	switch {
	case scalar:
		v.numbers, err = h.bytes(n, width)
	case v.kind == typeString:
		if n > uint64(h.left/8) { // each has its length at least
			return v, h.ended()
		}
		for range n { // not allocated before the file has shown that it has them
			text, err := h.str(maxHeader)
			if err != nil {
				return v, fmt.Errorf("element %d: %w", len(v.texts), err)
			}
			v.texts = append(v.texts, text)
		}
	case v.kind == typeArray:
		err = errors.New("arrays of arrays are not supported")
	default:
		err = fmt.Errorf("type %d of an element is unknown: the file is damaged, copy it again", v.kind)
	}
	return v, err
}

// bits are up to eight bytes as one number, the lowest first.
func bits(b []byte) uint64 {
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:])
}

// number is a scalar of an integer type; ok is false for any other, and for one beyond an int64.
func number(kind uint32, bits uint64) (n int64, ok bool) {
	switch kind {
	case typeUint8, typeUint16, typeUint32:
		return int64(bits), true
	case typeUint64:
		return int64(bits), bits <= math.MaxInt64
	case typeInt8:
		return int64(int8(bits)), true
	case typeInt16:
		return int64(int16(bits)), true
	case typeInt32:
		return int64(int32(bits)), true
	case typeInt64:
		return int64(bits), true
	}
	return 0, false
}

// off tells whether a value says that a feature is not used: zero, false or empty.
func (v value) off() bool {
	switch {
	case v.array:
		return len(v.texts) == 0 && len(v.numbers) == 0
	case v.kind == typeString:
		return v.text == ""
	case v.kind == typeFloat32:
		return math.Float32frombits(uint32(v.bits)) == 0
	case v.kind == typeFloat64:
		return math.Float64frombits(v.bits) == 0
	}
	return v.bits == 0
}

// String is for errors.
func (v value) String() string {
	n, integer := number(v.kind, v.bits)
	switch {
	case v.array:
		return "an array of " + typeNames[v.kind]
	case v.kind == typeString:
		return fmt.Sprintf("%.40q", v.text)
	case v.kind == typeBool:
		return strconv.FormatBool(v.bits == 1)
	case v.kind == typeFloat32:
		return fmt.Sprint(math.Float32frombits(uint32(v.bits)))
	case v.kind == typeFloat64:
		return fmt.Sprint(math.Float64frombits(v.bits))
	case integer:
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatUint(v.bits, 10)
}

// get returns a key's value. It must be there.
func (f *File) get(key string) (value, error) {
	v, ok := f.meta[key]
	if !ok {
		return v, fmt.Errorf("key %q is missing: take another conversion of the model", key)
	}
	return v, nil
}

func wrongType(key string, v value, want string) error {
	return fmt.Errorf("key %q: %v of type %s, where %s is expected", key, v, typeNames[v.kind], want)
}

// integer is the value of a key that must be there. It is not negative.
func (f *File) integer(key string) (int, error) {
	v, err := f.get(key)
	if err != nil {
		return 0, err
	}
	n, ok := number(v.kind, v.bits)
	if v.array || !ok || n < 0 {
		return 0, wrongType(key, v, "a whole number")
	}
	return int(n), nil
}

// integerOr is integer with a default for a key that is missing.
func (f *File) integerOr(key string, absent int) (int, error) {
	if _, ok := f.meta[key]; !ok {
		return absent, nil
	}
	return f.integer(key)
}

// float is the value of a key that must be there. A float32 becomes the float64 with the same shortest
// decimals: 0.00001, not 0.00000999999974738, is what the model's config.json said before it was
// converted.
func (f *File) float(key string) (float64, error) {
	v, err := f.get(key)
	if err != nil {
		return 0, err
	}
	switch {
	case v.array:
	case v.kind == typeFloat64:
		return math.Float64frombits(v.bits), nil
	case v.kind == typeFloat32:
		return strconv.ParseFloat(strconv.FormatFloat(float64(math.Float32frombits(uint32(v.bits))), 'g', -1, 32), 64)
	}
	return 0, wrongType(key, v, "a float")
}

// text is the value of a key; ok is false if it is missing.
func (f *File) text(key string) (text string, ok bool, err error) {
	v, ok := f.meta[key]
	if ok && (v.array || v.kind != typeString) {
		return "", true, wrongType(key, v, "a text")
	}
	return v.text, ok, nil
}

// flag is the value of a key, or absent if it is missing.
func (f *File) flag(key string, absent bool) (bool, error) {
	v, ok := f.meta[key]
	if !ok {
		return absent, nil
	}
	if v.array || v.kind != typeBool {
		return false, wrongType(key, v, "true or false")
	}
	return v.bits == 1, nil
}

// integers is an array of whole numbers.
func (v value) integers() ([]int64, bool) {
	if _, ok := number(v.kind, 0); !ok || !v.array {
		return nil, false
	}
	width := int(widths[v.kind])
	out := make([]int64, len(v.numbers)/width)
	for i := range out {
		n, ok := number(v.kind, bits(v.numbers[i*width:(i+1)*width]))
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}
