package safetensors

import (
	"encoding/binary"
	"math"

	"itool/stages/policy/kernel"
)

// widths are the element sizes, in bytes, of the dtypes that a header may name. Values of only three
// of them can be decoded, see decode.
var widths = map[string]uint64{
	"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4,
	"F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

// decode converts little-endian elements; ok is false for other dtypes.
func decode(raw []byte, dtype string) (out []float32, ok bool) {
	le := binary.LittleEndian
	switch dtype {
	case "F32":
		out = make([]float32, len(raw)/4)
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(raw[4*i:]))
		}
	case "BF16":
		out = make([]float32, len(raw)/2)
		for i := range out {
			out[i] = math.Float32frombits(uint32(le.Uint16(raw[2*i:])) << 16)
		}
	case "F16":
		out = make([]float32, len(raw)/2)
		for i := range out {
			out[i] = kernel.FromHalf(le.Uint16(raw[2*i:]))
		}
	default:
		return nil, false
	}
	return out, true
}

// Round returns v rounded to this dtype.
func (d Dtype) Round(v float32) float32 {
	switch d {
	case BF16:
		return math.Float32frombits(uint32(kernel.ToBF16(v)) << 16)
	case F16:
		return kernel.FromHalf(kernel.ToHalf(v))
	}
	return v
}
