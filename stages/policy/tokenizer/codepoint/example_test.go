package codepoint_test

import (
	"fmt"

	"itool/stages/policy/tokenizer/codepoint"
)

// The classes of a word's characters; U+1C89 is a letter since Unicode 16.
func Example() {
	word := codepoint.Letter | codepoint.Mark
	for _, r := range []rune{'e', '\u0301', '5', '\u1C89'} {
		fmt.Printf("%U %v\n", r, word.Has(r))
	}
	// Output:
	// U+0065 true
	// U+0301 true
	// U+0035 false
	// U+1C89 true
}
