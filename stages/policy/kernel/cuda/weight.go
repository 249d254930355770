package cuda

import (
	"encoding/binary"
	"fmt"

	"itool/stages/policy/kernel"
)

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
	Data Address // rows of values, those of bf16 padded to Padded(K), or the codes
	Half bool    // values of NF4 are rounded to fp16 first, because they were quantized from it
	// Scales are those of Int8, as in kernel.Int8, or float32 for each block of 64 of NF4, counted row by
	// row; 0 for the others.
	Scales Address
}

// Padded is the length of a row of k values in bf16: the next multiple of 8, so that every row begins at a
// multiple of 16 bytes.
func Padded(k int) int { return (k + 7) &^ 7 }

// scaled is a weight in four bits whose tables are NF4's codebook times a scale: nf4.Weight.
type scaled interface {
	kernel.Quantized
	// Scale is that of block b, and Half tells whether the values are rounded to fp16.
	Scale(b int) float32
	Half() bool
}

// Upload puts a weight on the device in the form that it has. Products round their factors to bf16, so
// float32 and fp16 become bf16; the results have the same bits. So does a weight in four bits whose rows are
// no multiple of 32, which no model has.
func (d *Launcher) Upload(w kernel.Weight) (Weight, error) {
	n, k := w.Shape()
	switch w := w.(type) {
	case *kernel.Int8:
		scales := make([]byte, 0, 2*len(w.Scales))
		for _, s := range w.Scales {
			scales = binary.LittleEndian.AppendUint16(scales, s)
		}
		return d.upload(Weight{Type: Int8, N: n, K: k}, w.Codes, scales)
	case *kernel.BF16:
		if k%8 == 0 {
			return d.upload(Weight{Type: BF16, N: n, K: k}, w.Data[:2*n*k], nil)
		}
	case scaled:
		if k%32 == 0 {
			return d.uploadNF4(w, n, k)
		}
	}
	return d.uploadRounded(w, n, k)
}

// WeightBytes is that of kernel.Limited: what Upload takes, and the table of Embed.
func (d *Device) WeightBytes(w kernel.Weight, embedding bool) int64 {
	n, k := w.Shape()
	values := int64(n) * int64(k)
	rounded := 2 * int64(n) * int64(Padded(k))
	switch w := w.(type) {
	case *kernel.Int8:
		return int64(len(w.Codes)) + 2*int64(len(w.Scales))
	case *kernel.BF16:
		return rounded
	case scaled:
		if k%32 == 0 {
			return (values+1)/2 + 4*((values+63)/64)
		}
	case *kernel.F16:
		if embedding {
			return rounded + 2*values
		}
	case *kernel.Dense:
		if embedding {
			return rounded + 4*values
		}
	}
	return rounded
}

func (d *Launcher) upload(w Weight, data, scales []byte) (Weight, error) {
	var err error
	if w.Data, err = d.put(data); err == nil && scales != nil {
		w.Scales, err = d.put(scales)
	}
	if err != nil {
		return w, fmt.Errorf("cuda: %s: upload of a weight (%d, %d) in %s: %w", d.driver.Name(), w.N, w.K, w.Type, err)
	}
	return w, nil
}

// put copies bytes to new memory.
func (d *Launcher) put(b []byte) (Address, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.allocate(int64(max(1, len(b))))
	if err != nil {
		return 0, err
	}
	return a, d.driver.CopyIn(a, b)
}

func (d *Launcher) uploadNF4(w scaled, n, k int) (Weight, error) {
	var table [16]float32
	var codes, scales []byte
	for b := range (n*k + 63) / 64 {
		codes = append(codes, w.Block(b, &table)...)
		scales, _ = binary.Append(scales, binary.LittleEndian, w.Scale(b))
	}
	return d.upload(Weight{Type: NF4, N: n, K: k, Half: w.Half()}, codes, scales)
}

// uploadRounded rounds to bf16, a row at a time.
func (d *Launcher) uploadRounded(w kernel.Weight, n, k int) (Weight, error) {
	row, data := make([]float32, k), make([]byte, 2*n*Padded(k))
	for r := range n {
		w.Rows(row, r, r+1)
		for i, v := range row {
			binary.LittleEndian.PutUint16(data[2*(r*Padded(k)+i):], kernel.ToBF16(v))
		}
	}
	return d.upload(Weight{Type: BF16, N: n, K: k}, data, nil)
}
