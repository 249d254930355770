// Package inspect shows single examples, trees and pairs of a run: where a policy was wrong, what changed in a round,
// and which pair changed it.
//
//	r, err := inspect.Open(ctx, courier, "r1")
//	lost, err := r.Examples(ctx, inspect.Filter{Effect: inspect.Lost}) // answers with their differences marked
//	tree, err := r.Tree(ctx, "s0000000-00004", inspect.LastRound)      // with its pairs, kept and dropped
//	all, err := r.Deficiency(ctx)                                      // errors gone, stayed and new, by round
//	chain, err := r.Trace(ctx, "round 1")                              // its pairs, their trees and examples
//
// All results are plain structs with JSON names, in an order that does not change from call to call; texts in them
// come from models and files, and are not yet safe for a terminal. The Text methods print them for one.
//
// It never changes a run. Where package report counts, this package shows what was counted.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/report"
	"itool/schemas"
)

// The versions of the JSON of each result. A field may be added to a version; none changes or goes.
const (
	SchemaExamples   = "itool.examples/v1"
	SchemaDeficiency = "itool.deficiency/v1"
	SchemaSuspects   = "itool.suspects/v1"
	SchemaTree       = "itool.tree/v1"
	SchemaTrees      = "itool.trees/v1"
	SchemaTrace      = "itool.trace/v1"
)

// LastRound stands for the last round that has what is asked for.
const LastRound = -2

// Run reads the records of one run, also of one that goes on. It remembers some of them, so it shows the run as it
// was when they were first read. It must not be used by two goroutines at once.
type Run struct {
	Name     string
	Policies []Policy // base, warm-up, round 1 …, as far as they exist
	// Unreadable are records that were left out, and why.
	Unreadable []string

	c        *courier.Courier
	verdicts map[int]map[string]schemas.Verdict // by round and example
	shards   map[string][]schemas.Example       // the last one that was read
	searched map[int][]string                   // by round, the examples that have a tree
	uses     map[int]map[string]uses            // by round and ID, what became of the pairs
}

// Policy is a policy of the run.
type Policy struct {
	Round  int    `json:"round"` // −1 base, 0 warm-up
	Name   string `json:"name"`  // base, warm-up, round 1 …
	Digest string `json:"digest"`
	Parent string `json:"parent,omitempty"` // digest of the policy that it was trained from
	Status string `json:"status"`           // base, trained, no update, stopped: guard
	Detail string `json:"detail,omitempty"`
	Steps  int    `json:"steps"`    // of the optimiser
	Rows   int    `json:"examples"` // examples of the warm-up, or pairs of a round, that it was trained on
}

// Open reads which policies a run has. broker.ErrNoRun: no keeper has opened the run, or it was retired.
func Open(ctx context.Context, c *courier.Courier, run string) (*Run, error) {
	if _, _, err := c.Description(ctx, run); err != nil {
		return nil, err
	}
	r := &Run{Name: run, c: c, searched: map[int][]string{}, shards: map[string][]schemas.Example{},
		uses: map[int]map[string]uses{}}
	for round := -1; ; round++ {
		p, err := c.Policy(ctx, run, round)
		if errors.Is(err, broker.ErrNotExist) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		r.Policies = append(r.Policies, Policy{
			Round: round, Name: report.PolicyName(round), Digest: p.Checkpoint, Parent: p.Parent,
			Status: p.Status, Detail: p.Detail, Steps: int(p.Steps), Rows: int(p.Examples),
		})
	}
}

// policy is that of a round; nil: the run has none.
func (r *Run) policy(round int) *Policy {
	for i := range r.Policies {
		if r.Policies[i].Round == round {
			return &r.Policies[i]
		}
	}
	return nil
}

// ParseRound reads the name of a policy, or the number of its round, as people write it: base, warm-up, 1, round 1.
func (r *Run) ParseRound(text string) (int, error) {
	var names []string
	for _, p := range r.Policies {
		if text == p.Name || text == fmt.Sprint(p.Round) || len(text) >= 8 && strings.HasPrefix(p.Digest, text) {
			return p.Round, nil
		}
		names = append(names, p.Name)
	}
	return 0, fmt.Errorf("run %s has no policy %q; there are: %s", r.Name, text, strings.Join(names, ", "))
}

// rows reads one record. ok is false if it does not exist, or cannot be read, which is remembered.
func rows[R schemas.Record](ctx context.Context, r *Run, record string, round int, key string) (
	all []R, h schemas.Header, ok bool, err error,
) {
	all, h, err = courier.Rows[R](ctx, r.c, r.Name, record, round, key)
	var infra *courier.InfraError
	var newer *schemas.NewerError
	switch {
	case err == nil:
		return all, h, true, nil
	case errors.Is(err, broker.ErrNotExist), errors.Is(err, broker.ErrBadName):
		return nil, h, false, nil
	case errors.As(err, &infra), errors.As(err, &newer), errors.Is(err, broker.ErrNoRun), ctx.Err() != nil:
		return nil, h, false, err
	}
	r.Unreadable = append(r.Unreadable, err.Error())
	return nil, h, false, nil
}

// answered are the verdicts on a round's policy, by example. A policy with the weights of the one before has that
// one's verdicts.
func (r *Run) answered(ctx context.Context, round int) (map[string]schemas.Verdict, error) {
	if r.verdicts == nil {
		r.verdicts = map[int]map[string]schemas.Verdict{}
		for i, p := range r.Policies {
			all, err := r.readVerdicts(ctx, p.Round)
			if err != nil {
				return nil, err
			}
			if i > 0 && len(all) == 0 && p.Digest == r.Policies[i-1].Digest {
				all = r.verdicts[p.Round-1]
			}
			r.verdicts[p.Round] = all
		}
	}
	return r.verdicts[round], nil
}

func (r *Run) readVerdicts(ctx context.Context, round int) (map[string]schemas.Verdict, error) {
	keys, err := r.c.ResultKeys(ctx, r.Name, schemas.RecordVerdict, round)
	if err != nil {
		return nil, err
	}
	out := map[string]schemas.Verdict{}
	for _, key := range keys {
		all, _, _, err := rows[schemas.Verdict](ctx, r, schemas.RecordVerdict, round, key)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			out[v.ExampleID] = v
		}
	}
	return out, nil
}

// trees are the examples that a round's policy searched, by ID.
func (r *Run) trees(ctx context.Context, round int) ([]string, error) {
	if keys, known := r.searched[round]; known {
		return keys, nil
	}
	keys, err := r.c.ResultKeys(ctx, r.Name, schemas.RecordCandidate, round)
	if err != nil {
		return nil, err
	}
	r.searched[round] = keys
	return keys, nil
}

// example is the example of an ID; nil: there is none.
func (r *Run) example(ctx context.Context, id string) (*schemas.Example, error) {
	shard, _, ok := cutLast(id, "-")
	if !ok {
		return nil, nil
	}
	all, known := r.shards[shard]
	if !known {
		var err error
		if all, _, _, err = rows[schemas.Example](ctx, r, schemas.RecordExample, 0, shard); err != nil {
			return nil, err
		}
		clear(r.shards) // one is enough, since many are asked for in order
		r.shards[shard] = all
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
