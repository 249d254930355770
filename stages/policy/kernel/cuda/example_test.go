package cuda_test

import (
	"fmt"
	"math"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// A device in the interpreter adds two vectors. A binary with the tag gpu opens a real one instead.
func Example() {
	driver := cudatest.Open()
	device, err := cuda.Open(driver)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	x, _ := driver.Allocate(8)
	fmt.Println(device.Fill(x, 1.5, 2), device.Add(x, x, 1, 2), driver.Synchronise()) // x = 1.5, then x += x
	b := make([]byte, 8)
	fmt.Println(driver.CopyOut(b, x))
	fmt.Println(math.Float32frombits(uint32(b[3])<<24|uint32(b[2])<<16) == 3)
	fmt.Println(device.Fill(x, 0, 3)) // too far: the next call reports it
	fmt.Println(driver.Synchronise() != nil)
	// Output:
	// <nil> <nil> <nil>
	// <nil>
	// true
	// <nil>
	// true
}
