package cuda

// Type is how a weight is stored.
type Type int

// The types of weights.
const (
	F32 Type = iota
	BF16
	F16
	Int8 // blocks of 32 with a scale, sixteen rows interleaved, as kernel.Int8
	NF4  // blocks of 64 with a scale, two values in a byte
)

// String is the type's name in settings.
func (t Type) String() string { return [...]string{"fp32", "bf16", "fp16", "int8", "nf4"}[t] }

// Weight is a frozen matrix (N, K) in device memory.
type Weight struct {
	Type Type
	N, K int
	Data Address // rows of values, or the codes
	// Scales are those of Int8, as in kernel.Int8, or float32 for each block of 64 of NF4, counted row by
	// row; 0 for the others.
	Scales Address
}
