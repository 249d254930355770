package doctor_test

import (
	"fmt"

	"itool/ops/doctor"
)

// An unknown kernel level is a finding with a remedy.
func ExampleKernels() {
	f := doctor.Kernels("mmx")
	fmt.Println(f.What+":", f.Remedy)
	// Output: kernels: name one of these, or none: the best is the default
}
