package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sort"
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
	Log     *slog.Logger

	books map[string]*book
}

// book is what the keeper has read of a run. All of it is write-once in the
// stream, so it may be remembered for ever and lost at any time.
type book struct {
	run     schemas.Run
	cfg     Config
	shards  []schemas.Shard
	created bool
	keys    map[string][]string // manifest keys by "<result>.<round>"
	opened  map[string]bool     // all tasks of "<result>.<round>" are in the stream
	closed  map[string]bool     // "<result>.<round>" is gathered
	counted bool
	replay  int // examples in the replay buffer
	cases   int // examples to evaluate
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

// Run steps every started run, on hints and at least every interval, until ctx
// ends. onState, when not nil, hears of every step.
func (k *Keeper) Run(ctx context.Context, interval time.Duration, onState func(State)) error {
	hints, err := k.Courier.Broker.Listen(ctx, broker.Hint, "*")
	if err != nil {
		return err
	}
	for {
		for m, err := range k.Courier.Broker.Started(ctx) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				k.Log.Warn("read the list of runs; trying again", "error", err)
				break
			}
			st, err := k.Step(ctx, m)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				k.Log.Warn("step", "run", st.Run, "error", err)
				continue
			}
			if onState != nil {
				onState(st)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hints:
		case <-time.After(interval):
		}
	}
}

// Step does all that can be done for one run now. start is the message that
// started it.
func (k *Keeper) Step(ctx context.Context, start broker.Message) (State, error) {
	b, err := k.open(ctx, start)
	if err != nil {
		return State{}, err
	}
	st := State{Run: b.run.Name}
	if err := k.create(ctx, b); err != nil {
		return st, err
	}
	end, _, err := courier.Rows[schemas.End](ctx, k.Courier, b.run.Name, "end", 0, "end")
	switch {
	case err == nil && len(end) == 1:
		st.Ended, st.Status, st.Detail = true, end[0].Status, end[0].Detail
		return st, nil
	case err != nil && !errors.Is(err, broker.ErrNotExist):
		return st, err
	}
	done, err := k.advance(ctx, b)
	var stalled errStalled
	var failed errFailed
	switch {
	case errors.As(err, &stalled):
		st.Stalled = stalled.why
		return st, nil
	case errors.As(err, &failed):
		done = &schemas.End{Status: "failed", Detail: failed.why}
	case err != nil:
		return st, err
	}
	if done == nil {
		return st, nil
	}
	if err := publish(ctx, k, b, "end", 0, "end", "", []schemas.End{*done}); err != nil {
		return st, err
	}
	delete(k.books, b.run.Name)
	st.Ended, st.Status, st.Detail = true, done.Status, done.Detail
	return st, nil
}

// advance is the line: from the published dataset to the end, as far as the
// results that are there allow. It returns the end once it is reached.
func (k *Keeper) advance(ctx context.Context, b *book) (*schemas.End, error) {
	if cancelled, err := k.has(ctx, b, "cancel", 0, "run"); err != nil {
		return nil, err
	} else if cancelled {
		return &schemas.End{Status: "cancelled", Detail: "cancelled by its user"}, nil
	}
	if closed, err := k.splitRound(ctx, b); err != nil || !closed {
		return nil, err
	}
	rounds, allJudged, before := int32(0), true, ""
	for r := Base; ; r++ {
		p, err := k.policy(ctx, b, r)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, nil // a trainer is at work, or will be
		}
		if p.Checkpoint != before { // a round without an update needs no second judgement
			judged, err := k.evaluateRound(ctx, b, r, p)
			if err != nil {
				return nil, err
			}
			allJudged = allJudged && judged
		}
		before = p.Checkpoint
		if r > 0 && p.Status == "trained" {
			rounds++
		}
		stopped := r > 0 && p.Status == StatusGuard
		if r == b.cfg.Rounds || stopped {
			if !allJudged {
				return nil, nil
			}
			end := &schemas.End{Status: "done", Rounds: rounds}
			if stopped {
				end.Status, end.Detail = StatusGuard, p.Detail
			}
			return end, nil
		}
		if r == Base {
			continue // warmup wakes on the gather of the examples
		}
		if closed, err := k.searchRound(ctx, b, r, p); err != nil || !closed {
			return nil, err
		}
	}
}

// StatusGuard is the status of a policy, and of a run, that the guard stopped.
const StatusGuard = "stopped: guard"

// splitRound opens one task per shard and gathers the examples, which wakes warmup.
func (k *Keeper) splitRound(ctx context.Context, b *book) (closed bool, err error) {
	tasks := func(yield func(task, error) bool) {
		for _, s := range b.shards {
			if !yield(encode(s.Key, []schemas.Shard{s})) {
				return
			}
		}
	}
	keys := make([]string, len(b.shards))
	for i, s := range b.shards {
		keys[i] = s.Key
	}
	if err := k.openRound(ctx, b, roundExamples, 0, b.run.Base, keys, tasks); err != nil {
		return false, err
	}
	return k.closeRound(ctx, b, roundExamples, 0, b.run.Base, func() error { return k.checkDropped(ctx, b) })
}

// searchRound takes policy r through score, select, expand and filter up to the
// gather of the pairs, which wakes update.
func (k *Keeper) searchRound(ctx context.Context, b *book, r int, p *schemas.Policy) (closed bool, err error) {
	if err := k.countExamples(ctx, b); err != nil {
		return false, err
	}
	buffer := k.examples(ctx, b, "b", b.cfg.BatchRows, func(e *schemas.Example) bool { return e.Replay })
	if err := k.openRound(ctx, b, roundScores, r, p.Checkpoint, batchKeys("b", b.replay, b.cfg.BatchRows), buffer); err != nil {
		return false, err
	}
	if closed, err := k.closeRound(ctx, b, roundScores, r, p.Checkpoint, nil); err != nil || !closed {
		return false, err
	}
	if !b.opened[roundPairs.id(r)] {
		rows, _, err := courier.Rows[schemas.Selection](ctx, k.Courier, b.run.Name, "selection", r, "selection")
		if errors.Is(err, broker.ErrNotExist) {
			return false, k.checkFailed(ctx, b, "select", r, roundScores.result)
		} else if err != nil {
			return false, err
		}
		selected := map[string]bool{}
		for _, s := range rows {
			if s.Selected {
				selected[s.ExampleID] = true
			}
		}
		keys := make([]string, 0, len(selected))
		for id := range selected {
			keys = append(keys, id)
		}
		sort.Strings(keys)
		roots := k.examples(ctx, b, "", 1, func(e *schemas.Example) bool { return selected[e.ID] })
		if err := k.openRound(ctx, b, roundPairs, r, p.Checkpoint, keys, roots); err != nil {
			return false, err
		}
	}
	return k.closeRound(ctx, b, roundPairs, r, p.Checkpoint, nil)
}

// evaluateRound judges policy r on the held-out part, beside the line.
func (k *Keeper) evaluateRound(ctx context.Context, b *book, r int, p *schemas.Policy) (closed bool, err error) {
	if err := k.countExamples(ctx, b); err != nil {
		return false, err
	}
	tasks := k.examples(ctx, b, "c", b.cfg.BatchRows, b.cfg.cases())
	if err := k.openRound(ctx, b, roundVerdicts, r, p.Checkpoint, batchKeys("c", b.cases, b.cfg.BatchRows), tasks); err != nil {
		return false, err
	}
	return k.closeRound(ctx, b, roundVerdicts, r, p.Checkpoint, nil)
}

// cases returns a filter that takes the examples to evaluate: the first
// EvaluateRows, in key order, of each part that is evaluated. It counts, so it
// serves one walk.
func (c Config) cases() func(*schemas.Example) bool {
	taken := map[string]int{}
	return func(e *schemas.Example) bool {
		switch schemas.Part(e.Part) {
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
		if c.EvaluateRows > 0 && taken[e.Part] == c.EvaluateRows {
			return false
		}
		taken[e.Part]++
		return true
	}
}

// policy returns the policy that opens round r, or nil when there is none yet.
func (k *Keeper) policy(ctx context.Context, b *book, r int) (*schemas.Policy, error) {
	rows, _, err := courier.Rows[schemas.Policy](ctx, k.Courier, b.run.Name, "policy", r, PolicyKey)
	switch {
	case errors.Is(err, broker.ErrNotExist) && r == 0:
		return nil, k.checkFailed(ctx, b, "warmup", 0, roundExamples.result)
	case errors.Is(err, broker.ErrNotExist):
		return nil, k.checkFailed(ctx, b, "update", r-1, roundPairs.result)
	case err != nil:
		return nil, err
	case len(rows) != 1:
		return nil, errFailed{fmt.Sprintf("policy.%d holds %d rows instead of one; the stage that wrote it is at fault", r, len(rows))}
	}
	return &rows[0], nil
}

// checkFailed ends the run when a whole-round stage was given up: without its
// result nothing can follow.
func (k *Keeper) checkFailed(ctx context.Context, b *book, stage string, round int, key string) error {
	rows, _, err := courier.Rows[schemas.Failed](ctx, k.Courier, b.run.Name, "failed", round, key)
	if errors.Is(err, broker.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errFailed{fmt.Sprintf("%s gave up round %d: %s", stage, round, rows[0].Error)}
}

// open returns the run's book, reading the start message the first time.
func (k *Keeper) open(ctx context.Context, start broker.Message) (*book, error) {
	batch, err := k.Courier.Open(ctx, start)
	if err != nil {
		return nil, err
	}
	if b := k.books[batch.Header.Run]; b != nil {
		return b, nil
	}
	rows, err := schemas.Decode[schemas.Run](batch)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("run %s: the start message holds %d rows instead of one", batch.Header.Run, len(rows))
	}
	b := &book{run: rows[0], cfg: Default(), keys: map[string][]string{}, opened: map[string]bool{}, closed: map[string]bool{}}
	var sections struct{ Line json.RawMessage }
	if err := json.Unmarshal([]byte(b.run.Config), &sections); err != nil {
		return nil, fmt.Errorf("run %s: configuration: %w", b.run.Name, err)
	}
	if err := (stages.Input{Config: sections.Line}).Decode(&b.cfg); err != nil {
		return nil, fmt.Errorf("run %s: line: %w", b.run.Name, err)
	}
	if err := b.cfg.Validate(); err != nil {
		return nil, fmt.Errorf("run %s: %w", b.run.Name, err)
	}
	if err := json.Unmarshal([]byte(b.run.Dataset), &b.shards); err != nil {
		return nil, fmt.Errorf("run %s: dataset: %w", b.run.Name, err)
	}
	if k.books == nil {
		k.books = map[string]*book{}
	}
	k.books[b.run.Name] = b
	return b, nil
}

// create makes the run's stream and its first two records.
func (k *Keeper) create(ctx context.Context, b *book) error {
	if b.created {
		return nil
	}
	if err := k.Courier.Broker.CreateRun(ctx, b.run.Name, b.cfg.StreamMaxByte); err != nil {
		return err
	}
	if err := publish(ctx, k, b, "run", 0, "run", "", []schemas.Run{b.run}); err != nil {
		return err
	}
	base := schemas.Policy{Checkpoint: b.run.Base, Base: b.run.Base, Status: "base", Metrics: "{}", Curve: "[]"}
	if err := publish(ctx, k, b, "policy", Base, PolicyKey, b.run.Base, []schemas.Policy{base}); err != nil {
		return err
	}
	for _, s := range k.Specs {
		// Of several wishes for AckWait the longest holds: the keeper's must be short.
		if _, err := k.Courier.Broker.Pull(ctx, b.run.Name, s.Name, []string{s.Filter()}, broker.PullOptions{AckWait: time.Second}); err != nil {
			return err
		}
	}
	b.created = true
	return nil
}
