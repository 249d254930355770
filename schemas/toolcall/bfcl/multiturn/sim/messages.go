package sim

import (
	"fmt"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// messages is MessageAPI: users of a workspace who send texts to each other.
type messages struct {
	ids     *python.Set // of messages sent
	users   Value       // {name: id}
	inbox   Value       // [{receiver: text}]
	current Value       // the id that is logged in
	count   Value       // of messages
	people  Value       // number of users

	random *python.Random
}

const messageSeed = 200191

func newMessages(s state) *messages {
	m := &messages{ids: python.NewSet(), random: python.NewRandom(messageSeed)}
	m.people = s.or("user_count", python.Int(4))
	m.users = s.or("user_map", python.Record(
		"Alice", "USR001", "Bob", "USR002", "Catherine", "USR003", "Daniel", "USR004"))
	m.inbox = s.or("inbox", python.NewList(
		python.Record("USR002", "My name is Alice. I want to connect."),
		python.Record("USR003", "Could you upload the file?"),
		python.Record("USR004", "Could you upload the file?")))
	m.count = s.or("message_count", python.Int(3))
	m.current = s.or("current_user", nil)
	if ids, err := python.Iterate(s.or("generated_ids", nil)); err == nil {
		m.ids = python.NewSet(ids...)
	}
	return m
}

func (m *messages) attributes() []Attribute {
	return []Attribute{
		{"generated_ids", m.ids}, {"user_count", m.people}, {"user_map", m.users}, {"inbox", m.inbox},
		{"message_count", m.count}, {"current_user", m.current},
	}
}

func (m *messages) methods() map[string]method {
	return map[string]method{
		"list_users":               {nil, m.listUsers},
		"get_user_id":              {need("user"), m.getUserID},
		"message_login":            {need("user_id"), m.login},
		"message_get_login_status": {nil, m.loginStatus},
		"send_message":             {need("receiver_id", "message"), m.loggedIn(m.send)},
		"delete_message":           {need("receiver_id"), m.loggedIn(m.delete)},
		"view_messages_sent":       {nil, m.loggedIn(m.view)},
		"search_messages":          {need("keyword"), m.loggedIn(m.search)},
		"get_message_stats":        {nil, m.loggedIn(m.stats)},
		"add_contact":              {need("user_name"), m.addContact},
	}
}

// loggedIn refuses a method while no user is logged in.
func (m *messages) loggedIn(run func([]Value) (Value, error)) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		if !python.Truthy(m.current) {
			return fail("No user is currently logged in.")
		}
		return run(a)
	}
}

func (m *messages) names() (*python.Dict, error) {
	users, ok := m.users.(*python.Dict)
	if !ok {
		return nil, noAttribute(m.users, "values")
	}
	return users, nil
}

// knows reports whether a user has the id.
func (m *messages) knows(id Value) (bool, error) {
	users, err := m.names()
	if err != nil {
		return false, err
	}
	for _, name := range users.Keys() {
		if v, _ := users.Get(name); python.Equal(v, id) {
			return true, nil
		}
	}
	return false, nil
}

func (m *messages) listUsers([]Value) (Value, error) {
	users, err := m.names()
	if err != nil {
		return nil, err
	}
	return python.Record("user_list", python.NewList(users.Keys()...)), nil
}

func (m *messages) getUserID(a []Value) (Value, error) {
	users, err := m.names()
	if err != nil {
		return nil, err
	}
	known, err := users.Has(a[0])
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("User '{}' not found in the workspace.", a[0])
	}
	id, _ := users.Get(a[0])
	return python.Record("user_id", id), nil
}

func (m *messages) login(a []Value) (Value, error) {
	known, err := m.knows(a[0])
	if err != nil {
		return nil, err
	}
	template := "User ID '{}' not found."
	if known {
		m.current, template = a[0], "User '{}' logged in successfully."
	}
	text, err := format(template, a[0])
	return python.Record("login_status", known, "message", text), err
}

func (m *messages) loginStatus([]Value) (Value, error) {
	return python.Record("login_status", python.Truthy(m.current)), nil
}

func (m *messages) send(a []Value) (Value, error) {
	receiver, text := a[0], a[1]
	known, err := m.knows(receiver)
	if err != nil {
		return nil, err
	}
	if !known {
		return fail("Receiver ID '{}' not found.", receiver)
	}
	inbox, ok := m.inbox.(*python.List)
	if !ok {
		return nil, noAttribute(m.inbox, "append")
	}
	id := m.newID()
	message := python.NewDict()
	if err := message.Set(receiver, text); err != nil {
		return nil, err
	}
	inbox.Items = append(inbox.Items, message)
	if m.count, err = increment(m.count); err != nil {
		return nil, err
	}
	sent, err := format("Message sent to '{}' successfully.", receiver)
	return python.Record("sent_status", true, "message_id", python.Record("new_id", id), "message", sent), err
}

// newID draws until the id is new. There are 90,000 ids and fewer calls.
func (m *messages) newID() Value {
	for {
		id := m.random.Between(10000, 99999)
		if used, _ := m.ids.Has(id); !used || m.ids.Len() >= 90000 {
			m.ids.Add(id)
			return id
		}
	}
}

// each visits receiver and text of every message. Of one with several, it sees the first.
func (m *messages) each(visit func(message *python.Dict, receiver, text Value) error) error {
	items, err := python.Iterate(m.inbox)
	if err != nil {
		return err
	}
	for _, item := range items {
		message, ok := item.(*python.Dict)
		if !ok {
			return noAttribute(item, "items")
		}
		if message.Len() == 0 {
			return python.Exception("StopIteration", "")
		}
		receiver := message.Keys()[0]
		text, _ := message.Get(receiver)
		if err := visit(message, receiver, text); err != nil {
			return err
		}
	}
	return nil
}

// delete finds the last message to the receiver, and removes the first that is equal to it.
func (m *messages) delete(a []Value) (Value, error) {
	var last *python.Dict
	err := m.each(func(message *python.Dict, receiver, _ Value) error {
		if python.Equal(receiver, a[0]) {
			last = message
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if last == nil {
		return fail("Receiver ID {} not found.", a[0])
	}
	remove(m.inbox, last)
	text, err := format("Receiver {}'s first message deleted successfully.", a[0])
	return python.Record("deleted_status", true, "message_id", a[0], "message", text), err
}

// remove is list.remove(item) for an item that is there.
func remove(list, item Value) {
	l, ok := list.(*python.List)
	if !ok {
		return
	}
	for i, other := range l.Items {
		if python.Equal(other, item) {
			l.Items = append(l.Items[:i:i], l.Items[i+1:]...)
			return
		}
	}
}

func (m *messages) view([]Value) (Value, error) {
	sent := python.NewDict()
	err := m.each(func(_ *python.Dict, receiver, text Value) error {
		texts, ok := sent.Get(receiver)
		if !ok {
			texts = &python.List{}
			if err := sent.Set(receiver, texts); err != nil {
				return err
			}
		}
		list := texts.(*python.List)
		list.Items = append(list.Items, text)
		return nil
	})
	return python.Record("messages", sent), err
}

func (m *messages) search(a []Value) (Value, error) {
	keyword, err := lower(a[0])
	if err != nil {
		return nil, err
	}
	found := &python.List{}
	err = m.each(func(_ *python.Dict, receiver, text Value) error {
		low, err := lower(text)
		if err == nil && strings.Contains(low, keyword) {
			found.Items = append(found.Items, python.Record("receiver_id", receiver, "message", text))
		}
		return err
	})
	return python.Record("results", found), err
}

// stats counts all messages as received ones, as the original does.
func (m *messages) stats([]Value) (Value, error) {
	received, contacts := 0, python.NewSet()
	err := m.each(func(_ *python.Dict, receiver, _ Value) error {
		received++
		contacts.Add(receiver)
		return nil
	})
	return python.Record("stats", python.Record("received_count", received, "total_contacts", contacts.Len())), err
}

func (m *messages) addContact(a []Value) (Value, error) {
	users, err := m.names()
	if err != nil {
		return nil, err
	}
	known, err := users.Has(a[0])
	if err != nil {
		return nil, err
	}
	if known {
		return fail("User name '{}' already exists.", a[0])
	}
	if m.people, err = increment(m.people); err != nil {
		return nil, err
	}
	number, err := python.Str(m.people)
	if err != nil {
		return nil, err
	}
	id := fmt.Sprintf("USR%s%s", strings.Repeat("0", max(0, 3-len(number))), number)
	if taken, err := m.knows(id); err != nil || taken {
		if err != nil {
			return nil, err
		}
		return fail("User ID '{}' already exists.", id)
	}
	if err := users.Set(a[0], id); err != nil {
		return nil, err
	}
	text, err := format("Contact '{}' added successfully.", a[0])
	return python.Record("added_status", true, "user_id", id, "message", text), err
}
