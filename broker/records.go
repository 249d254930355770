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
		return askTwice(b, c, func(c context.Context) (*nats.Msg, error) {
			return b.nc.RequestWithContext(c, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
		})
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
	at, _ := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp")) // zero without one
	return message(subject, m.Header, m.Data, seq, at)
}

func (b *Broker) getFromLeader(ctx context.Context, stream, subject, op string) (Message, error) {
	m, err := b.lastFromLeader(ctx, stream, subject)
	switch {
	case errors.Is(err, nats.ErrMsgNotFound):
		return Message{}, fmt.Errorf("broker: %s: %w", op, ErrNotExist)
	case errors.Is(err, nats.ErrStreamNotFound):
		return Message{}, fmt.Errorf("broker: %s: %w", op, ErrNoRun)
	case err != nil:
		return Message{}, b.explain(ctx, op, err)
	}
	return message(subject, m.Header, m.Data, m.Sequence, m.Time)
}

// lastFromLeader reads the last message that a subject matches, as the stream's leader has it. It waits for an
// election until the time of one call is over.
func (b *Broker) lastFromLeader(ctx context.Context, stream, subject string) (m *nats.RawStreamMsg, err error) {
	// Package jetstream cannot ask the leader of a stream that allows direct reads; the older
	// nats.JetStreamContext can.
	legacy, err := b.nc.JetStream()
	if err != nil {
		return nil, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	for again := true; again; again = b.mayPass(err) && pause(c) {
		try, stop := b.try(c)
		m, err = legacy.GetLastMsg(stream, subject, nats.Context(try))
		stop()
		err = newerError(err)
	}
	return m, err
}

// newerError turns an error of the server as the older client has it into the newer client's,
// except those that have a name.
func newerError(err error) error {
	var old *nats.APIError
	if errors.Is(err, nats.ErrMsgNotFound) || errors.Is(err, nats.ErrStreamNotFound) || !errors.As(err, &old) {
		return err
	}
	return &jetstream.APIError{
		Code: old.Code, ErrorCode: jetstream.ErrorCode(old.ErrorCode), Description: old.Description,
	}
}

// message builds a Message from one of the server. A start has no address except its run.
func message(subject string, h nats.Header, data []byte, seq uint64, at time.Time) (Message, error) {
	m := Message{Header: ownHeader(h), Data: data, Sequence: seq, Time: at}
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
	cons, err := b.reader(ctx, streamRun+run, subject, false, 1)
	if err != nil {
		return 0, b.explain(ctx, "count "+subject, err)
	}
	b.dropReader(ctx, cons)
	return int(cons.CachedInfo().NumPending), nil
}

// List yields the records that a filter matches: address, header and sequence, but no
// data. They come in the order of the stream, on which no result may depend: sort them
// by key first. Records published during the call may be missing. A list of all records, by
// [Everything], misses none that was there before the call, on a cluster either. It ends after
// the first error.
func (b *Broker) List(ctx context.Context, run, filter string) iter.Seq2[Message, error] {
	return b.ListAfter(ctx, run, filter, 0)
}

// ListAfter is List of the records behind a position in the stream: so a caller reads each record once.
func (b *Broker) ListAfter(ctx context.Context, run, filter string, after uint64) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		subject, err := b.runFilter(run, filter)
		if err != nil {
			yield(Message{}, err)
			return
		}
		complete := filter == Everything
		b.scan(ctx, scan{stream: streamRun + run, subject: subject, complete: complete, last: after, yield: yield})
	}
}

func (b *Broker) runFilter(run, filter string) (string, error) {
	if err := validToken("run", run); err != nil {
		return "", err
	}
	return filterSubject(run, filter)
}

// errReaderLost says that a temporary consumer is gone or has skipped a message. A new one can
// go on behind the last message.
var errReaderLost = fmt.Errorf("%w: the server lost its place in the list", ErrUnavailable)

// errBehind says that a list ended before the last message that the stream's leader has.
var errBehind = fmt.Errorf("%w: a server with a copy of the stream is behind the others", ErrUnavailable)

// scan yields every message that a subject filter matches now. It reads them through a
// temporary consumer, which lives on one server only. If that server fails, a new consumer
// goes on behind the last message that was read.
func (b *Broker) scan(ctx context.Context, s scan) {
	s.b = b
	for retried := false; ; {
		before := s.last
		err := s.read(ctx)
		if err == nil || s.stopped {
			return
		}
		progress := s.last > before
		if !errors.Is(err, errReaderLost) || retried && !progress {
			s.yield(Message{}, b.explain(ctx, "list "+s.subject, err))
			return
		}
		retried = !progress
	}
}

// scan is one call of Broker.scan.
type scan struct {
	b               *Broker
	stream, subject string
	complete        bool // nothing may be missing that was there before the call, on a cluster either
	withData        bool
	yield           func(Message, error) bool
	last            uint64 // sequence of the last message that was read
	stopped         bool   // the caller wants no more
}

// read reads the messages behind s.last. On a cluster the consumer is on any of the servers with a copy of the stream,
// and that copy may be behind. Copies take up messages and removals in the leader's order. So a complete list is one
// that reaches the last message that the leader had before; else another consumer, perhaps on another server, goes on.
func (s *scan) read(ctx context.Context) error {
	for began := time.Now(); ; {
		before := s.last
		end, err := s.end(ctx)
		if err == nil {
			err = s.readOnce(ctx)
		}
		if err != nil || s.stopped || s.last >= end {
			return err
		}
		if s.last > before {
			began = time.Now()
		}
		if time.Since(began) > s.b.timeout {
			return errBehind
		}
		pause(ctx) // if ctx is done, the next exchange says so
	}
}

// end is the sequence that a list must reach; 0 if there is none.
func (s *scan) end(ctx context.Context) (uint64, error) {
	if !s.complete || s.b.nc.ConnectedClusterName() == "" {
		return 0, nil
	}
	m, err := s.b.lastFromLeader(ctx, s.stream, s.subject)
	switch {
	case errors.Is(err, nats.ErrMsgNotFound), errors.Is(err, nats.ErrStreamNotFound):
		return 0, nil // of a stream that does not exist, the consumer says so
	case err != nil:
		return 0, err
	}
	return m.Sequence, nil
}

// readOnce reads the messages behind s.last that a new consumer sees when it is made.
func (s *scan) readOnce(ctx context.Context) error {
	cons, err := s.b.reader(ctx, s.stream, s.subject, s.withData, s.last+1)
	if err != nil {
		return err
	}
	defer s.b.dropReader(ctx, cons)
	batch := uint64(2048)
	if s.withData {
		batch = 4 // of up to 8 MB each: the server drops a connection that has 64 MB still to read
	}
	for next, left := uint64(1), cons.CachedInfo().NumPending; left > 0; {
		n := min(left, batch)
		got, err := s.readBatch(ctx, cons, next, n)
		if err != nil || s.stopped {
			return err
		}
		if got < n {
			return errReaderLost
		}
		next, left = next+got, left-got
	}
	return nil
}

// readBatch reads up to n messages; next is the number of the first, counted by this consumer.
func (s *scan) readBatch(ctx context.Context, cons jetstream.Consumer, next, n uint64) (got uint64, err error) {
	c, cancel := s.b.call(ctx)
	defer cancel()
	// The server that created the consumer answers at once, but the server that we are
	// connected to may hear of the consumer later, and says until then that it does not exist.
	return retryUnanswered(c, s.findReader(cons), func() (uint64, error) {
		if c.Err() != nil {
			return got, c.Err() // Fetch would take it for a wrong option
		}
		msgs, err := cons.Fetch(int(n-got), jetstream.FetchContext(c))
		if err != nil {
			return got, err
		}
		for m := range msgs.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return got, err
			}
			if meta.Sequence.Consumer != next+got {
				return got, nil // a message was lost on the way, and the server does not send it again
			}
			got++
			if !s.yieldOne(m, meta) {
				return got, nil
			}
		}
		return got, msgs.Error()
	})
}

// yieldOne yields a message and says whether the caller wants more.
func (s *scan) yieldOne(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
	s.last = meta.Sequence.Stream
	record, err := message(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp)
	if err != nil { // published by a foreign client; it must not hide the other records
		s.b.log.Warn("broker: record skipped", "err", err)
		return true
	}
	s.stopped = !s.yield(record, nil)
	return !s.stopped
}

// findReader answers errReaderLost if a temporary consumer is gone.
func (s *scan) findReader(cons jetstream.Consumer) func(context.Context) error {
	return func(c context.Context) error {
		try, stop := s.b.try(c)
		defer stop()
		_, err := s.b.js.Consumer(try, s.stream, cons.CachedInfo().Name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("%w: %w", errReaderLost, err)
		}
		return err
	}
}

// reader creates a consumer in the server's memory that acks nothing and begins at a
// sequence. Its NumPending is the exact number of records, because every subject holds one
// message. On a cluster the answer to a creation can get lost, so it tries again until the
// time of one call is over; the server removes consumers that are not used.
func (b *Broker) reader(
	ctx context.Context, stream, subject string, withData bool, from uint64,
) (jetstream.Consumer, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	for {
		try, stop := b.try(c)
		cons, err := b.js.CreateConsumer(try, stream, jetstream.ConsumerConfig{
			FilterSubject:     subject,
			DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:       from,
			AckPolicy:         jetstream.AckNonePolicy,
			HeadersOnly:       !withData,
			MemoryStorage:     true,
			Replicas:          1,
			InactiveThreshold: 30 * time.Second, // if this process dies, the server removes the consumer
		})
		stop()
		if !b.mayPass(err) || !pause(c) {
			return cons, err
		}
	}
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
