package line

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"itool/broker"
	"itool/schemas"
	"itool/stages"
)

// This file opens and closes rounds. In it rd describes the tasks and results of one row of the
// line, r is the number of the run's round, and s is what the keeper remembers of the run.

// task is one item of a round, before it is published.
type task struct {
	key   string
	batch schemas.Batch // its header is filled in when it is published
}

func encode[R schemas.Record](key string, rows []R) (task, error) {
	b, err := schemas.Encode(schemas.Header{}, rows)
	return task{key, b}, err
}

// openRound publishes the manifest, which lists the keys of the round's items, and then one task per
// key. It does nothing if the round is open or gathered already. If a keeper died between the two,
// some tasks are missing, and the next keeper publishes them. Every key needs its task, or the round
// would never close: the run fails if the dataset has no example for a key.
func (k *Keeper) openRound(ctx context.Context, s *runState, rd Round, r int, policy string) error {
	id := roundID(rd.Result, r)
	if s.opened[id] {
		return nil
	}
	if exists, err := k.has(ctx, s, schemas.RecordGather, r, rd.Result); err != nil {
		return err
	} else if exists {
		s.opened[id], s.closed[id] = true, true
		return nil
	}
	list, tasks, err := k.items(ctx, s, rd, r)
	if err != nil {
		return err
	}
	rows := make([]schemas.Manifest, len(list))
	for i, key := range list {
		rows[i].Key = key
	}
	if err := publish(ctx, k, s, schemas.RecordManifest, r, rd.Result, policy, rows); err != nil {
		return err
	}
	if s.tallies[id] == nil {
		s.tallies[id] = newTally(list, k.Line.Chain(rd.Result))
	}
	present, err := k.presentTasks(ctx, s, rd, r)
	if err != nil {
		return err
	}
	if len(present) < len(list) {
		missing, err := k.publishTasks(ctx, s, rd, r, policy, list, present, tasks)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return errFailed{fmt.Sprintf("%d of %d %s items of round %d are not in the dataset, such as %q; "+
				"the stage that chose them is at fault",
				len(missing), len(list), rd.Task, r, slices.Min(slices.Collect(maps.Keys(missing))))}
		}
		k.Log.Info("opened a round", "run", s.run.Name, "round", r, "tasks", rd.Task, "count", len(list))
	}
	k.hint(ctx, s)
	s.opened[id] = true
	return nil
}

// presentTasks are the keys of the manifest whose task is in the stream. A message that is older than the
// manifest is none of the keeper's: if it takes the place of a task, it is taken out.
func (k *Keeper) presentTasks(ctx context.Context, s *runState, rd Round, r int) (map[string]bool, error) {
	t := s.tallies[roundID(rd.Result, r)]
	result, _ := k.Line.Awaits(rd.Task) // of the first round that has such tasks
	manifest, err := k.Courier.Broker.Get(ctx, broker.Address{
		Run: s.run.Name, Record: schemas.RecordManifest, Round: r, Key: result})
	if err != nil {
		return nil, err
	}
	present, foreign := map[string]bool{}, 0
	for m, err := range k.Courier.Broker.List(ctx, s.run.Name, broker.Filter(rd.Task, r)) {
		if err != nil {
			return nil, err
		}
		_, known := t.at(m.Key)
		switch {
		case known && m.Sequence > manifest.Sequence:
			present[m.Key] = true
			continue
		case known:
			err = k.Courier.Broker.Remove(ctx, m.Address, m.Sequence)
		}
		if err != nil {
			return nil, err
		}
		foreign++
		t.read[rd.Task] = m.Sequence
	}
	t.foreign = max(t.foreign, foreign)
	return present, nil
}

// publishTasks publishes the tasks that the manifest lists and that are not present. Several are published
// at a time, because each takes a round trip over the network. missing are the keys for which tasks has no
// task.
func (k *Keeper) publishTasks(
	ctx context.Context, s *runState, rd Round, r int, policy string, keys []string, present map[string]bool,
	tasks iter.Seq2[task, error],
) (missing map[string]bool, err error) {
	missing = make(map[string]bool, len(keys))
	for _, key := range keys {
		if !present[key] {
			missing[key] = true
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for t, taskErr := range tasks {
		if err = taskErr; err != nil || groupCtx.Err() != nil {
			break
		}
		if !missing[t.key] {
			continue // it is present; or the example appears twice, and the first one counts
		}
		delete(missing, t.key)
		h := k.header(s, rd.Task, r, t.key, policy)
		h.Schema, h.SHA256, h.Rows = t.batch.Header.Schema, t.batch.Header.SHA256, t.batch.Header.Rows
		t.batch.Header = h
		group.Go(func() error { return k.publishTask(groupCtx, rd.Task, t.batch) })
	}
	if publishErr := group.Wait(); publishErr != nil {
		return nil, publishErr
	}
	if err == nil {
		err = ctx.Err()
	}
	return missing, err
}

// publishTask publishes one task. A foreign message in its place is taken out.
func (k *Keeper) publishTask(ctx context.Context, record string, b schemas.Batch) error {
	stored, err := k.Courier.Publish(ctx, record, b, nil)
	if stored || err != nil {
		return err
	}
	at := broker.Address{Run: b.Header.Run, Record: record, Round: b.Header.Round, Key: b.Header.Key}
	m, err := k.Courier.Broker.Get(ctx, at)
	if err != nil || m.Header["itool-sha256"] == b.Header.SHA256 && m.Header["itool-config"] == b.Header.Config {
		return err // another keeper's
	}
	if err := k.Courier.Broker.Remove(ctx, at, m.Sequence); err != nil {
		return err
	}
	_, err = k.Courier.Publish(ctx, record, b, nil)
	return err
}

// hint tells workers and keepers that the run has something new.
func (k *Keeper) hint(ctx context.Context, s *runState) {
	_ = k.Courier.Broker.Announce(ctx, broker.Hint, s.run.Name, nil) // a lost hint costs seconds, nothing else
}

// closeRound gathers the round once each key of its manifest has a result or a failure record. If a
// key has both, the result counts. closed is false while a key has neither. If fewer items succeeded
// than line.quorum asks for, the run stalls. If too much of the dataset was dropped, the run fails.
func (k *Keeper) closeRound(
	ctx context.Context, s *runState, rd Round, r int, policy string,
) (closed bool, err error) {
	id := roundID(rd.Result, r)
	if s.closed[id] {
		return true, nil
	}
	if exists, err := k.has(ctx, s, schemas.RecordGather, r, rd.Result); err != nil || exists {
		s.close(id, exists)
		return exists, err
	}
	rows, err := k.outcome(ctx, s, rd, r, policy)
	if err != nil || rows == nil {
		return false, err
	}
	failed, tooMany := s.failures(rows)
	if tooMany {
		if busy, err := k.inWork(ctx, s, rd); busy || err != nil {
			return false, err // one that was given up may be tried again just now
		}
		// One that was tried again may have ended since the records were read.
		if rows, err = k.outcome(ctx, s, rd, r, policy); err != nil || rows == nil {
			return false, err
		}
		failed, tooMany = s.failures(rows)
	}
	if tooMany {
		return false, errStalled{fmt.Sprintf(
			"%d of %d %s items of round %d failed and line.quorum is %g: see `itool failed %s`",
			failed, len(rows), rd.Task, r, s.cfg.Quorum, s.run.Name)}
	}
	if rd.Items == Shards {
		if err := k.checkDropped(ctx, s); err != nil {
			return false, err
		}
	}
	if err := publish(ctx, k, s, schemas.RecordGather, r, rd.Result, policy, rows); err != nil {
		return false, err
	}
	k.Log.Info("gathered a round",
		"run", s.run.Name, "round", r, "record", rd.Result, "items", len(rows), "failed", failed)
	k.hint(ctx, s)
	s.close(id, true)
	return true, nil
}

// failures counts the failed items of a round; tooMany: fewer succeeded than line.quorum asks for.
func (s *runState) failures(rows []schemas.Gather) (failed int, tooMany bool) {
	for _, g := range rows {
		if g.Failed {
			failed++
		}
	}
	return failed, failed > 0 && float64(len(rows)-failed) < s.cfg.Quorum*float64(len(rows))
}

// close remembers whether a round is gathered. If it is, its tally is not needed any more.
func (s *runState) close(id string, gathered bool) {
	if s.closed[id] = gathered; gathered {
		if t := s.tallies[id]; t != nil {
			s.keep(id, t)
		}
		delete(s.tallies, id)
	}
}

// outcome returns for every key of the manifest whether it has a result or failed. It returns nil
// while a key has neither, or while not all records were read.
func (k *Keeper) outcome(ctx context.Context, s *runState, rd Round, r int, policy string) ([]schemas.Gather, error) {
	complete, err := k.count(ctx, s, rd, r, policy)
	if err != nil {
		return nil, err
	}
	if !complete {
		k.hint(ctx, s) // go on soon
		return nil, nil
	}
	t := s.tallies[roundID(rd.Result, r)]
	if slices.Contains(t.items, itemOpen) {
		return nil, nil
	}
	rows := make([]schemas.Gather, 0, len(t.list))
	for _, key := range t.list {
		i, _ := t.at(key)
		done := t.items[i] == itemDone
		if !done && t.refused[key] == 0 {
			// The list may miss a result that was published a moment ago, because a replica may lag
			// behind. Ask for the result itself before the key counts as failed.
			if done, err = k.has(ctx, s, rd.Result, r, key); err != nil {
				return nil, err
			}
			if done {
				return nil, nil // it is read, and checked, in the next step
			}
		}
		rows = append(rows, schemas.Gather{Key: key, Failed: !done})
	}
	return rows, nil
}

// header is the header of every message of the keeper. The seed depends on the run's seed, the
// record, the round and the key, never on the order of work.
func (k *Keeper) header(s *runState, record string, r int, key, policy string) schemas.Header {
	return schemas.Header{
		Run: s.run.Name, Round: r, Key: key, Policy: policy, Config: s.run.ConfigDigest, Worker: k.Worker,
		Traceparent: s.start.Header["traceparent"], // all items of a run are in the trace that published it
		Seed:        stages.Seed(s.run.Seed, fmt.Sprintf("%s/%s", record, key), r),
	}
}

// publish writes one of the keeper's own records. It is not an error if the record exists already.
func publish[R schemas.Record](
	ctx context.Context, k *Keeper, s *runState, record string, r int, key, policy string, rows []R,
) error {
	batch, err := schemas.Encode(k.header(s, record, r, key, policy), rows)
	if err != nil {
		return err
	}
	_, err = k.Courier.Publish(ctx, record, batch, nil)
	return err
}

// has reports whether the run has the record.
func (k *Keeper) has(ctx context.Context, s *runState, record string, r int, key string) (bool, error) {
	return k.Courier.Broker.Has(ctx, broker.Address{Run: s.run.Name, Record: record, Round: r, Key: key})
}

// roundID names a round in the maps of runState.
func roundID(result string, r int) string { return fmt.Sprintf("%s.%d", result, r) }
