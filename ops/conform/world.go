package conform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"itool/broker"
	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/demo"
	"itool/ops/job"
	"itool/ops/line"
	"itool/ops/site"
	"itool/schemas"
	"itool/stages"
)

// small are the settings of a run that takes seconds and has items for every stage. Nothing in it depends on
// luck: the filter keeps nearly all pairs, so that the update has something to train on.
var small = []string{
	"line.rounds=1", "line.batch_rows=4", "line.shard_rows=12", "line.evaluate_rows=8", "split.replay_share=0.5",
	"warmup.epochs=1", "warmup.batch_size=8", "warmup.checkpoint_steps=1", "warmup.plateau=0",
	"select.max_trees=6", "select.ratio=0.5", "select.judge_examples=4", "select.headroom_examples=0",
	"expand.width=3", "expand.token_budget=512",
	"filter.mode=paper", "filter.min_chosen_q=-9", "filter.min_q_difference=0.0001",
	"update.min_pairs=1", "update.min_steps=1", "update.batch_size=2", "update.epochs=2",
	"update.checkpoint_steps=1", "update.guard_prompts=4",
}

const (
	reference = "reference" // the run that our own stages did
	datarows  = 48
	mostItems = 4 // of a check
)

// world is a private broker and store with a finished run, from which the items of the checks are taken.
type world struct {
	Options
	site  *site.Site
	spec  stages.Spec
	run   schemas.Run
	items []broker.Message  // what woke the stage, in key order
	first map[string]string // digests of the results of the first check, by key
}

func newWorld(ctx context.Context, o Options) (w *world, err error) {
	w = &world{Options: o}
	at := slices.IndexFunc(line.Rows(nil), func(r line.Row) bool { return r.Spec().Name == o.Stage })
	if at < 0 {
		return nil, fmt.Errorf("there is no stage %q", o.Stage)
	}
	w.spec = line.Rows(nil)[at].Spec()
	if w.site, err = site.OpenFolder(ctx, o.Dir, site.AnyPort, o.Log); err != nil {
		return nil, err
	}
	if err = errors.Join(w.doReference(ctx), w.takeItems(ctx)); err != nil {
		w.site.Close()
		return nil, err
	}
	return w, nil
}

// doReference does the whole run with our own stages.
func (w *world) doReference(ctx context.Context) error {
	cfg, err := config.Load(demo.Config(true), "", append(slices.Clone(small), w.Set...))
	if err != nil {
		return err
	}
	files, err := w.dataset()
	if err != nil {
		return err
	}
	j := job.Job{
		Request: job.Request{Name: reference, Base: demo.Base(), Files: files, Config: cfg},
		Local:   job.Local{Courier: w.site.Courier, Engine: w.Engine, Worker: "itool", Slots: 2, Log: w.Log},
	}
	if err := j.Publish(ctx); err != nil {
		return err
	}
	end, err := j.Work(ctx)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case end.Status != schemas.StatusDone && end.Status != schemas.StatusGuard:
		return fmt.Errorf("the small run that gives the items ended as %q: %s%s", end.Status, end.Detail, end.Stalled)
	}
	w.run, _, err = w.site.Description(ctx, reference)
	return err
}

// dataset writes a part of the demo's files.
func (w *world) dataset() (paths []string, err error) {
	files, err := demo.Dataset(true)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(w.Dir, f.Name)
		rows := 0
		end := slices.IndexFunc(f.Data, func(b byte) bool {
			if b == '\n' {
				rows++
			}
			return rows == datarows
		})
		if err := os.WriteFile(path, f.Data[:end+1], 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// takeItems reads some of what woke the stage in the reference run.
func (w *world) takeItems(ctx context.Context) error {
	var at []broker.Address
	for m, err := range w.site.Broker.List(ctx, reference, w.spec.Filter()) {
		if err != nil {
			return err
		}
		at = append(at, m.Address)
	}
	slices.SortFunc(at, func(a, b broker.Address) int {
		if a.Round != b.Round {
			return a.Round - b.Round
		}
		return slices.Compare([]byte(a.Key), []byte(b.Key))
	})
	for _, a := range at[:min(len(at), mostItems)] {
		m, err := w.site.Broker.Get(ctx, a)
		if err != nil {
			return err
		}
		w.items = append(w.items, m)
	}
	if len(w.items) == 0 {
		return fmt.Errorf("the small run has no item for %s", w.Stage)
	}
	return nil
}

// answer is the address of an item's result.
func (w *world) answer(item broker.Address) broker.Address {
	to := item
	to.Record = w.spec.Writes
	if w.spec.Gather {
		to.Key = w.spec.Writes
	}
	if w.spec.NextRound {
		to.Round++
	}
	return to
}

// ours is our own result of an item.
func (w *world) ours(ctx context.Context, item broker.Address) (schemas.Batch, error) {
	to := w.answer(item)
	return w.site.Get(ctx, reference, to.Record, to.Round, to.Key)
}

// newRun makes a run with everything in it that the stage reads, but no items.
func (w *world) newRun(ctx context.Context, name string) error {
	b := w.site.Broker
	if err := b.CreateRun(ctx, name, 0); err != nil {
		return err
	}
	for m, err := range b.List(ctx, reference, broker.Everything) {
		if err == nil && w.isContext(m.Address) {
			err = w.copyRecord(ctx, m.Address, name)
		}
		if err != nil {
			return err
		}
	}
	run := w.run
	run.Name = name
	h := schemas.Header{Run: name, Key: schemas.KeyRun, Seed: run.Seed, Config: run.ConfigDigest, Policy: run.Base}
	batch, err := schemas.Encode(h, []schemas.Run{run})
	if err != nil {
		return err
	}
	if _, err := w.site.Publish(ctx, schemas.RecordRun, batch, nil); err != nil {
		return err
	}
	_, err = b.Pull(ctx, name, w.Stage, []string{w.spec.Filter()}, broker.PullOptions{AckWait: w.AckWait})
	return err
}

// isContext reports whether a record of the reference run belongs into the run of a check: not its end, its
// description, which has its name in it, the stage's items, and the stage's results.
func (w *world) isContext(a broker.Address) bool {
	switch a.Record {
	case schemas.RecordRun, schemas.RecordEnd, schemas.RecordFailed, schemas.RecordRefused:
		return false
	case w.spec.Wakes:
		if !w.spec.Gather {
			return false
		}
	case schemas.RecordGather:
		if w.spec.Gather && a.Key == w.spec.Wakes {
			return false
		}
	}
	maker, made := line.Rows(nil).Maker(a.Record, a.Round)
	return !made || maker.Spec().Name != w.Stage
}

func (w *world) copyRecord(ctx context.Context, at broker.Address, name string) error {
	m, err := w.site.Broker.Get(ctx, at)
	if err != nil {
		return err
	}
	return w.publish(ctx, renamed(m, name))
}

// renamed is a message as that of another run. What it claims stays where it is.
func renamed(m broker.Message, name string) broker.Message {
	h := map[string]string{}
	for k, v := range m.Header {
		h[k] = v
	}
	h["itool-run"] = name
	m.Header, m.Run = h, name
	return m
}

func (w *world) publish(ctx context.Context, m broker.Message) error {
	_, err := w.site.Broker.Publish(ctx, m.Address, m.Header, m.Data)
	if err == nil {
		err = w.site.Broker.Announce(ctx, broker.Hint, m.Run, nil)
	}
	return err
}

// rows decodes a result of the stage, and compares it with its item as a keeper does.
func (w *world) rows(ctx context.Context, item broker.Message, b schemas.Batch) error {
	switch w.spec.Writes {
	case schemas.RecordPolicy:
		return w.policyRow(ctx, b)
	case schemas.RecordSelection:
		_, err := schemas.Decode[schemas.Selection](b)
		return err
	}
	return line.CheckRows(w.spec.Writes, b, item.Key, func() ([]string, error) {
		task, err := w.site.Open(ctx, item)
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[schemas.Example](task)
		ids := make([]string, len(rows))
		for i := range rows {
			ids[i] = rows[i].ID
		}
		return ids, err
	})
}

// policyRow reads a policy's row and opens its weights with our engine.
func (w *world) policyRow(ctx context.Context, b schemas.Batch) error {
	rows, err := schemas.Decode[schemas.Policy](b)
	switch {
	case err != nil:
		return err
	case len(rows) != 1:
		return &courier.RowsError{Record: schemas.RecordPolicy, Rows: len(rows)}
	case rows[0].Base != w.run.Base:
		return fmt.Errorf("base is %.12q, the run's is %.12s", rows[0].Base, w.run.Base)
	case !slices.Contains([]string{schemas.StatusBase, schemas.StatusTrained, schemas.StatusNoUpdate,
		schemas.StatusGuard}, rows[0].Status):
		return fmt.Errorf("status %q is none of the four", rows[0].Status)
	}
	return w.opens(ctx, rows[0].Checkpoint)
}
