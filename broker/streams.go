package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sort"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// CreateRun creates the run's stream. A run that exists stays as it is and keeps its
// quota. quotaBytes limits the size of all its records together; ≤ 0 means no limit.
func (b *Broker) CreateRun(ctx context.Context, run string, quotaBytes int64) error {
	if err := validToken("run", run); err != nil {
		return err
	}
	return b.explain(ctx, "create run "+run, b.ensureStream(ctx, b.runStream(run, quotaBytes)))
}

// SetQuota changes the quota of a run, for example after ErrFull; ≤ 0 means no limit.
func (b *Broker) SetQuota(ctx context.Context, run string, quotaBytes int64) error {
	if err := validToken("run", run); err != nil {
		return err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, streamRun+run)
	if err == nil {
		config := s.CachedInfo().Config // keeps settings that an operator changed
		config.MaxBytes = quota(quotaBytes)
		_, err = b.js.UpdateStream(c, config)
	}
	return b.explain(ctx, "set quota of run "+run, err)
}

func (b *Broker) runStream(run string, quotaBytes int64) jetstream.StreamConfig {
	c := b.writeOnce(streamRun+run, runPrefix+run+".*.*.*")
	c.MaxBytes = quota(quotaBytes)
	// Records cannot be purged by subject, so that a late writer cannot publish one a second time. Remove
	// takes out a single one.
	c.DenyPurge = true
	return c
}

// writeOnce configures a stream with one message per subject. A second message for a
// subject is refused, even if its publisher did not ask for that.
func (b *Broker) writeOnce(name, subjects string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                 name,
		Subjects:             []string{subjects},
		Storage:              jetstream.FileStorage,
		Retention:            jetstream.LimitsPolicy,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		MaxBytes:             -1,
		AllowDirect:          true,
		Replicas:             b.replicas,
	}
}

func quota(bytes int64) int64 {
	if bytes <= 0 {
		return -1
	}
	return bytes
}

// DeleteRun deletes a run with all its records. Publishing to it afterwards answers
// ErrNoRun. Deleting a run that does not exist is no error, so a deletion that was
// interrupted by a crash can be repeated.
func (b *Broker) DeleteRun(ctx context.Context, run string) error {
	if err := validToken("run", run); err != nil {
		return err
	}
	// The start is deleted first, so that the run is not opened again during its deletion.
	if err := b.purge(ctx, streamRuns, startPrefix+run); err != nil {
		return b.explain(ctx, "delete run "+run, err)
	}
	c, cancel := b.call(ctx)
	defer cancel()
	if err := b.js.DeleteStream(c, streamRun+run); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return b.explain(ctx, "delete run "+run, err)
	}
	if err := b.purge(ctx, "KV_"+bucketStates, "$KV."+bucketStates+"."+run); err != nil {
		return b.explain(ctx, "delete run "+run, err)
	}
	handBacks := "$KV." + bucketHandBacks + "." + run + ".>"
	return b.explain(ctx, "delete run "+run, b.purge(ctx, "KV_"+bucketHandBacks, handBacks))
}

// purge removes the messages that a filter matches. A stream that does not exist is no error.
func (b *Broker) purge(ctx context.Context, stream, filter string) error {
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = s.Purge(c, jetstream.WithPurgeSubject(filter))
	}
	return err
}

// Runs lists the runs that have a stream, sorted.
func (b *Broker) Runs(ctx context.Context) ([]string, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	var runs []string
	list := b.js.StreamNames(c, jetstream.WithStreamListSubject(runPrefix+">"))
	for name := range list.Name() {
		if run, ok := strings.CutPrefix(name, streamRun); ok {
			runs = append(runs, run)
		}
	}
	if err := list.Err(); err != nil {
		return nil, b.explain(ctx, "list runs", err)
	}
	sort.Strings(runs)
	return runs, nil
}

// Usage says how full a run's stream is.
type Usage struct {
	Messages   uint64
	Bytes      uint64
	QuotaBytes int64 // −1: no limit
}

// Usage reads how full a run's stream is; ErrNoRun if the run does not exist.
func (b *Broker) Usage(ctx context.Context, run string) (Usage, error) {
	if err := validToken("run", run); err != nil {
		return Usage{}, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, streamRun+run)
	if err != nil {
		return Usage{}, b.explain(ctx, "usage of run "+run, err)
	}
	i := s.CachedInfo()
	return Usage{Messages: i.State.Msgs, Bytes: i.State.Bytes, QuotaBytes: i.Config.MaxBytes}, nil
}

// Start publishes the start of a run: a write-once message from which all processes learn
// of the run. The same bytes a second time are no error; other bytes are ErrExists.
func (b *Broker) Start(ctx context.Context, run string, header map[string]string, data []byte) error {
	if err := validToken("run", run); err != nil {
		return err
	}
	op := "start run " + run
	if err := b.ensureStartStream(ctx); err != nil {
		return b.explain(ctx, op, err)
	}
	msg, err := newMsg(startPrefix+run, header, data)
	if err != nil {
		return err
	}
	stored, err := b.put(ctx, streamRuns, op, msg)
	if stored || err != nil {
		return err
	}
	old, err := b.getRecord(ctx, streamRuns, startPrefix+run, op)
	if err != nil {
		return err
	}
	if !bytes.Equal(old.Data, data) {
		return fmt.Errorf("broker: %s: %w: choose another name, or delete that run first", op, ErrExists)
	}
	return nil
}

// Started yields the start of every run, in the order in which they were published; none that was
// published before the call is missing. Only Run of the address is set. It ends after the first error.
func (b *Broker) Started(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if err := b.ensureStartStream(ctx); err != nil {
			yield(Message{}, b.explain(ctx, "list started runs", err))
			return
		}
		b.scan(ctx, scan{
			stream: streamRuns, subject: startPrefix + "*", complete: true, withData: true, yield: yield,
		})
	}
}

// ensureStartStream creates the stream of starts if it does not exist. That happens on
// first use only, so that a worker that never uses it needs no permission to create streams.
func (b *Broker) ensureStartStream(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.startStream {
		return nil
	}
	if err := b.ensureStream(ctx, b.writeOnce(streamRuns, startPrefix+"*")); err != nil {
		return err
	}
	b.startStream = true
	return nil
}

// ensureStream creates a stream unless it exists. An existing stream is not changed.
func (b *Broker) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	_, err := openOrCreate(ctx, b, jetstream.ErrStreamNotFound,
		func(c context.Context) (jetstream.Stream, error) { return b.js.Stream(c, want.Name) },
		func(c context.Context) (jetstream.Stream, error) { return b.js.CreateStream(c, want) })
	return err
}
