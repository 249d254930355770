package model_test

import (
	"fmt"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
)

// A checkpoint is opened with mapped weights: kernels read them in the type of the file.
func ExampleOpenAs() {
	m, err := model.OpenAs(policytest.Tiny(1), ref.New(), model.Mapped) // os.DirFS(dir) for a folder
	if err != nil {
		fmt.Println(err)
		return
	}
	n, k := m.Layers[0].Q.Weight().Shape()
	fmt.Println(m.Family, m.NumLayers, "layers,", m.Parameters(), "parameters, q_proj", n, "×", k)
	// Output: llama 2 layers, 26976 parameters, q_proj 32 × 32
}
