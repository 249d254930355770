// Package sim has the simulated classes on which BFCL v3 executes the calls of its multi-turn
// categories: a file system, a calculator, messages, posts, tickets, a stock broker, a travel
// agency and a car.
//
// A world holds one object of each class that an entry needs. Calls change the objects and
// return Python values, errors included, as the original's methods do; the attributes of two
// worlds say whether the same was reached. The tables and first states in these files are
// BFCL's (Apache-2.0). The long texts of its category long_context are not here: read them
// with ReadExtension.
//
// The package parses no calls and judges nothing: package multiturn does.
//
//	w, err := sim.New([]string{"TicketAPI"}, config, sim.Options{})
//	result, err := w.Call("create_ticket", nil, []sim.Named{{"title", "Late"}})
package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Value is a Python value.
type Value = python.Value

// Named is one keyword argument.
type Named struct {
	Name  string
	Value Value
}

// Attribute is a part of an object's state that BFCL compares.
type Attribute struct {
	Name  string
	Value Value // of the file system's root: see Tree
}

// Object is one object of a simulated class.
type Object struct {
	Class   string
	class   class
	methods map[string]method
}

// class is what the file of a class provides. attributes are the public ones, in the order of
// the original's.
type class interface {
	methods() map[string]method
	attributes() []Attribute
}

// Shared is what the worlds of one entry have in common, because the original's objects share
// it by mistake: the default list of mentions, and the cards and bookings of long contexts. The
// zero value is ready.
type Shared struct {
	noTags, noMentions *python.List
	cards, bookings    *python.Dict
}

// Options of a world.
type Options struct {
	Extension *Extension // the texts of long contexts; nil for the other categories
	Shared    *Shared    // nil: nothing is shared
	Today     time.Time  // for the age of travellers
}

// World has one object per class.
type World struct {
	Objects []*Object // in the order in which they were named
	owner   map[string]*Object
	budget  *budget
}

// Classes are the names of the classes.
var Classes = []string{
	"GorillaFileSystem", "MathAPI", "MessageAPI", "TwitterAPI", "TicketAPI", "TradingBot", "TravelAPI",
	"VehicleControlAPI",
}

// New makes a world. config holds the first state of each class, {class: {attribute: value}};
// it is copied. A class without one has its default state. Unknown classes and states of
// another shape are errors.
func New(classes []string, config *python.Dict, o Options) (*World, error) {
	if o.Shared == nil {
		o.Shared = &Shared{}
	}
	w := &World{owner: map[string]*Object{}, budget: &budget{left: maxWork}}
	for _, name := range classes {
		state := state{python.NewDict()}
		if v, ok := config.Get(name); ok {
			d, isDict := v.(*python.Dict)
			if !isDict {
				return nil, fmt.Errorf("sim: the state of %s is a %s, want an object", name, python.TypeName(v))
			}
			state.Dict = python.Copy(d).(*python.Dict)
		}
		c, err := open(name, state, o, w.budget)
		if err != nil {
			return nil, fmt.Errorf("sim: %s: %w", name, err)
		}
		object := &Object{Class: name, class: c, methods: c.methods()}
		w.Objects = append(w.Objects, object)
		for m := range object.methods {
			w.owner[m] = object
		}
	}
	return w, nil
}

func open(name string, s state, o Options, b *budget) (class, error) {
	switch name {
	case "GorillaFileSystem":
		return newFileSystem(s, o.Extension, b)
	case "MathAPI":
		return calculator{b}, nil
	case "MessageAPI":
		return newMessages(s), nil
	case "TwitterAPI":
		return newPosts(s, o.Shared)
	case "TicketAPI":
		return newTickets(s), nil
	case "TradingBot":
		return newBroker(s, o.Extension)
	case "TravelAPI":
		return newTravel(s, o), nil
	case "VehicleControlAPI":
		return newCar(s, o.Extension)
	}
	return nil, fmt.Errorf("no such class; known are %s", strings.Join(Classes, ", "))
}

// Owner returns the object that has the method, nil if none has.
func (w *World) Owner(method string) *Object { return w.owner[method] }

// Call calls a method of a world: see Object.Call. A method that no object has is a NameError.
func (w *World) Call(name string, args []Value, named []Named) (Value, error) {
	o := w.owner[name]
	if o == nil {
		return nil, python.Exception("NameError", "name '"+name+"' is not defined")
	}
	return o.Call(name, args, named)
}

// Call binds the arguments as Python does and runs the method. Every error is a *python.Error;
// what the method changed before it stays changed.
func (o *Object) Call(name string, args []Value, named []Named) (Value, error) {
	m, ok := o.methods[name]
	if !ok {
		return nil, python.Exception("AttributeError", "'"+o.Class+"' object has no attribute '"+name+"'")
	}
	bound, err := m.bind(o.Class+"."+name, args, named)
	if err != nil {
		return nil, err
	}
	return m.run(bound)
}

// Has reports whether the class has the method.
func (o *Object) Has(method string) bool {
	_, ok := o.methods[method]
	return ok
}

// Attributes returns the state that BFCL compares.
func (o *Object) Attributes() []Attribute { return o.class.attributes() }

// Differences returns the names of the attributes in which got differs from want, sorted.
func Differences(want, got *Object) []string {
	var names []string
	other := got.Attributes()
	for i, a := range want.Attributes() {
		if !equal(a.Value, other[i].Value) {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return names
}

func equal(a, b Value) bool {
	if x, ok := a.(*node); ok {
		y, ok := b.(*node)
		return ok && sameTree(x, y)
	}
	return python.Equal(a, b)
}

// Spend counts work, in bytes read or written; an error where a world's share is used up.
func (w *World) Spend(n int) error { return w.budget.spend(n) }

// maxWork limits the work of all calls in a world.
const maxWork = 64 << 20

// budget counts the work of calls whose cost grows with the state.
type budget struct{ left int }

func (b *budget) spend(n int) error {
	if b.left -= n; b.left < 0 {
		return python.Exception("MemoryError", "the work of this entry is used up")
	}
	return nil
}
