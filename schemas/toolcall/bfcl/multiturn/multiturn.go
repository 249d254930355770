// Package multiturn executes and checks the multi-turn categories of BFCL v3 (base, miss_func,
// miss_param, long_context).
//
// An entry names simulated classes, their first state and, per turn, the calls that are right.
// A model's answer is, per turn, the raw texts of its steps. Check executes both on worlds of
// their own and compares after every turn, as the original checker does, quirks included:
//
//   - Steps that cannot be decoded are left out. Decoding drops positional arguments.
//   - State: every public attribute of every class must be equal to that of the right calls.
//   - Responses: the results of the turn's right calls must be among all results of the model
//     so far. More calls than needed are no fault.
//   - A turn without right calls is not checked.
//
// Executor runs single calls. Session leads a conversation: what to ask a model next, and what
// its answers did. The package opens no files and knows no model. Answers are hostile: depth, size
// and work have limits, after which a call returns an error as its result.
//
//	entry, err := multiturn.ReadEntry(question, answer)
//	verdict, err := multiturn.Check(entry, turns, multiturn.Options{})
//
// # Differences from the original
//
// Some answers that the original may read do not decode: see toolcall.DecodeEdition. Of Python's
// builtins there are only those that could return what a right call returns (see builtin).
// Complex numbers below 0 and arithmetic that Python would compute for minutes are errors, and the
// texts of exceptions that Python itself raises for arguments of a wrong type can differ.
package multiturn

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// Entry is one entry of a category, with its right calls.
type Entry struct {
	ID      string
	Classes []string // that the calls need, in the order in which their states are compared
	Config  *python.Dict
	Truth   [][]string // per turn: calls as Python source

	Questions [][]Message      // per turn: what the user says; nothing where functions are added
	Missed    map[int][]string // functions that the model is not told of before that turn
	Excluded  []string         // functions that it is never told of
}

// Message is one message of a conversation. The role is system, user, assistant or tool.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Options of a check.
type Options struct {
	Extension *sim.Extension // needed for long contexts only
	Today     time.Time      // for the age of travellers; it is the same for both sides
}

// Categories are the names of the multi-turn categories.
var Categories = []string{
	"multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context",
}

// idTail is the number behind the category.
var idTail = regexp.MustCompile(`_\d+$`)

// Category is the category of the entry's ID.
func (e *Entry) Category() string { return idTail.ReplaceAllString(e.ID, "") }

// Long reports whether the entry has a long context.
func (e *Entry) Long() bool {
	return strings.Contains(e.Category(), "long_context") || strings.Contains(e.Category(), "composite")
}

// ReadEntry reads a row of a category's questions and the row of its answers. answer may be
// empty: then the entry can be asked and not checked. Errors name the field.
func ReadEntry(question, answer []byte) (*Entry, error) {
	var q struct {
		ID        string           `json:"id"`
		Classes   []string         `json:"involved_classes"`
		Config    json.RawMessage  `json:"initial_config"`
		Truth     [][]string       `json:"ground_truth"`
		Questions [][]Message      `json:"question"`
		Missed    map[int][]string `json:"missed_function"`
		Excluded  []string         `json:"excluded_function"`
	}
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, fmt.Errorf("multiturn: question: %w", err)
	}
	e := &Entry{
		ID: q.ID, Classes: q.Classes, Truth: q.Truth, Config: python.NewDict(),
		Questions: q.Questions, Missed: q.Missed, Excluded: q.Excluded,
	}
	if len(e.Classes) == 0 {
		return nil, fmt.Errorf("multiturn: %s: involved_classes: missing", e.ID)
	}
	for _, name := range e.Classes {
		if !slices.Contains(sim.Classes, name) {
			return nil, fmt.Errorf("multiturn: %s: involved_classes: no class %q; known are %v",
				e.ID, name, sim.Classes)
		}
	}
	if len(q.Config) > 0 {
		v, err := python.ParseJSON(q.Config)
		if err != nil {
			return nil, fmt.Errorf("multiturn: %s: initial_config: %w", e.ID, err)
		}
		var ok bool
		if e.Config, ok = v.(*python.Dict); !ok {
			return nil, fmt.Errorf("multiturn: %s: initial_config: want an object", e.ID)
		}
	}
	if len(answer) == 0 {
		return e, nil
	}
	var a struct {
		ID    string     `json:"id"`
		Truth [][]string `json:"ground_truth"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("multiturn: %s: answer: %w", e.ID, err)
	}
	if a.ID != e.ID {
		return nil, fmt.Errorf("multiturn: the answer is for %s, the question is %s", a.ID, e.ID)
	}
	e.Truth = a.Truth
	return e, nil
}

// NewWorld makes the entry's objects in their first state.
func NewWorld(e *Entry, o Options) (*sim.World, error) { return e.world(o, &sim.Shared{}) }

func (e *Entry) world(o Options, shared *sim.Shared) (*sim.World, error) {
	options := sim.Options{Shared: shared, Today: o.Today}
	if e.Long() {
		if o.Extension == nil {
			return nil, fmt.Errorf("multiturn: %s: a long context needs BFCL's texts: see ReadLongContext and "+
				"sim.ReadExtension", e.ID)
		}
		options.Extension = o.Extension
	}
	w, err := sim.New(e.Classes, e.Config, options)
	if err != nil {
		return nil, fmt.Errorf("multiturn: %s: %w", e.ID, err)
	}
	return w, nil
}
