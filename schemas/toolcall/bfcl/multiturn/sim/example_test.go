package sim_test

import (
	"fmt"

	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// Calls change the objects of a world; what differs between two worlds has a name.
func Example() {
	here, _ := sim.New([]string{"TicketAPI"}, python.NewDict(), sim.Options{})
	there, _ := sim.New([]string{"TicketAPI"}, python.NewDict(), sim.Options{})
	for _, w := range []*sim.World{here, there} {
		if _, err := w.Call("ticket_login", []sim.Value{"ann", "secret"}, nil); err != nil {
			panic(err)
		}
	}
	ticket, err := here.Call("create_ticket", nil, []sim.Named{{Name: "title", Value: "Late"}})
	if err != nil {
		panic(err)
	}
	text, _ := python.JSON(ticket)
	fmt.Println(text)
	fmt.Println(sim.Differences(there.Objects[0], here.Objects[0]))
	// Output:
	// {"id": 1, "title": "Late", "description": "", "status": "Open", "priority": 1, "created_by": "ann"}
	// [ticket_counter ticket_queue]
}
