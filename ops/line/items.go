package line

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"itool/schemas"
)

// items makes the tasks of a round and lists their keys. All keepers make the same tasks of the same
// run.
func (k *Keeper) items(ctx context.Context, s *runState, rd Round, r int) ([]string, iter.Seq2[task, error], error) {
	if rd.Items == Buffer || rd.Items == HeldOut {
		if err := k.countExamples(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	switch rd.Items {
	case Shards:
		keys, tasks := s.shardTasks()
		return keys, tasks, nil
	case Buffer:
		tasks := k.examples(ctx, s, "b", s.cfg.batchRows(), func(e *schemas.Example) bool { return e.Replay })
		return batchKeys("b", s.replay, s.cfg.batchRows()), tasks, nil
	case HeldOut:
		tasks := k.examples(ctx, s, "c", s.cfg.batchRows(), s.cfg.cases(s.parts))
		return batchKeys("c", s.cases, s.cfg.batchRows()), tasks, nil
	case Selected:
		rows, err := k.Courier.Selection(ctx, s.run.Name, r)
		if err != nil {
			return nil, nil, err
		}
		if text := warning(s.run.Config, rows); text != "" {
			k.Log.Warn(text, "run", s.run.Name, "round", r)
		}
		selected := map[string]bool{}
		for _, x := range rows {
			if x.Selected {
				selected[x.ExampleID] = true
			}
		}
		roots := k.examples(ctx, s, "", 1, func(e *schemas.Example) bool { return selected[e.ID] })
		return slices.Sorted(maps.Keys(selected)), roots, nil
	}
	return nil, nil, fmt.Errorf("round of %s: no items of kind %d are known", rd.Task, rd.Items)
}

// batchRows is BatchRows. Publishing replaces 0 by a number; a run that was published by other means gets
// the most.
func (c Config) batchRows() int {
	if c.BatchRows == 0 {
		return MostBatchRows
	}
	return c.BatchRows
}

// shardTasks are the shards of the dataset, one per task.
func (s *runState) shardTasks() ([]string, iter.Seq2[task, error]) {
	keys := make([]string, len(s.shards))
	for i, shard := range s.shards {
		keys[i] = shard.Key
	}
	return keys, func(yield func(task, error) bool) {
		for _, shard := range s.shards {
			if !yield(encode(shard.Key, []schemas.Shard{shard})) {
				return
			}
		}
	}
}

// cases returns a filter for the examples to evaluate. It takes EvaluateRows of each evaluated part,
// spread evenly over the part, so that no file of a dataset is left out. parts has the size of each
// part. The filter counts, so each walk over the examples needs a new one.
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

// examples yields tasks of up to n examples that pick accepts, in key order. With an empty prefix
// each task is one example under its own ID.
func (k *Keeper) examples(
	ctx context.Context, s *runState, prefix string, n int, pick func(*schemas.Example) bool,
) iter.Seq2[task, error] {
	return func(yield func(task, error) bool) {
		var rows []schemas.Example
		count, stopped := 0, false
		flush := func() bool {
			key := rows[0].ID
			if prefix != "" {
				key = batchKey(prefix, count)
			}
			count++
			ok := yield(encode(key, rows))
			rows = rows[:0]
			return ok
		}
		err := k.each(ctx, s, func(e *schemas.Example) bool {
			if !pick(e) {
				return true
			}
			if rows = append(rows, *e); len(rows) == n {
				stopped = !flush()
			}
			return !stopped
		})
		if stopped {
			return
		}
		if err != nil {
			yield(task{}, err)
			return
		}
		if len(rows) > 0 {
			flush()
		}
	}
}

func batchKey(prefix string, i int) string { return fmt.Sprintf("%s%06d", prefix, i) }

// batchKeys lists the keys that examples uses for total rows.
func batchKeys(prefix string, total, n int) []string {
	keys := make([]string, (total+n-1)/n)
	for i := range keys {
		keys[i] = batchKey(prefix, i)
	}
	return keys
}
