package line

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// A Keeper opens and closes the rounds of runs. Only keepers write manifests, tasks and gathers.
// Every step writes a record once and can be repeated, so any number of keepers may run and each
// may die at any moment.
//
// A Keeper is used by one goroutine.
type Keeper struct {
	Courier *courier.Courier
	Worker  string // this process, for the headers
	// Line is the table of stages; nil: Rows(nil). The queues of all stages are made with the run, so
	// that a scaler can read their depth before the first worker comes.
	Line Table
	// AckWait of these queues, 60 s by default. A foreign worker may come first and not ask for a
	// value. If several ask for different values, the longest wins.
	AckWait time.Duration
	// NoWorkerAfter is how long items may wait untouched before the status of their run says that no worker
	// takes them. Default 30 s.
	NoWorkerAfter time.Duration
	// Observe, if it is set, is told of runs after the steps, for those who measure. It must not take long.
	Observe func(Observation)
	Log     *slog.Logger

	runs map[string]*runState

	working   []courier.Working // what workers said, for all runs, and
	workingAt time.Time         // when they were asked
}

// State is where a run stands after a step.
type State struct {
	Run     string
	Ended   bool
	Status  string // End.Status once ended
	Detail  string
	Stalled string // why the run cannot go on by itself; empty: it can
}

// errStalled stops a step without harm. The run waits for a person.
type errStalled struct{ why string }

func (e errStalled) Error() string { return e.why }

// errFailed ends a run.
type errFailed struct{ why string }

func (e errFailed) Error() string { return e.why }

// Step does everything that can be done for one run now. start is the run's start message.
func (k *Keeper) Step(ctx context.Context, start broker.Message) (State, error) {
	s := k.runState(start)
	if !s.state.Ended && !s.read {
		if err := k.open(ctx, s, start); err != nil {
			st, err := k.conclude(ctx, s, nil, err)
			k.publishStatus(ctx, s, st, err)
			return st, err
		}
	}
	return k.step(ctx, s)
}

// step is Step for a run whose start message was read.
func (k *Keeper) step(ctx context.Context, s *runState) (State, error) {
	st, err := k.stepOnce(ctx, s)
	k.publishStatus(ctx, s, st, err)
	return st, err
}

func (k *Keeper) stepOnce(ctx context.Context, s *runState) (State, error) {
	if s.state.Ended {
		return s.state, nil
	}
	if err := k.create(ctx, s); err != nil {
		return k.conclude(ctx, s, nil, err)
	}
	end, err := k.Courier.End(ctx, s.run.Name)
	if err == nil {
		s.state = State{Run: s.run.Name, Ended: true, Status: end.Status, Detail: end.Detail}
		k.shrink(ctx, s)
		return s.state, nil
	}
	if !errors.Is(err, broker.ErrNotExist) {
		return k.conclude(ctx, s, nil, err)
	}
	full := k.grow(ctx, s)
	watched, stop := k.untilCancelled(ctx, s)
	done, err := k.advance(watched, s)
	stop()
	if done == nil && (err == nil || errors.Is(err, broker.ErrFull)) && full != nil {
		err = full // workers wait for room, if not the keeper itself
	}
	if errors.Is(context.Cause(watched), errCancelled) {
		done, err = cancelledEnd(), nil
	}
	return k.conclude(ctx, s, done, err)
}

// conclude turns the outcome of a step into a state, and writes the run's end if it has come.
func (k *Keeper) conclude(ctx context.Context, s *runState, done *schemas.End, err error) (State, error) {
	st := State{Run: s.run.Name}
	var stalled errStalled
	var failed errFailed
	switch {
	case errors.As(err, &failed):
		done = &schemas.End{Status: schemas.StatusFailed, Detail: strings.ToValidUTF8(failed.why, "�")}
	case errors.As(err, &stalled):
		st.Stalled = stalled.why
	case errors.Is(err, broker.ErrFull), errors.Is(err, broker.ErrReplicas):
		st.Stalled = err.Error()
	case errors.Is(err, broker.ErrNoRun):
		delete(k.runs, s.run.Name) // retired, or only its stream was deleted: begin from the start message
		return st, err
	case err != nil:
		return st, err
	}
	if st.Stalled != s.state.Stalled && st.Stalled != "" {
		k.Log.Error("the run is stalled", "run", st.Run, "why", st.Stalled)
	}
	if done != nil {
		// A run that could not be opened needs a stream, too: everybody must be able to see its end.
		if err := k.createStream(ctx, s); err != nil {
			return st, err
		}
		if err := publish(ctx, k, s, schemas.RecordEnd, 0, schemas.KeyEnd, "", []schemas.End{*done}); err != nil {
			return st, err
		}
		k.hint(ctx, s)
		k.Log.Info("the run has ended", "run", st.Run, "status", done.Status, "detail", done.Detail)
		st.Ended, st.Status, st.Detail = true, done.Status, done.Detail
		k.shrink(ctx, s)
		s.forget()
	}
	s.state = st
	return st, nil
}

// advance takes the run from the published dataset to its end, as far as the present results
// allow. It returns the end once it is reached, else nil.
func (k *Keeper) advance(ctx context.Context, s *runState) (*schemas.End, error) {
	if cancelled, err := k.Courier.Cancelled(ctx, s.run.Name); err != nil {
		return nil, err
	} else if cancelled {
		return cancelledEnd(), nil
	}
	if done, err := k.follow(ctx, s, Once, 0, s.run.Base); err != nil || !done {
		return nil, err
	}
	rounds, before := int32(0), ""
	evaluating, stalled := false, error(nil) // beside the line: only the end waits for it
	for r := Base; ; r++ {
		p, err := k.policy(ctx, s, r)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, nil // it is being trained, or will be
		}
		if p.Checkpoint != before { // after a round without an update there is nothing new to evaluate
			evaluated, err := k.follow(ctx, s, EachPolicy, r, p.Checkpoint)
			if errors.As(err, new(errStalled)) {
				stalled = err
			} else if err != nil {
				return nil, err
			} else if !evaluated {
				evaluating = true
			}
		}
		before = p.Checkpoint
		if r > 0 && p.Status == schemas.StatusTrained {
			rounds++
		}
		stopped := r > 0 && p.Status == schemas.StatusGuard
		if r == s.cfg.Rounds || stopped {
			if evaluating {
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
			continue // the gather of the examples has woken what trains policy 0
		}
		if done, err := k.follow(ctx, s, EachRound, r, p.Checkpoint); err != nil || !done {
			return nil, err
		}
	}
}

// follow opens and closes the rounds of the rows whose turn it is, in the order of the table, as far
// as the present results allow. done is false while one of them is open.
func (k *Keeper) follow(ctx context.Context, s *runState, when When, r int, policy string) (done bool, err error) {
	for _, row := range k.Line {
		if row.When != when {
			continue
		}
		if row.Round == nil {
			done, err = k.answered(ctx, s, row.Spec(), r)
		} else if err = k.openRound(ctx, s, *row.Round, r, policy); err == nil {
			done, err = k.closeRound(ctx, s, *row.Round, r, policy)
		}
		if err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

// answered reports whether a stage that gathers has written its one result, which later rows may
// need. It does not wait for other stages: their results belong to a round, and advance waits for
// the policies.
func (k *Keeper) answered(ctx context.Context, s *runState, spec stages.Spec, r int) (bool, error) {
	id := roundID(spec.Writes, r)
	if !spec.Gather || spec.Writes == schemas.RecordPolicy || s.closed[id] {
		return true, nil
	}
	exists, err := k.has(ctx, s, spec.Writes, r, spec.Writes)
	if err == nil && !exists {
		err = k.checkFailed(ctx, s, spec, r)
	}
	if err == nil && exists && spec.Writes == schemas.RecordSelection {
		if _, err = k.Courier.Selection(ctx, s.run.Name, r); err != nil {
			return false, k.unreadable(ctx, s, spec.Writes, r, err)
		}
	}
	s.closed[id] = exists
	return exists, err
}

// policy returns the policy that opens round r, or nil if it does not exist yet.
func (k *Keeper) policy(ctx context.Context, s *runState, r int) (*schemas.Policy, error) {
	if p := s.policies[r]; p != nil {
		return p, nil
	}
	p, err := k.Courier.Policy(ctx, s.run.Name, r)
	var wrong *courier.RowsError
	switch {
	case errors.Is(err, broker.ErrNotExist):
		maker, ok := k.Line.Maker(schemas.RecordPolicy, r)
		if !ok {
			return nil, nil // the base policy, which this keeper has just written
		}
		woken := r
		if maker.Spec().NextRound {
			woken--
		}
		return nil, k.checkFailed(ctx, s, maker.Spec(), woken)
	case errors.As(err, &wrong):
		return nil, errFailed{wrong.Error()}
	case err != nil:
		return nil, k.unreadable(ctx, s, schemas.RecordPolicy, r, err)
	}
	// Without the metrics: the keeper holds many runs.
	s.policies[r] = &schemas.Policy{Checkpoint: p.Checkpoint, Status: p.Status, Detail: p.Detail}
	return s.policies[r], nil
}

// checkFailed ends the run if a stage that gathers gave up the round that woke it: nothing can
// follow without its result.
func (k *Keeper) checkFailed(ctx context.Context, s *runState, spec stages.Spec, r int) error {
	rows, _, err := courier.Rows[schemas.Failed](ctx, k.Courier, s.run.Name, schemas.RecordFailed, r, spec.Wakes)
	if errors.Is(err, broker.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	stage, why := spec.Name, "its failure record says nothing"
	if len(rows) > 0 { // the record may be that of another stage that the same gather wakes
		stage, why = cmp.Or(rows[0].Stage, stage), rows[0].Error
	}
	return errFailed{fmt.Sprintf("%s gave up round %d: %s", stage, r, why)}
}
