package lab_test

import (
	"fmt"
	"os"
	"path/filepath"

	"itool/ops/demo"
	"itool/ops/lab"
)

// A specification becomes a plan: every arm with every seed is one run.
func Example() {
	dir, err := os.MkdirTemp("", "lab-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "rounds.yaml")
	if err := os.WriteFile(file, []byte(`
name: rounds
question: Do the rounds beat the warm-up?
demo: true
seeds: [1, 2]
arms:
  - name: full
  - {name: warm-up alone, set: {line.rounds: 0}}
compare: [full - warm-up alone]
`), 0o600); err != nil {
		panic(err)
	}

	spec, err := lab.Read(file)
	if err != nil {
		panic(err)
	}
	plan, err := spec.Plan(demo.Config(false))
	if err != nil {
		panic(err)
	}
	fmt.Println(plan.Question)
	for _, run := range plan.Runs {
		fmt.Printf("seed %d: %s, %d rounds\n", run.Seed, run.Arm, run.Config.Line.Rounds)
	}
	// Output:
	// Do the rounds beat the warm-up?
	// seed 1: full, 3 rounds
	// seed 1: warm-up alone, 0 rounds
	// seed 2: full, 3 rounds
	// seed 2: warm-up alone, 0 rounds
}
