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

// Get reads a record; ErrNotExist when it is not there.
func (b *Broker) Get(ctx context.Context, at Address) (Message, error) {
	if err := at.validate(); err != nil {
		return Message{}, err
	}
	return b.getRecord(ctx, streamRun+at.Run, at.String(), "get "+at.String())
}

// Has says whether a record is there.
func (b *Broker) Has(ctx context.Context, at Address) (bool, error) {
	_, err := b.Get(ctx, at)
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// getRecord reads directly from any replica: a record is written once and never deleted,
// so what is found is right. A miss may be a replica lagging behind; on a cluster the
// leader must confirm it.
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
		return Message{}, fmt.Errorf("broker: %s: the server says %s %s", op, status, m.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("broker: %s: sequence: %w", op, err)
	}
	return message(subject, m.Header, m.Data, seq)
}

func (b *Broker) getFromLeader(ctx context.Context, stream, subject, op string) (Message, error) {
	legacy, err := b.nc.JetStream() // the newer client cannot ask the leader of a stream that allows direct reads
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

// message builds what we hand out; a start has no address but its run.
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

// Keys lists the keys of one record in one round, sorted. Like List and Count it may
// miss what was published a moment ago, on a cluster even by ourselves; it never
// names what is not there.
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

// Count says how many records a filter matches, without reading them; filters are
// those of [Broker.Pull].
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

// List yields what a filter matches, address, header and sequence but no data. It is
// in the order of the stream, which no result may depend on: sort by key first. What
// is published meanwhile may be missing. It ends after the first error.
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

// scan reads everything a subject filter matches now, through a consumer of its own.
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
			yield(Message{}, fmt.Errorf("broker: %s: %w: the list broke off", op, ErrUnavailable))
			return
		}
		next, left = next+got, left-got
	}
}

// scanBatch yields up to n messages, the first of which is number next of this reader;
// more is false when the caller has enough or got an error.
func (b *Broker) scanBatch(ctx context.Context, cons jetstream.Consumer, op string, next, n uint64, yield func(Message, error) bool) (got uint64, more bool) {
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
			return got, true // one was lost on the way; nobody sends it again
		}
		got++
		record, err := message(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream)
		if err != nil { // a foreign client's; it must not hide the others
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

// reader makes a consumer that lives in the server's memory and acks nothing; its
// NumPending is the exact count, since every subject holds one message.
func (b *Broker) reader(ctx context.Context, stream, subject string, withData bool) (jetstream.Consumer, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	return b.js.CreateConsumer(c, stream, jetstream.ConsumerConfig{
		FilterSubject:     subject,
		AckPolicy:         jetstream.AckNonePolicy,
		HeadersOnly:       !withData,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 30 * time.Second, // if we die, the server forgets it by itself
	})
}

func (b *Broker) dropReader(ctx context.Context, cons jetstream.Consumer) {
	// Also when ctx is done; if it fails, the inactivity limit removes the reader.
	c, cancel := b.call(context.WithoutCancel(ctx))
	defer cancel()
	i := cons.CachedInfo()
	if err := b.js.DeleteConsumer(c, i.Stream, i.Name); err != nil {
		b.log.Debug("broker: reader left behind", "stream", i.Stream, "err", err)
	}
}
