package sample_test

import (
	"fmt"

	"itool/stages/policy/sample"
)

// Greedy picking, and drawing from the two likeliest tokens only.
func ExampleSampler_Pick() {
	logits := []float32{1, 3, 2.5, -4} // of a vocabulary of four tokens
	s := sample.New(7)
	id, logp := s.Pick(logits, sample.Settings{})
	fmt.Printf("greedy: token %d, %.3f nats\n", id, logp)

	counts := map[int32]int{}
	for range 1000 {
		id, _ := s.Pick(logits, sample.Settings{Temperature: 1, TopK: 2})
		counts[id]++
	}
	fmt.Println("with top-k 2, tokens drawn:", len(counts))
	// Output:
	// greedy: token 1, -0.555 nats
	// with top-k 2, tokens drawn: 2
}
