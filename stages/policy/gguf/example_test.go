package gguf_test

import (
	"bytes"
	"errors"
	"fmt"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/policytest"
)

// llama.cpp does not support the tokenizer of the tests' policy, so only the weights are written.
func ExampleWrite() {
	p, err := policy.Open(policytest.Tiny(1), policy.Options{}) // os.DirFS(dir) for a folder
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	err = gguf.Write(&file, p, gguf.Options{Name: "tiny"})
	fmt.Println(errors.Is(err, gguf.ErrTokenizer))
	file.Reset()
	err = gguf.Write(&file, p, gguf.Options{Name: "tiny", NoTokenizer: true})
	fmt.Printf("%s %v\n", file.Bytes()[:4], err)
	// Output:
	// true
	// GGUF <nil>
}
