package multiturn

import (
	"fmt"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// Names of the faults, as the original checker has them.
const (
	FaultTurns    = "multi_turn:force_terminated"            // another number of turns
	FaultEmpty    = "multi_turn:empty_turn_model_response"   // no call where some are needed
	FaultState    = "multi_turn:instance_state_mismatch"     // an attribute differs
	FaultResponse = "multi_turn:execution_response_mismatch" // a result is missing
	// FaultInference is not found by a check: the model gave no answer, as when its context is full.
	FaultInference = "multi_turn:inference_error"
)

// Verdict is what a check found. The first fault ends it.
type Verdict struct {
	Valid      bool
	Fault      string   // "" on a pass
	Turn       int      // of the fault, from 0; -1 if no turn is at fault
	Class      string   // of FaultState: the first class that differs
	Attributes []string // of FaultState: the attributes that differ
	Missing    []string // of FaultResponse: the results that are missing
}

// Detail says more about the fault: "turn_count", "empty", "state:Class:attribute,attribute" or
// "missing:2".
func (v Verdict) Detail() string {
	switch v.Fault {
	case FaultTurns:
		return "turn_count"
	case FaultEmpty:
		return "empty"
	case FaultState:
		return "state:" + v.Class + ":" + strings.Join(v.Attributes, ",")
	case FaultResponse:
		return fmt.Sprintf("missing:%d", len(v.Missing))
	}
	return ""
}

// Check judges an answer: per turn the raw texts of the model's steps. Errors are those of the
// entry, never of the answer.
func Check(e *Entry, turns [][]string, o Options) (Verdict, error) {
	calls := make([][]string, len(turns))
	for i, steps := range turns {
		for _, step := range steps {
			if decoded, err := Decode(step); err == nil { // others are left out
				calls[i] = append(calls[i], decoded...)
			}
		}
	}
	return CheckCalls(e, calls, o)
}

// CheckCalls is Check for decoded steps: per turn the calls as Python source.
func CheckCalls(e *Entry, turns [][]string, o Options) (Verdict, error) {
	if len(turns) != len(e.Truth) {
		return Verdict{Fault: FaultTurns, Turn: -1}, nil
	}
	shared := &sim.Shared{}
	model, err := e.executor(o, shared, "model")
	if err != nil {
		return Verdict{}, err
	}
	truth, err := e.executor(o, shared, "model_ground_truth")
	if err != nil {
		return Verdict{}, err
	}
	c := checker{model: model, truth: truth, results: map[string]int{}}
	for i, calls := range turns {
		if v := c.turn(calls, e.Truth[i]); v.Fault != "" {
			v.Turn = i
			return v, nil
		}
	}
	return Verdict{Valid: true, Turn: -1}, nil
}

func (e *Entry) executor(o Options, shared *sim.Shared, side string) (*Executor, error) {
	w, err := e.world(o, shared)
	if err != nil {
		return nil, err
	}
	return NewExecutor(w, e.ID, side), nil
}

type checker struct {
	model, truth *Executor
	results      map[string]int // how often the model got each result so far
}

func (c *checker) turn(calls, truth []string) Verdict {
	for _, call := range calls {
		c.results[c.model.Run(call)]++
	}
	var want []string
	for _, call := range truth {
		want = append(want, c.truth.Run(call))
	}
	switch {
	case len(truth) == 0:
		return Verdict{}
	case len(calls) == 0:
		return Verdict{Fault: FaultEmpty}
	}
	if v := c.states(); v.Fault != "" {
		return v
	}
	return c.responses(want)
}

func (c *checker) states() Verdict {
	for i, want := range c.truth.World.Objects {
		names := sim.Differences(want, c.model.World.Objects[i])
		if len(names) > 0 {
			return Verdict{Fault: FaultState, Class: want.Class, Attributes: names}
		}
	}
	return Verdict{}
}

// responses does not use results up: those of earlier turns count again.
func (c *checker) responses(want []string) Verdict {
	needed := map[string]int{}
	var missing []string
	for _, result := range want {
		if needed[result]++; needed[result] > c.results[result] {
			missing = append(missing, result)
		}
	}
	if len(missing) > 0 {
		return Verdict{Fault: FaultResponse, Missing: missing}
	}
	return Verdict{}
}
