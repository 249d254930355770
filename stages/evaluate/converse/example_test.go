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

func (clerk) Answer(_ context.Context, r multiturn.Request) (string, int, error) {
	last := r.Messages[len(r.Messages)-1]
	if last.Role == "tool" {
		return "Done.", 1, nil
	}
	return "[create_ticket(title='" + last.Content + "')]", 5, nil
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
	o := converse.Options{SessionOptions: multiturn.SessionOptions{Docs: docs}}
	results, err := converse.Run(context.Background(), clerk{}, []*multiturn.Entry{entry}, o)
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].Verdict.Valid, results[0].Steps, results[0].Turns)
	// Output: true 2 [[[create_ticket(title='Late')] Done.]]
}
