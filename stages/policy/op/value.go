package op

import (
	"fmt"

	"itool/stages/policy/kernel"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Array is a value of a graph in the memory of a device: gorgonia orders the operations, and passes it on.
type Array struct {
	kernel.Floats
	Device kernel.Device
	shape  tensor.Shape
}

var _ G.Value = (*Array)(nil)

// NewArray makes a value of numbers that have this shape.
func NewArray(dev kernel.Device, f kernel.Floats, shape ...int) *Array {
	return &Array{Floats: f, Device: dev, shape: shape}
}

// zeros makes a value in new memory.
func (c *Context) zeros(shape ...int) *Array {
	return NewArray(c.Device, c.Device.Floats(tensor.Shape(shape).TotalSize()), shape...)
}

// Shape, Size, Dtype and Type are what gorgonia asks of a value.
func (a *Array) Shape() tensor.Shape { return a.shape }

// Size is the number of numbers.
func (a *Array) Size() int { return a.shape.TotalSize() }

// Dtype is float32.
func (a *Array) Dtype() tensor.Dtype { return tensor.Float32 }

// Type is that of a tensor.
func (a *Array) Type() hm.Type { return G.TensorType{Dims: a.shape.Dims(), Of: tensor.Float32} }

// Data is the numbers as []float32: a CPU's own memory, or a copy of a device's.
func (a *Array) Data() any { return Numbers(a) }

// Uintptr is not used by the operations of this package.
func (a *Array) Uintptr() uintptr { return uintptr(a.At()) }

// MemSize is in bytes.
func (a *Array) MemSize() uintptr { return 4 * uintptr(a.Size()) }

// Format writes the shape: the numbers may be on a device.
func (a *Array) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "array %v", a.shape) }

// Numbers are those of a value: a CPU's own memory, or a copy of a device's.
func Numbers(v G.Value) []float32 {
	a := v.(*Array)
	if a.Block == nil {
		return a.Host
	}
	x := make([]float32, a.Size())
	a.Device.Read(x, a.Floats)
	return x
}

// Floats returns the memory of a float32 value, and ints the slice of an int32 value. The types of the graph
// make sure that the conversion is right.
func Floats(v G.Value) kernel.Floats { return v.(*Array).Floats }
func ints(v G.Value) []int32         { return v.(*tensor.Dense).Int32s() }
