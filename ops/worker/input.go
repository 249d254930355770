package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/storage/checkpoint"
)

// input prepares what the stage reads.
func (it *item) input(ctx context.Context) (stages.Input, error) {
	h := it.in.Header
	in := stages.Input{Header: h, PolicyDigest: h.Policy}
	run, err := it.description(ctx)
	if err != nil {
		return in, err
	}
	in.Config, in.Judge = run.sections[it.spec.Name], it.judge(run)
	if it.spec.Asks {
		in.Engine = run.engine
	}
	if !it.spec.NoPolicy {
		if in.Policy, err = it.policy(ctx, h.Policy); err != nil {
			return in, err
		}
	}
	in.Round = func(record string, round int) iter.Seq2[schemas.Batch, error] {
		return it.also(ctx, record, round)
	}
	in.Dataset = func(key string) (io.ReadCloser, error) { return it.dataset(ctx, key) }
	if in.Resume, err = it.resume(ctx, run); err != nil {
		return in, err
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
	keys, in.Failed = courier.Gathered(rows)
	in.Batches = it.round(ctx, it.spec.Wakes, h.Round, keys, it.spec.Reads)
	return in, nil
}

// description is what the worker needs of a run's own record.
type description struct {
	sha          string // of the record; it differs between two runs of the same name
	configDigest string
	sections     map[string]json.RawMessage // of the configuration, by stage
	judge        string                     // of the user's own; "": the reference decides
	engine       string                     // the kind of engine that the run's stages ask; "": the worker's own
}

// description reads the frozen description of the run. Items of a stage that does not gather take it
// from memory: there may be thousands per second. A stage that gathers reads it again, because a name
// can be given to another run.
func (it *item) description(ctx context.Context) (*description, error) {
	if d, ok := it.w.runs.Load(it.runName); ok && !it.spec.Gather {
		if d := d.(*description); d.configDigest == it.in.Header.Config {
			return d, nil
		}
	}
	run, h, err := it.w.Courier.Description(ctx, it.runName)
	if err != nil {
		return nil, badItem(err)
	}
	d := &description{sha: h.SHA256, configDigest: run.ConfigDigest}
	if d.configDigest != it.in.Header.Config {
		return nil, stages.Reject(fmt.Errorf("the item was made under configuration %.12s, the run has %.12s",
			it.in.Header.Config, d.configDigest))
	}
	if err := it.w.hasStore(ctx, run); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(run.Config), &d.sections); err != nil {
		return nil, stages.Reject(fmt.Errorf("configuration of run %s: %w", it.runName, err))
	}
	if d.judge, err = judgeOf(d.sections); err != nil {
		return nil, err
	}
	if d.engine, err = engineOf(d.sections["engine"]); err != nil {
		return nil, stages.Reject(fmt.Errorf("configuration of run %s: %w", it.runName, err))
	}
	it.w.runs.Store(it.runName, d)
	return d, nil
}

// engineOf reads the section of a run's configuration that says what computes. A run from before it has none.
func engineOf(section json.RawMessage) (string, error) {
	if len(section) == 0 {
		return "", nil
	}
	var engine struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(section, &engine); err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	return engine.Kind, nil
}

// policy opens a checkpoint through the local cache.
func (it *item) policy(ctx context.Context, digest string) (fs.FS, error) {
	if err := checkDigest(digest); err != nil {
		return nil, stages.Reject(fmt.Errorf("policy: %w", err))
	}
	var opts []checkpoint.Option
	if it.w.Cache != "" {
		opts = append(opts, checkpoint.Cache(it.w.Cache))
	}
	fsys, _, err := checkpoint.Open(ctx, it.w.Courier.Store, courier.Checkpoints, digest, opts...)
	if err = it.promised(ctx, err); err != nil {
		return nil, fmt.Errorf("policy %.12s: %w", digest, err)
	}
	return folder{fsys, it.blame(ctx)}, nil
}

// dataset opens a published file.
func (it *item) dataset(ctx context.Context, key string) (io.ReadCloser, error) {
	r, _, err := it.w.Courier.Store.Get(ctx, key)
	if err != nil {
		return nil, it.blame(ctx)(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{reader{r, it.blame(ctx)}, r}, nil
}

// round reads a round for the stage. It rejects damaged batches, because only here they can be told
// from a store that does not answer.
func (it *item) round(
	ctx context.Context, record string, round int, keys []string, reads string,
) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		for b, err := range it.w.Courier.Round(ctx, it.runName, record, round, keys) {
			if err == nil && reads != "" {
				if err = schemas.Readable(reads, b.Header.Schema); err != nil {
					err = fmt.Errorf("%s.%d.%s: %w", record, round, b.Header.Key, err)
				}
			}
			if err != nil && ctx.Err() == nil {
				err = badItem(err)
				it.note(err)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// also reads another record of the run that the stage's Spec names. Once the round is gathered it
// reads what the gather lists, so that late results change nothing.
func (it *item) also(ctx context.Context, record string, round int) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		if !slices.Contains(it.spec.Also, record) {
			yield(schemas.Batch{}, stages.Reject(fmt.Errorf(
				"%s reads %s, which its Spec does not name; the stage is at fault", it.spec.Name, record)))
			return
		}
		keys, err := it.w.Courier.ResultKeys(ctx, it.runName, record, round)
		if err != nil {
			err = badItem(err)
			it.note(err)
			yield(schemas.Batch{}, err)
			return
		}
		it.round(ctx, record, round, keys, "")(yield)
	}
}
