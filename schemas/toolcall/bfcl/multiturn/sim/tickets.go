package sim

import (
	"slices"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// tickets is TicketAPI: a queue of support tickets.
type tickets struct {
	queue   Value // [{id, title, …}]
	counter Value // the next id
	user    Value // who is logged in
}

func newTickets(s state) *tickets {
	return &tickets{
		queue: s.or("ticket_queue", &python.List{}), counter: s.or("ticket_counter", python.Int(1)),
		user: s.or("current_user", nil),
	}
}

func (t *tickets) attributes() []Attribute {
	return []Attribute{{"ticket_queue", t.queue}, {"ticket_counter", t.counter}, {"current_user", t.user}}
}

func (t *tickets) methods() map[string]method {
	create := or(or(need("title"), "description", ""), "priority", python.Int(1))
	return map[string]method{
		"create_ticket":           {create, t.create},
		"get_ticket":              {need("ticket_id"), t.get},
		"close_ticket":            {need("ticket_id"), t.close},
		"resolve_ticket":          {need("ticket_id", "resolution"), t.resolve},
		"edit_ticket":             {need("ticket_id", "updates"), t.edit},
		"ticket_login":            {need("username", "password"), t.login},
		"ticket_get_login_status": {nil, t.loginStatus},
		"logout":                  {nil, t.logout},
		"get_user_tickets":        {or(nil, "status", nil), t.ofUser},
	}
}

func (t *tickets) create(a []Value) (Value, error) {
	title, description, priority := a[0], a[1], a[2]
	if !python.Truthy(t.user) {
		return fail("User not authenticated. Please log in to create a ticket.")
	}
	low, err := python.Compare("<", priority, python.Int(1))
	if err != nil {
		return nil, err
	}
	if high, _ := python.Compare(">", priority, python.Int(5)); low || high {
		return fail("Invalid priority. Priority must be between 1 and 5.")
	}
	ticket := python.Record("id", t.counter, "title", title, "description", description,
		"status", "Open", "priority", priority, "created_by", t.user)
	if err := push(t.queue, ticket); err != nil {
		return nil, err
	}
	t.counter, err = increment(t.counter)
	return ticket, err
}

// found is run for the first ticket with the id.
func (t *tickets) found(id Value, run func(ticket Value) (Value, error)) (Value, error) {
	items, err := python.Iterate(t.queue)
	if err != nil {
		return nil, err
	}
	for _, ticket := range items {
		own, err := index(ticket, "id")
		if err != nil {
			return nil, err
		}
		if python.Equal(own, id) {
			return run(ticket)
		}
	}
	return fail("Ticket with ID {} not found.", id)
}

func (t *tickets) get(a []Value) (Value, error) {
	return t.found(a[0], func(ticket Value) (Value, error) { return ticket, nil })
}

func (t *tickets) close(a []Value) (Value, error) {
	return t.found(a[0], func(ticket Value) (Value, error) {
		return finish(ticket, a[0], "Closed", "closed", nil)
	})
}

func (t *tickets) resolve(a []Value) (Value, error) {
	return t.found(a[0], func(ticket Value) (Value, error) {
		return finish(ticket, a[0], "Resolved", "resolved", a[1:])
	})
}

// finish gives a ticket its last status, and a resolution if there is one.
func finish(ticket, id Value, status, word string, resolution []Value) (Value, error) {
	current, err := index(ticket, "status")
	if err != nil {
		return nil, err
	}
	if current == status {
		return fail("Ticket with ID {} is already "+word+".", id)
	}
	if err := store(ticket, "status", status); err != nil {
		return nil, err
	}
	for _, text := range resolution {
		if err := store(ticket, "resolution", text); err != nil {
			return nil, err
		}
	}
	return note("status", "Ticket {} has been "+word+" successfully.", id)
}

func (t *tickets) edit(a []Value) (Value, error) {
	return t.found(a[0], func(ticket Value) (Value, error) {
		updates, ok := a[1].(*python.Dict)
		if !ok {
			return nil, noAttribute(a[1], "keys")
		}
		var unknown []string
		for _, key := range updates.Keys() {
			name, isText := key.(string)
			if isText && slices.Contains([]string{"title", "description", "status", "priority"}, name) {
				continue
			}
			if !isText {
				return raise("TypeError", "sequence item 0: expected str instance, "+python.TypeName(key)+" found")
			}
			unknown = append(unknown, name)
		}
		if len(unknown) > 0 { // Python's order is that of a set
			return fail("Invalid fields for update: {}", strings.Join(unknown, ", "))
		}
		for _, key := range updates.Keys() {
			if v, _ := updates.Get(key); v != nil {
				if err := store(ticket, key, v); err != nil {
					return nil, err
				}
			}
		}
		return note("status", "Ticket {} has been updated successfully.", a[0])
	})
}

func (t *tickets) login(a []Value) (Value, error) {
	ok := python.Truthy(a[0]) && python.Truthy(a[1])
	if ok {
		t.user = a[0]
	}
	return python.Record("success", ok), nil
}

// loginStatus has the key "username" in the original, too.
func (t *tickets) loginStatus([]Value) (Value, error) {
	return python.Record("username", python.Truthy(t.user)), nil
}

func (t *tickets) logout([]Value) (Value, error) {
	was := python.Truthy(t.user)
	if was {
		t.user = nil
	}
	return python.Record("success", was), nil
}

func (t *tickets) ofUser(a []Value) (Value, error) {
	if !python.Truthy(t.user) {
		return python.NewList(python.Record("error", "User not authenticated. Please log in to view tickets.")), nil
	}
	items, err := python.Iterate(t.queue)
	if err != nil {
		return nil, err
	}
	own := &python.List{}
	for _, ticket := range items {
		author, err := index(ticket, "created_by")
		if err != nil {
			return nil, err
		}
		if python.Equal(author, t.user) {
			own.Items = append(own.Items, ticket)
		}
	}
	if !python.Truthy(a[0]) {
		return own, nil
	}
	return withStatus(own, a[0])
}

func withStatus(list *python.List, status Value) (Value, error) {
	kept := &python.List{}
	for _, ticket := range list.Items {
		v, err := index(ticket, "status")
		if err != nil {
			return nil, err
		}
		has, err := lower(v)
		if err != nil {
			return nil, err
		}
		want, err := lower(status)
		if err != nil {
			return nil, err
		}
		if has == want {
			kept.Items = append(kept.Items, ticket)
		}
	}
	return kept, nil
}
