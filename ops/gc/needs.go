package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/retire"
	"itool/schemas"
	"itool/storage"
	"itool/storage/checkpoint"
)

// visitor gets every object that a run needs, some more than once. lost is set if the object is known to be
// missing or damaged.
type visitor func(run, what, key string, lost error) error

// eachNeed visits what all runs need, the retired ones included.
func eachNeed(ctx context.Context, c *courier.Courier, visit visitor) error {
	for run, err := range c.Started(ctx) {
		if err != nil {
			return err
		}
		if err := runNeeds(ctx, c, run, visit); err != nil {
			return err
		}
	}
	retired, err := retire.List(ctx, c)
	if err != nil {
		return err
	}
	for _, run := range retired {
		kept, err := retire.Load(ctx, c, run)
		if err != nil {
			return err
		}
		for _, p := range kept.Report.Policies {
			if err := policyNeeds(ctx, c, run, "its "+p.Name, p.Digest, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// runNeeds visits what one run needs: its dataset, its policies, and the bodies of its records.
func runNeeds(ctx context.Context, c *courier.Courier, run schemas.Run, visit visitor) error {
	var shards []schemas.Shard
	if err := json.Unmarshal([]byte(run.Dataset), &shards); err != nil {
		return fmt.Errorf("run %s: dataset: %w", run.Name, err)
	}
	for _, s := range shards {
		if s.File == "" {
			continue
		}
		if err := visit(run.Name, "dataset "+s.Name, s.File, nil); err != nil {
			return err
		}
	}
	if err := policyNeeds(ctx, c, run.Name, "its base", run.Base, visit); err != nil {
		return err
	}
	for m, err := range c.Broker.List(ctx, run.Name, broker.Everything) {
		if errors.Is(err, broker.ErrNoRun) {
			return nil // no keeper has opened it yet
		}
		if err != nil {
			return err
		}
		if key := courier.Claim(m); key != "" {
			if err := visit(run.Name, m.Address.String(), key, nil); err != nil {
				return err
			}
		}
		if m.Record != schemas.RecordPolicy || m.Round < 0 {
			continue
		}
		p, err := c.Policy(ctx, run.Name, m.Round)
		if err != nil {
			return err
		}
		if err := policyNeeds(ctx, c, run.Name, m.Address.String(), p.Checkpoint, visit); err != nil {
			return err
		}
	}
	return nil
}

// policyNeeds visits the objects of a checkpoint.
func policyNeeds(ctx context.Context, c *courier.Courier, run, what, digest string, visit visitor) error {
	m, err := checkpoint.Load(ctx, c.Store, courier.Checkpoints, digest)
	for _, lost := range []error{storage.ErrNotExist, checkpoint.ErrMissing, storage.ErrCorrupt} {
		if errors.Is(err, lost) {
			return visit(run, what, "checkpoint "+digest, err)
		}
	}
	if err != nil {
		return err
	}
	for _, key := range checkpoint.Keys(courier.Checkpoints, m) {
		if err := visit(run, what, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// folders are the prefixes below which the runs need everything: their trees, the names of their bases and, until
// they end, the checkpoints of the rounds that are at work.
func folders(ctx context.Context, c *courier.Courier) (all []string, err error) {
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, "runs/"+m.Run+"/attached/", courier.BaseNameKey(m.Run))
		ended, err := c.Ended(ctx, m.Run)
		if err != nil && !errors.Is(err, broker.ErrNoRun) {
			return nil, err
		}
		if !ended {
			all = append(all, "runs/"+m.Run+"/resume/")
		}
	}
	return all, nil
}

// look returns an error if an object is missing or, with deep, damaged.
func look(ctx context.Context, s storage.Store, key string, deep bool) error {
	if !deep {
		_, err := s.Stat(ctx, key)
		return err
	}
	r, _, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r) // to the end, where the digest is compared
	return err
}
