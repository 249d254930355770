package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Get reads a record; ErrNotExist if it was not published.
func (b *Broker) Get(ctx context.Context, at Address) (Message, error) {
	if err := at.validate(); err != nil {
		return Message{}, err
	}
	return b.getRecord(ctx, streamRun+at.Run, at.String(), "get "+at.String())
}

// Has says whether a record was published.
func (b *Broker) Has(ctx context.Context, at Address) (bool, error) {
	_, err := b.Get(ctx, at)
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// getRecord reads directly from any replica: a record is written once and never deleted,
// so what a replica has is right. If it has nothing, it may lag behind; on a cluster the
// leader must confirm that the record does not exist.
func (b *Broker) getRecord(ctx context.Context, stream, subject, op string) (Message, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	m, err := retryUnanswered(c, b.findStream(stream), func() (*nats.Msg, error) {
		return b.nc.RequestWithContext(c, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	})
	if err != nil {
		return Message{}, b.explain(ctx, op, err)
	}
	if status := m.Header.Get("Status"); status == "404" && b.nc.ConnectedClusterName() != "" {
		return b.getFromLeader(ctx, stream, subject, op)
	} else if status == "404" {
		return Message{}, fmt.Errorf("broker: %s: %w", op, ErrNotExist)
	} else if status != "" {
		return Message{}, fmt.Errorf("broker: %s: the server answers %s %s", op, status, m.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("broker: %s: sequence: %w", op, err)
	}
	return message(subject, m.Header, m.Data, seq)
}

func (b *Broker) getFromLeader(ctx context.Context, stream, subject, op string) (Message, error) {
	// The newer client cannot ask the leader of a stream that allows direct reads.
	legacy, err := b.nc.JetStream()
	if err != nil {
		return Message{}, b.explain(ctx, op, err)
	}
	c, cancel := b.call(ctx)
	defer cancel()
	m, err := legacy.GetLastMsg(stream, subject, nats.Context(c))
	switch {
	case errors.Is(err, nats.ErrMsgNotFound):
		return Message{}, fmt.Errorf("broker: %s: %w", op, ErrNotExist)
	case errors.Is(err, nats.ErrStreamNotFound):
		return Message{}, fmt.Errorf("broker: %s: %w", op, ErrNoRun)
	case err != nil:
		return Message{}, b.explain(ctx, op, err)
	}
	return message(subject, m.Header, m.Data, m.Sequence)
}

// message builds a Message from one of the server. A start has no address except its run.
func message(subject string, h nats.Header, data []byte, seq uint64) (Message, error) {
	m := Message{Header: ownHeader(h), Data: data, Sequence: seq}
	if run, ok := strings.CutPrefix(subject, startPrefix); ok {
		m.Run = run
		return m, nil
	}
	var err error
	m.Address, err = parseAddress(subject)
	return m, err
}

// Keys lists the keys of one record in one round, sorted. Like List and Count it may miss
// a record that was published a moment ago; on a cluster it may even be our own. It never
// names a record that does not exist.
func (b *Broker) Keys(ctx context.Context, run, record string, round int) ([]string, error) {
	keys := []string{}
	for m, err := range b.List(ctx, run, Filter(record, round)) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, m.Key)
	}
	sort.Strings(keys)
	return keys, nil
}

// Count says how many records a filter matches, without reading them. See [Broker.Pull]
// for the form of filters.
func (b *Broker) Count(ctx context.Context, run, filter string) (int, error) {
	subject, err := b.runFilter(run, filter)
	if err != nil {
		return 0, err
	}
	cons, err := b.reader(ctx, streamRun+run, subject, false)
	if err != nil {
		return 0, b.explain(ctx, "count "+subject, err)
	}
	b.dropReader(ctx, cons)
	return int(cons.CachedInfo().NumPending), nil
}

// List yields the records that a filter matches: address, header and sequence, but no
// data. They come in the order of the stream, on which no result may depend: sort them
// by key first. Records published during the call may be missing. It ends after the
// first error.
func (b *Broker) List(ctx context.Context, run, filter string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		subject, err := b.runFilter(run, filter)
		if err != nil {
			yield(Message{}, err)
			return
		}
		b.scan(ctx, streamRun+run, subject, false, yield)
	}
}

func (b *Broker) runFilter(run, filter string) (string, error) {
	if err := validToken("run", run); err != nil {
		return "", err
	}
	return filterSubject(run, filter)
}

// scan yields every message that a subject filter matches now. It reads them through a
// temporary consumer.
func (b *Broker) scan(ctx context.Context, stream, subject string, withData bool, yield func(Message, error) bool) {
	op := "list " + subject
	cons, err := b.reader(ctx, stream, subject, withData)
	if err != nil {
		yield(Message{}, b.explain(ctx, op, err))
		return
	}
	defer b.dropReader(ctx, cons)
	batch := uint64(2048)
	if withData {
		batch = 4 // of up to 8 MB each: the server drops a connection that owes it 64 MB
	}
	for next, left := uint64(1), cons.CachedInfo().NumPending; left > 0; {
		n := min(left, batch)
		got, more := b.scanBatch(ctx, cons, op, next, n, yield)
		if !more {
			return
		}
		if got < n {
			yield(Message{}, fmt.Errorf("broker: %s: %w: a message of the list was lost", op, ErrUnavailable))
			return
		}
		next, left = next+got, left-got
	}
}

// scanBatch yields up to n messages; next is the number of the first, counted by this
// consumer. more is false if the caller has stopped or got an error.
func (b *Broker) scanBatch(
	ctx context.Context, cons jetstream.Consumer, op string, next, n uint64, yield func(Message, error) bool,
) (got uint64, more bool) {
	c, cancel := b.call(ctx)
	defer cancel()
	msgs, err := cons.Fetch(int(n), jetstream.FetchContext(c))
	if err != nil {
		yield(Message{}, b.explain(ctx, op, err))
		return 0, false
	}
	for m := range msgs.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			yield(Message{}, b.explain(ctx, op, err))
			return got, false
		}
		if meta.Sequence.Consumer != next+got {
			return got, true // a message was lost on the way, and the server does not send it again
		}
		got++
		record, err := message(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream)
		if err != nil { // published by a foreign client; it must not hide the other records
			b.log.Warn("broker: record skipped", "err", err)
			continue
		}
		if !yield(record, nil) {
			return got, false
		}
	}
	if err := msgs.Error(); err != nil {
		yield(Message{}, b.explain(ctx, op, err))
		return got, false
	}
	return got, true
}

// reader creates a consumer in the server's memory that acks nothing. Its NumPending is
// the exact number of records, because every subject holds one message.
func (b *Broker) reader(ctx context.Context, stream, subject string, withData bool) (jetstream.Consumer, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	return b.js.CreateConsumer(c, stream, jetstream.ConsumerConfig{
		FilterSubject:     subject,
		AckPolicy:         jetstream.AckNonePolicy,
		HeadersOnly:       !withData,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 30 * time.Second, // if this process dies, the server removes the consumer
	})
}

func (b *Broker) dropReader(ctx context.Context, cons jetstream.Consumer) {
	// Even if ctx is done. If this fails, the server removes the reader after InactiveThreshold.
	c, cancel := b.call(context.WithoutCancel(ctx))
	defer cancel()
	i := cons.CachedInfo()
	if err := b.js.DeleteConsumer(c, i.Stream, i.Name); err != nil {
		b.log.Debug("broker: could not delete a reader; the server removes it later", "stream", i.Stream, "err", err)
	}
}
