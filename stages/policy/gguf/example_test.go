package gguf_test

import (
	"bytes"
	"errors"
	"fmt"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model/safetensors"
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

// A file is read where it is: only its header is in memory.
func ExampleRead() {
	p, err := policy.Open(policytest.Tiny(1), policy.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, p, gguf.Options{NoTokenizer: true}); err != nil {
		fmt.Println(err)
		return
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len())) // an *os.File and its size
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := f.Checkpoint()
	if err != nil {
		fmt.Println(err)
		return
	}
	w := c.Weights[0]
	fmt.Println(c.Config.Family, len(c.Weights), w.Name, w.Shape, w.Type)
	var values bytes.Buffer
	fmt.Println(w.Stream(&values, safetensors.BF16), values.Len())
	// Output:
	// llama 20 model.embed_tokens.weight [262 32] F32
	// <nil> 33536
}
