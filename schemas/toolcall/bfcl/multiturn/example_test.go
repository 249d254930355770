package multiturn_test

import (
	"fmt"

	"itool/schemas/toolcall/bfcl/multiturn"
)

// The first turn creates a ticket, the second reads it. The model forgets the second call.
func ExampleCheck() {
	question := `{"id": "multi_turn_base_900", "involved_classes": ["TicketAPI"],
		"initial_config": {"TicketAPI": {"current_user": "ann"}}}`
	answer := `{"id": "multi_turn_base_900",
		"ground_truth": [["create_ticket(title='Late')"], ["get_user_tickets()"]]}`
	entry, err := multiturn.ReadEntry([]byte(question), []byte(answer))
	if err != nil {
		panic(err)
	}
	for _, turns := range [][][]string{
		{{"[create_ticket(title='Late')]"}, {"Let me see.", "[get_user_tickets()]"}},
		{{"[create_ticket(title='Late')]"}, {"You have one ticket."}},
	} {
		v, err := multiturn.Check(entry, turns, multiturn.Options{})
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v %q\n", v.Valid, v.Fault)
	}
	// Output:
	// true ""
	// false "multi_turn:empty_turn_model_response"
}
