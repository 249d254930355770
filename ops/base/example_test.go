package base_test

import (
	"context"
	"fmt"
	"strings"

	"itool/ops/base"
)

// A model that is not on this machine is refused with how to fetch it.
func ExampleFinder_Find() {
	_, err := base.Finder{Runs: "itool-runs"}.Find(context.Background(), "Qwen/Qwen3-0.6B")
	for part := range strings.SplitSeq(err.Error(), "; ") {
		fmt.Println(part)
	}
	// Output:
	// Qwen/Qwen3-0.6B: no such folder, file or run is here, and itool downloads nothing
	// fetch it first, as with hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B, and name that folder
}
