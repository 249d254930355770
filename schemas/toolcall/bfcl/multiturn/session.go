package multiturn

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// StepLimit is how many steps of calls a turn may have. After one more the entry is ended by
// force: later turns are not asked.
const StepLimit = 20

// AddedFunctions is what the user says in the turn in which functions are added.
const AddedFunctions = "I have updated some more functions you can choose from. What about now?"

// SessionOptions say how a model is asked.
type SessionOptions struct {
	Options
	Docs   Docs
	Decode func(raw string) ([]string, error) // of a step; nil: Decode
	// InText writes added functions into the user's message, as BFCL does for models that it
	// prompts. Otherwise they are among the tools from then on, and the message has the sentence.
	InText bool
}

// Session leads the conversation of one entry, as BFCL's inference does: a turn's messages are
// asked; the calls of an answer are executed and their results said, until an answer has no
// calls; then the next turn begins. The smallest use:
//
//	for {
//		request, more := s.Next()
//		if !more {
//			break
//		}
//		s.Answer(ask(request))
//	}
//	verdict, err := s.Check()
type Session struct {
	entry   *Entry
	o       SessionOptions
	execute *Executor
	history []Message
	tools   json.RawMessage

	raw     [][]string // per turn and step: the model's texts
	calls   [][]string // per turn: the decoded calls
	turn    int        // that is asked
	steps   int        // of calls in this turn
	waiting bool       // for an answer
	ended   bool
	forced  bool
}

// Request is what a model is asked next. Nothing of it may be changed.
type Request struct {
	Messages []Message
	Tools    json.RawMessage // a JSON array of schemas
}

// NewSession begins the conversation of an entry. Errors are those of the entry and its
// descriptions.
func NewSession(e *Entry, o SessionOptions) (*Session, error) {
	if o.Decode == nil {
		o.Decode = Decode
	}
	w, err := e.world(o.Options, &sim.Shared{})
	if err != nil {
		return nil, err
	}
	s := &Session{entry: e, o: o, execute: NewExecutor(w, e.ID, "model")}
	return s, s.begin()
}

// begin says what the user says in the turn, or ends the session.
func (s *Session) begin() error {
	if s.turn >= len(s.entry.Questions) {
		s.ended = true
		return nil
	}
	docs, err := s.o.Docs.tools(s.entry, s.hidden)
	if err != nil {
		return err
	}
	s.tools = array(docs)
	messages := s.entry.Questions[s.turn]
	if added := s.entry.Missed[s.turn]; len(added) > 0 {
		text, err := s.addedText(added)
		if err != nil {
			return err
		}
		messages = []Message{{"user", text}}
	}
	s.history = append(s.history, messages...)
	s.raw, s.calls, s.steps = append(s.raw, nil), append(s.calls, nil), 0
	return nil
}

// hidden reports whether the model is not told of a function in this turn, or only in the text.
func (s *Session) hidden(name string) bool {
	for turn, names := range s.entry.Missed {
		if slices.Contains(names, name) && (turn > s.turn || s.o.InText) {
			return true
		}
	}
	return false
}

func (s *Session) addedText(added []string) (string, error) {
	if !s.o.InText {
		return AddedFunctions, nil
	}
	docs, err := s.o.Docs.tools(s.entry, func(name string) bool { return !slices.Contains(added, name) })
	if err != nil {
		return "", err
	}
	text, err := pythonText(docs)
	return text + "\n" + AddedFunctions, err
}

// Next returns what to ask; false when the conversation has ended.
func (s *Session) Next() (Request, bool) {
	if s.ended {
		return Request{}, false
	}
	s.waiting = true
	return Request{s.history[:len(s.history):len(s.history)], s.tools}, true
}

// Answer takes the model's raw answer to the last request, and executes its calls. An error is
// that of descriptions, or of an answer that was not asked for.
func (s *Session) Answer(raw string) error {
	if !s.waiting {
		return errors.New("multiturn: an answer without a request")
	}
	s.waiting = false
	last := len(s.raw) - 1
	s.raw[last] = append(s.raw[last], raw)
	s.history = append(s.history, Message{"assistant", raw})
	calls, err := s.o.Decode(raw)
	if err != nil || len(calls) == 0 {
		s.turn++
		return s.begin()
	}
	s.calls[last] = append(s.calls[last], calls...)
	for _, call := range calls {
		s.history = append(s.history, Message{"tool", s.execute.Run(call)})
	}
	if s.steps++; s.steps > StepLimit {
		s.ended, s.forced = true, true
	}
	return nil
}

// Stop ends the conversation before its time, for example where the model's context is full.
// BFCL counts such an entry as wrong, see FaultInference.
func (s *Session) Stop() { s.ended = true }

// Turns are the model's raw texts by turn and step, as BFCL's result files hold them.
func (s *Session) Turns() [][]string { return s.raw }

// Forced reports whether a turn had more steps than StepLimit.
func (s *Session) Forced() bool { return s.forced }

// Check judges the conversation.
func (s *Session) Check() (Verdict, error) { return CheckCalls(s.entry, s.calls, s.o.Options) }

// Sources writes calls as Python source with named arguments, as BFCL does for models whose calls
// arrive as data: no quirk of its reader of texts applies. Arguments are Python's literals of the
// JSON values.
func Sources(calls []toolcall.Call) ([]string, error) {
	sources := make([]string, len(calls))
	for i, c := range calls {
		args := make([]string, len(c.Args))
		for j, a := range c.Args {
			text, err := python.Repr(python.Of(a.Value.CallsAsDicts()))
			if err != nil {
				return nil, err
			}
			args[j] = a.Name + "=" + text
		}
		sources[i] = c.Name + "(" + strings.Join(args, ",") + ")"
	}
	return sources, nil
}
