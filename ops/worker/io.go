package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
	"itool/storage/checkpoint"
)

// Checkpoints is the storage prefix of all checkpoints. Parts are shared by
// digest, so that every round's policy stores only its adapter.
const Checkpoints = "checkpoints"

// input gathers what the stage reads.
func (it *item) input(ctx context.Context) (stages.Input, error) {
	h := it.in.Header
	in := stages.Input{Header: h, PolicyDigest: h.Policy}
	var err error
	if in.Config, err = it.config(ctx); err != nil {
		return in, err
	}
	if !it.spec.NoPolicy {
		if in.Policy, err = it.policy(ctx, h.Policy); err != nil {
			return in, err
		}
	}
	in.Round = func(record string, round int) iter.Seq2[schemas.Batch, error] { return it.also(ctx, record, round) }
	in.Dataset = func(key string) (io.ReadCloser, error) {
		r, _, err := it.w.Courier.Store.Get(ctx, key)
		if errors.Is(err, storage.ErrNotExist) {
			return nil, stages.Reject(fmt.Errorf("dataset file %s is not in the store: publish it again", key))
		}
		return r, courier.Infra(ctx, err)
	}
	if !it.spec.Gather {
		if err := schemas.Readable(it.spec.Reads, h.Schema); err != nil {
			return in, badItem(fmt.Errorf("%s: %w", it.spec.Name, err))
		}
		in.Batches = func(yield func(schemas.Batch, error) bool) { yield(it.in, nil) }
		return in, nil
	}
	rows, err := schemas.Decode[schemas.Gather](it.in)
	if err != nil {
		return in, badItem(err)
	}
	var keys []string
	for _, g := range rows {
		if g.Failed {
			in.Failed = append(in.Failed, g.Key)
		} else {
			keys = append(keys, g.Key)
		}
	}
	in.Batches = it.w.Courier.Round(ctx, it.run_, it.spec.Wakes, h.Round, keys)
	in.Resume, err = it.resume(ctx)
	return in, err
}

// config returns the stage's section of the run's frozen configuration.
func (it *item) config(ctx context.Context) (json.RawMessage, error) {
	rows, _, err := courier.Rows[schemas.Run](ctx, it.w.Courier, it.run_, "run", 0, "run")
	if err != nil {
		return nil, courier.Infra(ctx, err)
	}
	if rows[0].ConfigDigest != it.in.Header.Config {
		return nil, stages.Reject(fmt.Errorf("the item was made under configuration %.12s, the run has %.12s", it.in.Header.Config, rows[0].ConfigDigest))
	}
	var sections map[string]json.RawMessage
	if err := json.Unmarshal([]byte(rows[0].Config), &sections); err != nil {
		return nil, stages.Reject(fmt.Errorf("configuration of run %s: %w", it.run_, err))
	}
	return sections[it.spec.Name], nil
}

// policy opens a checkpoint through the local cache.
func (it *item) policy(ctx context.Context, digest string) (fs.FS, error) {
	var opts []checkpoint.Option
	if it.w.Cache != "" {
		opts = append(opts, checkpoint.Cache(it.w.Cache))
	}
	fsys, _, err := checkpoint.Open(ctx, it.w.Courier.Store, Checkpoints, digest, opts...)
	if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrCorrupt) {
		return nil, fmt.Errorf("policy %.12s: %w", digest, err)
	}
	return fsys, courier.Infra(ctx, err)
}

// also reads another record of the run that the stage's Spec names.
func (it *item) also(ctx context.Context, record string, round int) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		if !contains(it.spec.Also, record) {
			yield(schemas.Batch{}, stages.Reject(fmt.Errorf("%s reads %s, which its Spec does not name; the stage is at fault", it.spec.Name, record)))
			return
		}
		keys, err := it.w.Courier.Broker.Keys(ctx, it.run_, record, round)
		if err != nil {
			yield(schemas.Batch{}, courier.Infra(ctx, err))
			return
		}
		it.w.Courier.Round(ctx, it.run_, record, round, keys)(yield)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// output is what the stage answers with.
type output struct {
	it     *item
	ctx    context.Context // of the item; output lives no longer
	result *schemas.Batch
}

var _ stages.Output = (*output)(nil)

func (o *output) Result(b schemas.Batch) error {
	if o.result != nil {
		return stages.Reject(fmt.Errorf("%s gave a second result; the stage is at fault", o.it.spec.Name))
	}
	if b.Header.Schema != o.it.spec.Schema {
		return stages.Reject(fmt.Errorf("%s gave %s instead of %s; the stage is at fault", o.it.spec.Name, b.Header.Schema, o.it.spec.Schema))
	}
	o.result = &b
	return nil
}

func (o *output) Attach(ctx context.Context, name string, r io.Reader) error {
	key := fmt.Sprintf("runs/%s/attached/%s/%d/%s/%s", o.it.run_, o.it.spec.Name, o.it.target.Round, o.it.target.Key, name)
	_, err := o.it.w.Courier.Store.Put(ctx, key, r, -1)
	return courier.Infra(ctx, err)
}

func (o *output) Save(ctx context.Context, write func(stages.Create) error, drop ...string) (string, error) {
	parent, err := checkpoint.Load(ctx, o.it.w.Courier.Store, Checkpoints, o.it.in.Header.Policy)
	if err != nil {
		return "", courier.Infra(ctx, err)
	}
	kept := parent.Parts[:0:0]
	for _, p := range parent.Parts {
		if !contains(drop, p.Name) {
			kept = append(kept, p)
		}
	}
	parent.Parts = kept
	m, err := o.write(ctx, &parent, write)
	return m.Digest(), err
}

func (o *output) write(ctx context.Context, parent *checkpoint.Manifest, write func(stages.Create) error) (checkpoint.Manifest, error) {
	var own error // an error of the stage's own writing is not the store's fault
	m, err := checkpoint.Write(ctx, o.it.w.Courier.Store, Checkpoints, parent, func(create func(string) (io.WriteCloser, error)) error {
		own = write(create)
		return own
	})
	if err != nil && own == nil {
		err = courier.Infra(ctx, err)
	}
	return m, err
}

func (o *output) Progress(done, total int, unit, detail string) {
	o.it.w.Courier.AnnounceProgress(o.ctx, o.it.target, schemas.Progress{
		Stage: o.it.spec.Name, Key: o.it.target.Key, Done: int64(done), Total: int64(total), Unit: unit, Detail: detail,
	})
}

// A long item's checkpoints are ordinary checkpoints plus one small pointer each,
// whose name holds the step. The newest pointer that opens is the one to resume
// from: a crash between part and pointer leaves the one before.
func (it *item) pointers() string {
	return fmt.Sprintf("runs/%s/resume/%s-%d/", it.run_, it.spec.Name, it.target.Round)
}

func (o *output) Checkpoint(ctx context.Context, step int, write func(stages.Create) error) error {
	m, err := o.write(ctx, nil, write)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s%09d", o.it.pointers(), step)
	digest := m.Digest()
	if _, err := o.it.w.Courier.Store.Put(ctx, key, strings.NewReader(digest), int64(len(digest))); err != nil {
		return courier.Infra(ctx, err)
	}
	return nil
}

// resume opens the newest checkpoint of an earlier try, or returns nil.
func (it *item) resume(ctx context.Context) (fs.FS, error) {
	var keys []string
	for info, err := range it.w.Courier.Store.List(ctx, it.pointers()) {
		if err != nil {
			return nil, courier.Infra(ctx, err)
		}
		keys = append(keys, info.Key)
	}
	for i := len(keys) - 1; i >= 0; i-- {
		fsys, err := it.resumeFrom(ctx, keys[i])
		if err == nil {
			it.w.Log.Info("resuming", "run", it.run_, "stage", it.spec.Name, "from", keys[i])
			return fsys, nil
		}
		it.w.Log.Warn("a checkpoint does not open; trying the one before", "checkpoint", keys[i], "error", err)
	}
	return nil, nil
}

func (it *item) resumeFrom(ctx context.Context, key string) (fs.FS, error) {
	r, _, err := it.w.Courier.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	digest, err := io.ReadAll(io.LimitReader(r, 128))
	if err != nil {
		return nil, err
	}
	fsys, _, err := checkpoint.Open(ctx, it.w.Courier.Store, Checkpoints, string(digest))
	return fsys, err
}
