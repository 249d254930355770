package converse_test

import (
	"context"
	"fmt"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
)

// clerk is a model that creates a ticket and stops when it has a result.
type clerk struct{}

func (clerk) Step(_ context.Context, r multiturn.Request) (converse.Answer, error) {
	last := r.Messages[len(r.Messages)-1]
	if last.Role == "tool" {
		return converse.Answer{Text: "Done.", Tokens: 1}, nil
	}
	return converse.Answer{Text: "[create_ticket(title='" + last.Content + "')]", Tokens: 5}, nil
}

// A model is led through an entry of one turn.
func Example() {
	entry, err := multiturn.ReadEntry([]byte(`{"id": "multi_turn_base_900", "involved_classes": ["TicketAPI"],
		"question": [[{"role": "user", "content": "Late"}]],
		"initial_config": {"TicketAPI": {"current_user": "ann"}}, "ground_truth": [["create_ticket('Late')"]]}`), nil)
	if err != nil {
		panic(err)
	}
	docs := multiturn.Docs{}
	if err := docs.Read("TicketAPI", strings.NewReader(`{"name": "create_ticket"}`)); err != nil {
		panic(err)
	}
	result, err := converse.Lead(context.Background(), clerk{}, entry, multiturn.SessionOptions{Docs: docs})
	if err != nil {
		panic(err)
	}
	verdict, err := multiturn.Check(entry, result.Turns, multiturn.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(verdict.Valid, result.Tokens, result.Turns)
	// Output: true 6 [[[create_ticket(title='Late')] Done.]]
}
