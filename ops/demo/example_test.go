package demo_test

import (
	"bytes"
	"fmt"
	"io/fs"

	"itool/ops/demo"
)

// What `itool demo --quick` runs: a base model, a dataset and a configuration, all in this program.
func Example() {
	files, err := demo.Dataset(true)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range files {
		fmt.Println(f.Name, bytes.Count(f.Data, []byte("\n")), "rows")
	}
	c := demo.Config(true)
	fmt.Println(c.Line.Rounds, "rounds, held out:", c.Split.TestFiles, "valid:", c.Validate() == nil)
	_, err = fs.Stat(demo.Base(), "model.safetensors")
	fmt.Println("base:", err == nil)
	// Output:
	// train.jsonl 320 rows
	// validation.jsonl 80 rows
	// test.jsonl 150 rows
	// 3 rounds, held out: [test.jsonl] valid: true
	// base: true
}
