package bfcltest_test

import (
	"fmt"
	"math/rand/v2"

	"itool/schemas/toolcall/bfcl/bfcltest"
)

// The same seed gives the same answers.
func Example() {
	questions := bfcltest.MadeUp(rand.New(rand.NewPCG(1, 2)), "java", 5)
	a := bfcltest.Cases(rand.New(rand.NewPCG(3, 4)), questions, 100)
	b := bfcltest.Cases(rand.New(rand.NewPCG(3, 4)), questions, 100)
	equal := 0
	for i := range a {
		if a[i].Raw == b[i].Raw {
			equal++
		}
	}
	fmt.Println(equal)
	// Output: 100
}
