//go:build !race

// The race detector drops at random what a sync.Pool holds: allocations cannot be counted under it.

package tokenizer_test

import (
	"math"
	"strings"
	"testing"

	"itool/stages/policy/tokenizer"
)

// TestAllocations: to cut a text takes no memory for each piece.
func TestAllocations(t *testing.T) {
	text := strings.Repeat("The weather in Zürich (12 °C) isn't that bad, is it?\n", 100) // 1,700 pieces and more
	for name, step := range map[string]any{
		"scanner":      sequence(split(tokenizer.Llama), byteLevel()),
		"scanners":     sequence(split(tokenizer.DeepSeekDigits), split(tokenizer.DeepSeekWords), byteLevel()),
		"expression":   sequence(split(`\p{L}+|\s(?=\S)|.`), byteLevel()),
		"both of them": sequence(split(tokenizer.Pattern), split(`(?=\p{Lu})`), byteLevel()),
	} {
		// The cache of words hashes with a seed of its tokenizer. One seed in some 150 puts two of these words in the
		// same slot, out of which they push each other: the least of three tokenizers has no such pair.
		got := math.Inf(1)
		for range 3 {
			tok := openBytes(t, with(t, object{"pre_tokenizer": step}))
			tok.Encode(text)
			got = min(got, testing.AllocsPerRun(10, func() { tok.Encode(text) }))
		}
		if got > 40 {
			t.Errorf("%s: %.0f allocations", name, got)
		} else {
			t.Logf("%s: %.0f allocations", name, got)
		}
	}
}
