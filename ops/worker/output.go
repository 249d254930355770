package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/storage/checkpoint"
)

// output receives what a stage produces for one item: it keeps the result, and sends everything else
// to the store or the broker at once. If the store does not answer, Attach and Save try again until it
// does, so that hours of work need not be repeated.
type output struct {
	it     *item
	ctx    context.Context // of the item: output does not outlive it
	result *schemas.Batch  // nil: none yet
	told   time.Time       // when progress was announced last, see progressPause
}

var _ stages.Output = (*output)(nil)

func (o *output) Result(b schemas.Batch) error {
	if o.result != nil {
		return stages.Reject(fmt.Errorf("%s gave a second result; the stage is at fault", o.it.spec.Name))
	}
	if b.Header.Schema != o.it.spec.Schema {
		return stages.Reject(fmt.Errorf("%s gave %s instead of %s; the stage is at fault",
			o.it.spec.Name, b.Header.Schema, o.it.spec.Schema))
	}
	o.result = &b
	return nil
}

func (o *output) Attach(ctx context.Context, name string, r io.Reader) error {
	key := courier.AttachedKey(o.it.runName, o.it.spec.Name, o.it.target.Round, o.it.target.Key, name)
	body, err := io.ReadAll(r) // hold may send it more than once
	if err != nil {
		return err
	}
	return o.it.hold(ctx, func(ctx context.Context) error {
		_, err := o.it.w.Courier.Store.Put(ctx, key, bytes.NewReader(body), int64(len(body)))
		return courier.Infra(ctx, err)
	})
}

func (o *output) Save(ctx context.Context, write func(stages.Create) error, drop ...string) (digest string, err error) {
	if err := checkDigest(o.it.in.Header.Policy); err != nil {
		return "", stages.Reject(fmt.Errorf("policy: %w", err))
	}
	err = o.it.hold(ctx, func(ctx context.Context) error {
		parent, err := checkpoint.Load(ctx, o.it.w.Courier.Store, courier.Checkpoints, o.it.in.Header.Policy)
		if err = o.it.promised(ctx, err); err != nil {
			return err
		}
		parent.Parts = slices.DeleteFunc(parent.Parts, func(p checkpoint.Part) bool {
			return slices.Contains(drop, p.Name)
		})
		m, err := o.write(ctx, courier.Checkpoints, &parent, write)
		digest = m.Digest()
		return err
	})
	return digest, err
}

// write stores a checkpoint whose files the stage writes. An error of the store passes through the
// stage, which returns it like an error of its own. write tells them apart, because the stage is at
// fault only for its own: an error of the store is an InfraError, which hold tries again.
func (o *output) write(
	ctx context.Context, prefix string, parent *checkpoint.Manifest, write func(stages.Create) error,
) (checkpoint.Manifest, error) {
	var stageErr, storeErr error
	m, err := checkpoint.Write(ctx, o.it.w.Courier.Store, prefix, parent, func(create stages.Create) error {
		stageErr = write(func(name string) (io.WriteCloser, error) {
			w, err := create(name)
			return &part{w, &storeErr}, err
		})
		return stageErr
	})
	switch {
	case err == nil, stageErr != nil && storeErr == nil:
		return m, err
	case storeErr != nil:
		return m, courier.Infra(ctx, storeErr)
	}
	return m, courier.Infra(ctx, err)
}

// part is a file of a checkpoint. Close stores the file and adds its error to storeErr.
type part struct {
	io.WriteCloser
	storeErr *error
}

func (p *part) Close() error {
	err := p.WriteCloser.Close()
	if err != nil {
		*p.storeErr = errors.Join(*p.storeErr, err)
	}
	return err
}

// progressPause is the shortest time between two announcements of an item, because a stage may report
// every row.
const progressPause = 50 * time.Millisecond

func (o *output) Progress(done, total int, unit, detail string) {
	if done < total && time.Since(o.told) < progressPause {
		return
	}
	o.told = time.Now()
	o.it.w.Courier.AnnounceProgress(o.ctx, o.it.target, schemas.Progress{
		Stage: o.it.spec.Name, Key: o.it.target.Key, Done: int64(done), Total: int64(total), Unit: unit, Detail: detail,
	})
}
