package line_test

import (
	"fmt"

	"itool/ops/line"
)

// The stages of the line, in order: what wakes each and what it writes. A Spec needs no engine.
func Example() {
	for _, row := range line.Rows(nil) {
		spec := row.Spec()
		fmt.Printf("%-8s  %-16s  %s\n", spec.Name, spec.Filter(), spec.Writes)
	}
	// Output:
	// split     shard.*.*         example
	// warmup    gather.*.example  policy
	// score     buffer.*.*        score
	// select    gather.*.score    selection
	// expand    root.*.*          candidate
	// filter    candidate.*.*     pair
	// update    gather.*.pair     policy
	// evaluate  case.*.*          verdict
}
