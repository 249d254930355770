package eval_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"itool/ops/eval"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
)

// parrot answers every question alike.
type parrot struct{}

func (parrot) Answer(context.Context, *eval.Case) (eval.Answer, error) {
	return eval.Answer{Result: "[wave(times=2)]"}, nil
}

func (parrot) Step(context.Context, multiturn.Request) (converse.Answer, error) {
	return converse.Answer{Text: "Hello!", Tokens: 1}, nil
}

func (parrot) Pythonic(text string) string { return text }

func Example() {
	tmp, err := os.MkdirTemp("", "example-eval-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(tmp)
	question := `{"messages": [{"role": "user", "content": "Wave twice."},
		{"role": "assistant", "content": "[wave(times=2)]"}],
		"tools": [{"name": "wave", "parameters": {"type": "object", "properties": {"times": {"type": "integer"}}}}]}`
	file := filepath.Join(tmp, "greetings.json")
	if err := os.WriteFile(file, []byte("["+question+"]"), 0o644); err != nil {
		panic(err)
	}

	files, err := eval.Options{}.Load(context.Background(), []string{file})
	if err != nil {
		panic(err)
	}
	dir, err := eval.OpenFolder(filepath.Join(tmp, "answers"), eval.Origin{Model: "parrot"})
	if err != nil {
		panic(err)
	}
	atOnce := eval.AtOnce{Questions: 1, Conversations: 1}
	if err := eval.Ask(context.Background(), parrot{}, files, dir, atOnce, func(eval.Progress) {}); err != nil {
		panic(err)
	}
	verdicts, _, err := eval.Judge(files, dir)
	if err != nil {
		panic(err)
	}
	fmt.Println(eval.Summarise("parrot", files, verdicts, 1).Summary.Pass)
	// Output: 100.0 % [100.0, 100.0] of 1
}
