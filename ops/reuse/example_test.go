package reuse_test

import (
	"fmt"

	"itool/ops/reuse"
	"itool/schemas"
)

// Two runs that differ in the search alone have the same records up to the selection of the first round.
func ExampleCommon() {
	donor := schemas.Run{Name: "r1", Config: `{"line": {"rounds": 1}, "expand": {"width": 2}}`}
	run := schemas.Run{Name: "r2", Config: `{"line": {"rounds": 1}, "expand": {"width": 3}}`}
	links, err := reuse.Common(run, donor)
	for _, l := range links {
		fmt.Println(l.Record, l.Round)
	}
	fmt.Println(err)
	// Output:
	// verdict -1
	// example 0
	// policy 0
	// verdict 0
	// score 0
	// selection 0
	// <nil>
}
