package apibank

import (
	"errors"
	"fmt"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// request is one call of an API.
type request struct {
	args     map[string]python.Value
	db       python.Value // the API's database; nil: it has none
	accounts python.Value // {name: account}, for APIs that want a token
}

// text is an argument; "" if it is not given.
func (q *request) text(name string) string {
	s, _ := q.args[name].(string)
	return s
}

const success = "success"

// user is the user of the token.
func (q *request) user() (string, error) {
	for name, account := range fields(q.accounts) {
		if text(account, "token") == q.text("token") {
			return name, nil
		}
	}
	return "", errors.New("the token is invalid")
}

// fields visits a dict's entries in order; none of anything else.
func fields(v python.Value) func(yield func(string, python.Value) bool) {
	return func(yield func(string, python.Value) bool) {
		d, ok := v.(*python.Dict)
		if !ok {
			return
		}
		for _, key := range d.Keys() {
			name, _ := key.(string)
			value, _ := d.Get(key)
			if !yield(name, value) {
				return
			}
		}
	}
}

// items are a list's; none of anything else.
func items(v python.Value) []python.Value {
	if l, ok := v.(*python.List); ok {
		return l.Items
	}
	return nil
}

// text is a text of a record; "" if it has none.
func text(record python.Value, name string) string {
	v, _ := entry(record, name)
	s, _ := v.(string)
	return s
}

// diary is a database of things that users do at a time.
type diary struct {
	times []string // arguments that must be times
	topic string   // the argument that says what; "": none
	match []pair   // a thing is found by any of them
}

// pair is a field of a thing and the argument with which it is compared.
type pair struct{ field, arg string }

// check reads times and token.
func (d diary) check(q *request, needsTopic bool) (user string, err error) {
	for _, name := range d.times {
		if _, err := parseTime(q.text(name), second); err != nil {
			return "", err
		}
	}
	if needsTopic && d.topic != "" && strip(q.text(d.topic)) == "" {
		return "", fmt.Errorf("%s is empty", d.topic)
	}
	return q.user()
}

func (d diary) find(q *request, needsTopic bool) (python.Value, error) {
	user, err := d.check(q, needsTopic)
	if err != nil {
		return nil, err
	}
	for _, thing := range fields(q.db) {
		if text(thing, "username") != user {
			continue
		}
		for _, m := range d.match {
			if v, ok := entry(thing, m.field); ok && python.Equal(v, q.text(m.arg)) {
				return thing, nil
			}
		}
	}
	return nil, errors.New("the user has nothing of this topic or time")
}

func (d diary) add(q *request) (python.Value, error) {
	if _, err := d.check(q, true); err != nil {
		return nil, err
	}
	return success, nil
}

func (d diary) query(q *request) (python.Value, error) { return d.find(q, false) }

func (d diary) change(q *request) (python.Value, error) {
	if _, err := d.find(q, false); err != nil {
		return nil, err
	}
	return success, nil
}

// queryNamed and changeNamed refuse an empty topic.
func (d diary) queryNamed(q *request) (python.Value, error) { return d.find(q, true) }

func (d diary) changeNamed(q *request) (python.Value, error) {
	if _, err := d.find(q, true); err != nil {
		return nil, err
	}
	return success, nil
}
