package importer_test

import (
	"context"
	"fmt"
	"os"

	"itool/ops/importer"
	"itool/stages/policy/model/safetensors"
)

// A file of llama.cpp becomes a folder. What was written is said on some lines.
func ExampleGGUF_Write() {
	done, err := importer.GGUF{File: "model.gguf", Out: "model", Dtype: safetensors.BF16}.Write(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := done.Text(os.Stdout, "model"); err != nil {
		fmt.Println(err)
	}
}
