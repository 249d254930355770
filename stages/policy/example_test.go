package policy_test

import (
	"context"
	"fmt"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// Open a policy, render a conversation, and compare two answers by their log-probabilities.
func Example() {
	p, err := policy.Open(policytest.Tiny(1), policy.Options{}) // os.DirFS(dir) for a model on disk
	if err != nil {
		fmt.Println(err)
		return
	}
	prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "Weather in Oslo?"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	logps, err := p.LogProbs(context.Background(), []policy.Sequence{
		{Prompt: prompt, Answer: p.Answer("Sunny.")},
		{Prompt: prompt, Answer: p.Answer("Snow.")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Text(prompt))
	for _, answer := range logps {
		fmt.Println(len(answer), "log-probabilities") // one per byte here, and one for the end of turn
	}
	// Output:
	// <|bos|><|user|>Weather in Oslo?<|end|><|assistant|>
	// 7 log-probabilities
	// 6 log-probabilities
}

// A session computes a prompt once and draws any number of continuations, also from inside a draw.
func ExampleSession() {
	ctx := context.Background()
	p, err := policy.Open(policytest.Tiny(1), policy.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := p.NewSession(p.Raw("The capital of Norway is"))
	if err != nil {
		fmt.Println(err)
		return
	}
	draws, err := s.Draw(ctx, []policy.Request{
		{From: s.Root(), MaxTokens: 8}, // greedy
		{From: s.Root(), MaxTokens: 8, Temperature: 1, Seed: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	branch := draws[0].At(3) // after its third token
	more, err := s.Draw(ctx, []policy.Request{{From: branch, MaxTokens: 5}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(draws), "draws; the first one's branch draws the same again:",
		p.Text(more[0].Tokens) == p.Text(draws[0].Tokens[3:]))
	// Output: 2 draws; the first one's branch draws the same again: true
}
