package config_test

import (
	"fmt"

	"itool/ops/config"
)

// The defaults with two settings of the command line, as a run stores them.
func Example() {
	cfg, err := config.Load(config.Default(), "", []string{"line.rounds=1", "expand.width=3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, digest, err := cfg.Freeze()
	fmt.Println(cfg.Line.Rounds, cfg.Expand.Width, len(digest), err)

	_, err = config.Load(config.Default(), "", []string{"line.round=1"})
	fmt.Println(err)
	// Output:
	// 1 3 64 <nil>
	// --set line.round=1: unknown setting line.round; did you mean rounds?
}
