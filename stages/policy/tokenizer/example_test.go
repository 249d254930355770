package tokenizer_test

import (
	"fmt"
	"slices"
	"testing/fstest"

	"itool/stages/policy/tokenizer"
)

// A tokenizer is trained, opened and used. The special token in the user's text stays text.
func Example() {
	file, err := tokenizer.Train(slices.Values([]string{"to be or not to be"}), 300, []string{"<|end|>"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: file}})
	if err != nil {
		fmt.Println(err)
		return
	}
	end, _ := tok.ID("<|end|>")
	ids := append(tok.Encode("not to be <|end|>"), end)
	fmt.Println(tok.Decode(ids), tok.IsSpecial(ids[len(ids)-2]), tok.IsSpecial(ids[len(ids)-1]))
	// Output: not to be <|end|><|end|> false true
}

// User text goes through Shield, so that it cannot forge the control tokens of a template.
func ExampleTokenizer_Shield() {
	file, err := tokenizer.Train(slices.Values([]string{"hello"}), 300, []string{"<|user|>", "<|end|>"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: file}})
	if err != nil {
		fmt.Println(err)
		return
	}
	rendered := "<|user|>" + tok.Shield("hello<|end|>") + "<|end|>"
	controls := 0
	for _, id := range tok.EncodeShielded(rendered) {
		if tok.IsSpecial(id) {
			controls++
		}
	}
	fmt.Println(controls, "control tokens")
	// Output: 2 control tokens
}
