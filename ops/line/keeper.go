package line

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// A Keeper opens and closes the rounds of runs: it writes manifests, tasks and
// gathers, and nothing else does. Every step is write-once and repeatable, so
// any number of keepers may run and any of them may die at any moment.
//
// A Keeper is used by one goroutine.
type Keeper struct {
	Courier *courier.Courier
	Worker  string        // this process, for the headers
	Specs   []stages.Spec // of the line; their queues are made with the run, so that there is a depth to scale on before the first worker comes
	// AckWait of these queues, 60 s by default: a foreign worker may come first and
	// ask for nothing. Of several wishes the longest holds.
	AckWait time.Duration
	Log     *slog.Logger

	runs map[string]*runState
}

// State is where a run stands after a step.
type State struct {
	Run     string
	Ended   bool
	Status  string // End.Status once ended
	Detail  string
	Stalled string // not empty: the run cannot go on by itself, and why
}

// errStalled stops a step without harm: the run waits for a person.
type errStalled struct{ why string }

func (e errStalled) Error() string { return e.why }

// errFailed ends a run.
type errFailed struct{ why string }

func (e errFailed) Error() string { return e.why }

// Step does all that can be done for one run now. start is the message that
// started it.
func (k *Keeper) Step(ctx context.Context, start broker.Message) (State, error) {
	s := k.runState(start)
	if !s.state.Ended && !s.read {
		if err := k.open(ctx, s, start); err != nil {
			return k.settle(ctx, s, nil, err)
		}
	}
	return k.step(ctx, s)
}

// step is Step for a run whose start message was read.
func (k *Keeper) step(ctx context.Context, s *runState) (State, error) {
	if s.state.Ended {
		return s.state, nil
	}
	if err := k.create(ctx, s); err != nil {
		return k.settle(ctx, s, nil, err)
	}
	end, _, err := courier.Rows[schemas.End](ctx, k.Courier, s.run.Name, schemas.RecordEnd, 0, schemas.KeyEnd)
	if err == nil && len(end) == 1 {
		s.state = State{Run: s.run.Name, Ended: true, Status: end[0].Status, Detail: end[0].Detail}
		return s.state, nil
	}
	if err != nil && !errors.Is(err, broker.ErrNotExist) {
		return k.settle(ctx, s, nil, err)
	}
	done, err := k.advance(ctx, s)
	return k.settle(ctx, s, done, err)
}

// settle makes a state of what a step came to, and writes the end when it is one.
func (k *Keeper) settle(ctx context.Context, s *runState, done *schemas.End, err error) (State, error) {
	st := State{Run: s.run.Name}
	var stalled errStalled
	var failed errFailed
	switch {
	case errors.As(err, &failed):
		done = &schemas.End{Status: schemas.StatusFailed, Detail: strings.ToValidUTF8(failed.why, "�")}
	case errors.As(err, &stalled):
		st.Stalled = stalled.why
	case errors.Is(err, broker.ErrFull):
		st.Stalled = err.Error()
	case errors.Is(err, broker.ErrNoRun):
		delete(k.runs, s.run.Name) // retired, or its stream was deleted alone: begin anew
		return st, err
	case err != nil:
		return st, err
	}
	if st.Stalled != s.state.Stalled && st.Stalled != "" {
		k.Log.Error("the run is stalled", "run", st.Run, "why", st.Stalled)
	}
	if done != nil {
		// A run that could not even be opened ends where everybody can see it.
		if err := k.Courier.Broker.CreateRun(ctx, s.run.Name, s.cfg.StreamMaxByte); err != nil {
			return st, err
		}
		if err := publish(ctx, k, s, schemas.RecordEnd, 0, schemas.KeyEnd, "", []schemas.End{*done}); err != nil {
			return st, err
		}
		k.hint(ctx, s)
		k.Log.Info("the run has ended", "run", st.Run, "status", done.Status, "detail", done.Detail)
		st.Ended, st.Status, st.Detail = true, done.Status, done.Detail
		s.forget()
	}
	s.state = st
	return st, nil
}

// advance is the line: from the published dataset to the end, as far as the
// results that are there allow. It returns the end once it is reached.
func (k *Keeper) advance(ctx context.Context, s *runState) (*schemas.End, error) {
	if cancelled, err := k.has(ctx, s, schemas.RecordCancel, 0, schemas.KeyCancel); err != nil {
		return nil, err
	} else if cancelled {
		return &schemas.End{Status: schemas.StatusCancelled, Detail: "cancelled by its user"}, nil
	}
	if closed, err := k.splitRound(ctx, s); err != nil || !closed {
		return nil, err
	}
	rounds, before := int32(0), ""
	judging, stalled := false, error(nil) // beside the line; only the end waits for it
	for r := Base; ; r++ {
		p, err := k.policy(ctx, s, r)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, nil // a trainer is at work, or will be
		}
		if p.Checkpoint != before { // a round without an update needs no second judgement
			judged, err := k.evaluateRound(ctx, s, r, p)
			if errors.As(err, new(errStalled)) {
				stalled = err
			} else if err != nil {
				return nil, err
			} else if !judged {
				judging = true
			}
		}
		before = p.Checkpoint
		if r > 0 && p.Status == schemas.StatusTrained {
			rounds++
		}
		stopped := r > 0 && p.Status == schemas.StatusGuard
		if r == s.cfg.Rounds || stopped {
			if judging {
				return nil, nil
			}
			if stalled != nil {
				return nil, stalled
			}
			end := &schemas.End{Status: schemas.StatusDone, Rounds: rounds}
			if stopped {
				end.Status, end.Detail = schemas.StatusGuard, p.Detail
			}
			return end, nil
		}
		if r == Base {
			continue // warmup wakes on the gather of the examples
		}
		if closed, err := k.searchRound(ctx, s, r, p); err != nil || !closed {
			return nil, err
		}
	}
}

// splitRound opens one task per shard and gathers the examples, which wakes warmup.
func (k *Keeper) splitRound(ctx context.Context, s *runState) (closed bool, err error) {
	tasks := func(yield func(task, error) bool) {
		for _, s := range s.shards {
			if !yield(encode(s.Key, []schemas.Shard{s})) {
				return
			}
		}
	}
	keys := func() []string {
		keys := make([]string, len(s.shards))
		for i, s := range s.shards {
			keys[i] = s.Key
		}
		return keys
	}
	if err := k.openRound(ctx, s, roundExamples, 0, s.run.Base, keys, tasks); err != nil {
		return false, err
	}
	return k.closeRound(ctx, s, roundExamples, 0, s.run.Base, func() error { return k.checkDropped(ctx, s) })
}

// searchRound takes policy r through score, select, expand and filter up to the
// gather of the pairs, which wakes update.
func (k *Keeper) searchRound(ctx context.Context, s *runState, r int, p *schemas.Policy) (closed bool, err error) {
	if err := k.countExamples(ctx, s); err != nil {
		return false, err
	}
	buffer := k.examples(ctx, s, "b", s.cfg.BatchRows, func(e *schemas.Example) bool { return e.Replay })
	if err := k.openRound(ctx, s, roundScores, r, p.Checkpoint, batchKeys("b", s.replay, s.cfg.BatchRows), buffer); err != nil {
		return false, err
	}
	if closed, err := k.closeRound(ctx, s, roundScores, r, p.Checkpoint, nil); err != nil || !closed {
		return false, err
	}
	if !s.opened[roundPairs.id(r)] {
		rows, _, err := courier.Rows[schemas.Selection](ctx, k.Courier, s.run.Name, schemas.RecordSelection, r, schemas.KeySelection)
		if errors.Is(err, broker.ErrNotExist) {
			return false, k.checkFailed(ctx, s, "select", r, roundScores.result)
		} else if err != nil {
			return false, err
		}
		selected := map[string]bool{}
		for _, s := range rows {
			if s.Selected {
				selected[s.ExampleID] = true
			}
		}
		keys := func() []string { return slices.Sorted(maps.Keys(selected)) }
		roots := k.examples(ctx, s, "", 1, func(e *schemas.Example) bool { return selected[e.ID] })
		if err := k.openRound(ctx, s, roundPairs, r, p.Checkpoint, keys, roots); err != nil {
			return false, err
		}
	}
	return k.closeRound(ctx, s, roundPairs, r, p.Checkpoint, nil)
}

// evaluateRound judges policy r on the held-out part, beside the line.
func (k *Keeper) evaluateRound(ctx context.Context, s *runState, r int, p *schemas.Policy) (closed bool, err error) {
	if err := k.countExamples(ctx, s); err != nil {
		return false, err
	}
	tasks := k.examples(ctx, s, "c", s.cfg.BatchRows, s.cfg.cases(s.parts))
	if err := k.openRound(ctx, s, roundVerdicts, r, p.Checkpoint, batchKeys("c", s.cases, s.cfg.BatchRows), tasks); err != nil {
		return false, err
	}
	return k.closeRound(ctx, s, roundVerdicts, r, p.Checkpoint, nil)
}

// cases returns a filter that takes the examples to evaluate: of each part that is
// evaluated EvaluateRows, spread evenly over the part, so that no file of a dataset
// is left out. parts has the size of each. The filter counts: it serves one walk.
func (c Config) cases(parts map[string]int) func(*schemas.Example) bool {
	if c.Evaluate == "auto" {
		c.Evaluate = "test"
		if parts[schemas.PartTest] == 0 {
			c.Evaluate = "validation"
		}
	}
	seen := map[string]int{}
	return func(e *schemas.Example) bool {
		switch e.Part {
		case schemas.PartTest:
			if c.Evaluate != "test" && c.Evaluate != "both" {
				return false
			}
		case schemas.PartValidation:
			if c.Evaluate != "validation" && c.Evaluate != "both" {
				return false
			}
		default:
			return false
		}
		i, n := seen[e.Part], parts[e.Part]
		seen[e.Part]++
		return c.EvaluateRows == 0 || n <= c.EvaluateRows || i*c.EvaluateRows/n != (i+1)*c.EvaluateRows/n
	}
}

// policy returns the policy that opens round r, or nil when there is none yet.
func (k *Keeper) policy(ctx context.Context, s *runState, r int) (*schemas.Policy, error) {
	if p := s.policies[r]; p != nil {
		return p, nil
	}
	rows, _, err := courier.Rows[schemas.Policy](ctx, k.Courier, s.run.Name, schemas.RecordPolicy, r, schemas.KeyPolicy)
	switch {
	case errors.Is(err, broker.ErrNotExist) && r == 0:
		return nil, k.checkFailed(ctx, s, "warmup", 0, roundExamples.result)
	case errors.Is(err, broker.ErrNotExist):
		return nil, k.checkFailed(ctx, s, "update", r-1, roundPairs.result)
	case err != nil:
		return nil, err
	case len(rows) != 1:
		return nil, errFailed{fmt.Sprintf("policy.%d holds %d rows instead of one; the stage that wrote it is at fault", r, len(rows))}
	}
	s.policies[r] = &schemas.Policy{Checkpoint: rows[0].Checkpoint, Status: rows[0].Status, Detail: rows[0].Detail}
	return s.policies[r], nil
}

// checkFailed ends the run when a whole-round stage was given up: without its
// result nothing can follow.
func (k *Keeper) checkFailed(ctx context.Context, s *runState, stage string, round int, key string) error {
	rows, _, err := courier.Rows[schemas.Failed](ctx, k.Courier, s.run.Name, schemas.RecordFailed, round, key)
	if errors.Is(err, broker.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	why := "its failure record says nothing"
	if len(rows) > 0 {
		why = rows[0].Error
	}
	return errFailed{fmt.Sprintf("%s gave up round %d: %s", stage, round, why)}
}
