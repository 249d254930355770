package safetensors_test

import (
	"bytes"
	"fmt"
	"testing/fstest"

	"itool/stages/policy/model/safetensors"
)

// A tensor is written in bfloat16 and read again. 0.3 has no exact value in bfloat16.
func Example() {
	var file bytes.Buffer
	tensors := []safetensors.Tensor{{Name: "norm.weight", Shape: []int{3}, Data: []float32{1, 0.5, 0.3}}}
	if err := safetensors.Write(&file, tensors, safetensors.BF16, nil); err != nil {
		fmt.Println(err)
		return
	}
	folder := fstest.MapFS{"model.safetensors": {Data: file.Bytes()}} // os.DirFS(dir) for a folder
	f, err := safetensors.Read(folder, "model.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := f.Float32("norm.weight", 3)
	fmt.Println(f.Names(), f.Dtype("norm.weight"), values, err)
	// Output: [norm.weight] BF16 [1 0.5 0.30078125] <nil>
}
