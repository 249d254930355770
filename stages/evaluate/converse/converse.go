// Package converse leads a model through BFCL's multi-turn entries and judges what it did.
//
// Entries and a Model go in, one Result per entry comes out, in the order of the entries. The
// conversation is BFCL's: see multiturn.Session for turns, steps, their limit and the functions
// that are added. Policy is a Model in this process; a server can be another. Protocol says what
// differs from BFCL's own prompts.
//
// The package reads no files and adds up no scores: see package bfcl.
//
//	results, err := converse.Run(ctx, model, entries, converse.Options{...})
package converse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"itool/schemas"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/bfcl/multiturn"
)

// Protocol is for people who read the scores beside others.
const Protocol = "multi-turn: tools, calls and results stand where the model's chat template puts them, not in " +
	"BFCL's own prompt; added functions join the tools, with BFCL's sentence; each result is a message of the " +
	"tool; answers are greedy; at most 20 steps of calls a turn; an entry that outgrows the context is wrong"

// Model answers conversations. Several goroutines call it at once.
type Model interface {
	// Answer returns one answer and the number of its tokens. ErrContext says that the
	// conversation is too long; any other error ends the run.
	Answer(ctx context.Context, r multiturn.Request) (text string, tokens int, err error)
}

// ErrContext says that a conversation does not fit into the model's context. BFCL counts its
// entry as wrong.
var ErrContext = errors.New("the conversation is longer than the model's context")

// Options of a run.
type Options struct {
	multiturn.SessionOptions
	Parallel int         // conversations at once; 0: one. Results do not depend on it
	Done     func(n int) // called with the number of entries that are done; nil: never
}

// Result is one conversation and what became of it.
type Result struct {
	ID       string
	Category string
	Turns    [][]string // the model's raw texts by turn and step, as in BFCL's result files
	Steps    int        // answers
	Tokens   int        // of all answers
	Forced   bool       // a turn had too many steps
	Full     bool       // the context was full; Verdict is then that of FaultInference
	Verdict  multiturn.Verdict
}

// Run leads all conversations. An error is that of an entry, of its descriptions, or of the
// model, and names the entry.
func Run(ctx context.Context, m Model, entries []*multiturn.Entry, o Options) ([]Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{model: m, o: o, results: make([]Result, len(entries)), cancel: cancel}
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(1, o.Parallel) {
		workers.Go(func() {
			for i := range next {
				r.lead(ctx, i, entries[i])
			}
		})
	}
	for i := range entries {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	if r.err == nil {
		r.err = ctx.Err()
	}
	return r.results, r.err
}

type run struct {
	model   Model
	o       Options
	results []Result // each written by one worker
	cancel  func()

	mu   sync.Mutex
	done int
	err  error
}

func (r *run) lead(ctx context.Context, i int, e *multiturn.Entry) {
	result, err := lead(ctx, r.model, e, r.o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[i] = result
	if err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("converse: %s: %w", e.ID, err)
		}
		r.cancel()
		return
	}
	r.done++
	if r.o.Done != nil {
		r.o.Done(r.done)
	}
}

// lead leads one conversation to its end and checks it.
func lead(ctx context.Context, m Model, e *multiturn.Entry, o Options) (Result, error) {
	result := Result{ID: e.ID, Category: e.Category()}
	s, err := multiturn.NewSession(e, o.SessionOptions)
	if err != nil {
		return result, err
	}
	for request, more := s.Next(); more && !result.Full; request, more = s.Next() {
		text, tokens, err := m.Answer(ctx, request)
		if errors.Is(err, ErrContext) {
			result.Full = true
			break
		}
		if err != nil {
			return result, err
		}
		result.Steps++
		result.Tokens += tokens
		if err := s.Answer(text); err != nil {
			return result, err
		}
	}
	result.Turns, result.Forced = s.Turns(), s.Forced()
	if result.Full {
		result.Verdict = multiturn.Verdict{Fault: multiturn.FaultInference, Turn: len(result.Turns) - 1}
		return result, nil
	}
	result.Verdict, err = s.Check()
	return result, err
}

// Record is the result as a verdict of a run. The answer is the JSON of all turns.
func (r Result) Record() schemas.Verdict {
	answer, err := json.Marshal(r.Turns)
	if err != nil {
		answer = []byte("[]") // texts are always JSON
	}
	v := schemas.Verdict{
		ExampleID: r.ID, Part: schemas.PartTest, Category: r.Category, HasCall: true, Answer: string(answer),
		Tokens: int32(min(r.Tokens, 1<<31-1)), Parsed: r.Verdict.Fault != multiturn.FaultEmpty, Pass: r.Verdict.Valid,
		ErrorName: r.Verdict.Fault, Cut: r.Full,
	}
	switch r.Verdict.Fault {
	case "":
	case multiturn.FaultEmpty:
		v.ErrorType = string(bfcl.ToolsCount)
	default:
		v.ErrorType = string(bfcl.Other)
	}
	return v
}
