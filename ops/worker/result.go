package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// answer is the address of the result. Its key is that of the item or, for a stage that gathers, the
// name of the record that it writes.
func (it *item) answer() broker.Address {
	to := broker.Address{Run: it.runName, Record: it.spec.Writes, Round: it.d.Round, Key: it.d.Key}
	if it.spec.Gather {
		to.Key = it.spec.Writes
	}
	if it.spec.NextRound {
		to.Round++
	}
	return to
}

// answered reports whether the result exists.
func (it *item) answered(ctx context.Context) (bool, error) {
	exists, err := it.w.Courier.Broker.Has(ctx, it.answer())
	return exists, courier.Infra(ctx, err)
}

// resultHeader fills in what the result shares with its item. First it checks that the item's header
// agrees with its subject: stages read the header, but records are written once per subject.
func (it *item) resultHeader() (schemas.Header, error) {
	h, at := it.in.Header, it.d.Address
	if h.Run != at.Run || h.Round != at.Round || h.Key != at.Key {
		return h, stages.Reject(fmt.Errorf("message %v says run %q, round %d, key %q; its writer is at fault",
			at, h.Run, h.Round, h.Key))
	}
	to := it.answer()
	return schemas.Header{
		Run: to.Run, Round: to.Round, Key: to.Key, Seed: h.Seed, Policy: h.Policy, Config: h.Config,
		Input: h.SHA256, Worker: it.w.Name, Traceparent: it.traceparent,
	}, nil
}

// adopt accepts an existing result if it answers the same question: the same policy, configuration
// and input.
func (it *item) adopt(ctx context.Context) error {
	m, err := it.w.Courier.Broker.Get(ctx, it.answer())
	if err != nil {
		return courier.Infra(ctx, err)
	}
	h, err := schemas.ParseHeader(m.Header)
	if err != nil {
		return it.refusedResult(ctx, false, fmt.Errorf("result %v: %w", m.Address, err))
	}
	for _, d := range []struct{ what, have, want string }{
		{"policy", h.Policy, it.target.Policy},
		{"config", h.Config, it.target.Config},
		{"input", h.Input, it.target.Input},
	} {
		if d.have != d.want {
			return it.refusedResult(ctx, h.Config != "", fmt.Errorf("result %v exists, but for another %s (%.12s, "+
				"this item has %.12s): two writers disagree about the run", m.Address, d.what, d.have, d.want))
		}
	}
	if it.spec.Gather { // the worker that published it may have died before it removed its checkpoints
		if run, err := it.description(ctx); err == nil {
			it.folder = it.resumeFolder(run)
			it.sweep(ctx, 0)
		}
	}
	return nil
}

// refusedResult is the error of an item that has a wrong result already. The keeper removes such a result, and
// the item is tried again; or the keeper gives the item up, and nothing is left to do. If a stage has written the
// result of a whole round, not a stray client, the worker decides alone.
func (it *item) refusedResult(ctx context.Context, ofStage bool, why error) error {
	if it.spec.Gather && ofStage {
		return stages.Reject(why)
	}
	at := broker.Address{Run: it.runName, Record: schemas.RecordFailed, Round: it.d.Round, Key: it.d.Key}
	if given, err := it.w.Courier.Broker.Has(ctx, at); err == nil && given {
		return nil
	}
	return &waitError{"the keeper takes out a wrong result: " + why.Error()}
}

// publish writes the result. An existing result wins.
func (it *item) publish(ctx context.Context, b *schemas.Batch, took time.Duration) error {
	h := it.target
	h.Schema, h.SHA256, h.Rows = b.Header.Schema, b.Header.SHA256, b.Header.Rows
	batch := schemas.Batch{Header: h, Body: b.Body}
	seconds := strconv.FormatFloat(took.Seconds(), 'f', 3, 64)
	return it.hold(ctx, func(ctx context.Context) error {
		extra := map[string]string{courier.HeaderSeconds: seconds}
		stored, err := it.w.Courier.Publish(ctx, it.spec.Writes, batch, extra)
		if err != nil {
			return it.unpublished(ctx, err)
		}
		if !stored {
			return it.adopt(ctx)
		}
		return nil
	})
}

// unpublished classifies an error of publishing. Most of them mean to wait.
func (it *item) unpublished(ctx context.Context, err error) error {
	if errors.Is(err, broker.ErrFull) {
		return &courier.InfraError{Err: fmt.Errorf("waiting: room: the run's stream is full; its keeper gives it "+
			"more, or says in `itool watch` what a person must do: %w", err)}
	}
	return courier.Infra(ctx, err)
}

// giveUp writes a failure record in the place of the result. It waits for broker and store, because
// the reason must not get lost: a full stream refuses failure records too.
func (it *item) giveUp(ctx context.Context, reason string, cause error) error {
	row := schemas.Failed{
		Stage: it.spec.Name, Subject: it.d.Address.String(), Attempts: int32(min(it.failures+1, MaxAttempts)),
		Reason: reason, Error: strings.ToValidUTF8(cause.Error(), "�"), Worker: it.w.Name,
	}
	b, err := schemas.Encode(schemas.Header{
		Run: it.runName, Round: it.d.Round, Key: it.d.Key, Policy: it.in.Header.Policy, Config: it.in.Header.Config,
		Input: it.in.Header.SHA256, Worker: it.w.Name, Traceparent: it.traceparent,
	}, []schemas.Failed{row})
	if err != nil {
		return err
	}
	err = it.hold(ctx, func(ctx context.Context) error {
		_, err := it.w.Courier.Publish(ctx, schemas.RecordFailed, b, nil)
		return it.unpublished(ctx, err)
	})
	if err == nil {
		it.hint(ctx)
	}
	return err
}
