package bfcl_test

import (
	"fmt"

	"itool/stages/evaluate/bfcl"
)

// A group that needs a category that was not run names that category.
func Example() {
	t := bfcl.Aggregate(map[string]bfcl.Count{
		"simple": {Right: 359, Total: 400}, "java": {Right: 65, Total: 100}, "javascript": {Right: 37, Total: 50},
		"multiple": {Right: 186, Total: 200}, "parallel": {Right: 180, Total: 200},
		"parallel_multiple": {Right: 178, Total: 200},
	})
	fmt.Println("simple:", t.Simple)
	fmt.Println("non-live calls:", t.NonLiveCalls)
	fmt.Println("non-live:", t.NonLive)
	// Output:
	// simple: 76.25 %
	// non-live calls: 87.06 %
	// non-live: not run (irrelevance)
}
