package broker

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PullOptions are a stage's settings at the server. Two workers that ask for
// different ones get the larger, so neither can hurt the other.
type PullOptions struct {
	AckWait       time.Duration // an item without a heartbeat for so long comes back; default 60 s
	MaxAckPending int           // items in work at once, over all workers; default 8192; ≥ 2 × workers × slots
}

// Puller takes one stage's items from one run; many goroutines may use it at once.
type Puller struct {
	b          *Broker
	run, stage string
	filters    []string // subjects
	options    PullOptions
}

// Pull opens a stage's queue in a run and makes it if need be; the keeper calls it too,
// so that there is a depth to scale on before the first worker comes. filters are
// "record.round.key", each part perhaps "*", and may not overlap. Filters replace those
// of an earlier Pull, but what has been delivered is not delivered again for that.
func (b *Broker) Pull(ctx context.Context, run, stage string, filters []string, o PullOptions) (*Puller, error) {
	if err := validToken("run", run); err != nil {
		return nil, err
	}
	if err := validToken("stage", stage); err != nil {
		return nil, err
	}
	if len(filters) == 0 {
		return nil, fmt.Errorf("broker: pull %s of run %s: no filters: nothing would wake it", stage, run)
	}
	if o.AckWait <= 0 {
		o.AckWait = time.Minute
	}
	if o.MaxAckPending <= 0 {
		o.MaxAckPending = 8192
	}
	p := &Puller{b: b, run: run, stage: stage, options: o}
	for _, f := range filters {
		s, err := filterSubject(run, f)
		if err != nil {
			return nil, err
		}
		p.filters = append(p.filters, s)
	}
	sort.Strings(p.filters)
	return p, p.ensure(ctx)
}

// AckWait is how long an item may go without a heartbeat: beat three times as often.
func (p *Puller) AckWait() time.Duration { return p.options.AckWait }

func (p *Puller) op() string { return "pull " + p.stage + " of run " + p.run }

// ensure makes the durable consumer, or widens the one that is there.
func (p *Puller) ensure(ctx context.Context) error {
	stream := streamRun + p.run
	want := jetstream.ConsumerConfig{
		Durable:        p.stage,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        p.options.AckWait,
		MaxDeliver:     -1, // the worker counts: a server that gives up leaves no trace
		MaxAckPending:  p.options.MaxAckPending,
		MaxWaiting:     4096,
		FilterSubjects: p.filters,
	}
	write := func(c context.Context) (jetstream.Consumer, error) {
		return p.b.js.CreateOrUpdateConsumer(c, stream, want)
	}
	_, err := openOrCreate(ctx, p.b, jetstream.ErrConsumerNotFound, func(c context.Context) (jetstream.Consumer, error) {
		cons, err := p.b.js.Consumer(c, stream, p.stage)
		if err == nil && p.widen(&want, cons.CachedInfo().Config) {
			return write(c)
		}
		return cons, err
	}, write)
	return p.b.explain(ctx, p.op(), err)
}

// widen says whether the consumer that is there must change. An AckWait never shrinks:
// who heartbeats slowly, trusting the longer one, would lose its items.
func (p *Puller) widen(want *jetstream.ConsumerConfig, have jetstream.ConsumerConfig) bool {
	want.AckWait = max(want.AckWait, have.AckWait)
	want.MaxAckPending = max(want.MaxAckPending, have.MaxAckPending)
	old := append([]string(nil), have.FilterSubjects...)
	if have.FilterSubject != "" {
		old = append(old, have.FilterSubject)
	}
	sort.Strings(old)
	return want.AckWait != have.AckWait || want.MaxAckPending != have.MaxAckPending ||
		strings.Join(old, " ") != strings.Join(want.FilterSubjects, " ")
}

// Next takes one item, or says at once that there is none (ErrEmpty). It never takes
// more than the one it returns. The caller must settle it: Ack, Retry or HandBack.
func (p *Puller) Next(ctx context.Context) (*Delivery, error) {
	m, err := p.pull(ctx)
	if err != nil {
		return nil, err
	}
	switch status := m.Header.Get("Status"); {
	case m.Reply != "": // an item: it can be acked
	case status == "404", status == "408":
		return nil, ErrEmpty
	case status == "409" && strings.Contains(m.Header.Get("Description"), "Exceeded MaxWaiting"):
		return nil, ErrEmpty
	case status == "503", status == "409" && strings.Contains(m.Header.Get("Description"), "Consumer"):
		return nil, p.reopen(ctx)
	default:
		return nil, fmt.Errorf("broker: %s: %w: the server says %s %s", p.op(), ErrUnavailable, status, m.Header.Get("Description"))
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", p.op(), err)
	}
	d := &Delivery{p: p, reply: m.Reply, delivered: int(meta.NumDelivered)}
	d.Message, err = message(m.Subject, m.Header, m.Data, meta.Sequence.Stream)
	if err != nil {
		return nil, p.dropItem(m, err)
	}
	return d, nil
}

// dropItem ends an item whose subject is not ours to understand: a foreign client can
// publish one, and it would come back for ever.
func (p *Puller) dropItem(m *nats.Msg, why error) error {
	p.b.log.Warn("broker: item dropped", "stage", p.stage, "err", why)
	if err := p.b.nc.Publish(m.Reply, []byte("+TERM not a record's subject")); err != nil {
		p.b.log.Warn("broker: item not dropped, it comes again", "err", err)
	}
	return ErrEmpty
}

// A consumer with items but with MaxAckPending in work does not answer at all.
const saturatedWait = time.Second

// pull asks for one message on an inbox of its own. A shared inbox would not do: when
// we stop waiting, the server must see that nobody listens, or it would deliver an item
// to nobody, and that would count as a failed attempt.
func (p *Puller) pull(ctx context.Context) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	nc := p.b.nc
	inbox := nc.NewInbox()
	replies := make(chan *nats.Msg, 4)
	sub, err := nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	err = nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+streamRun+p.run+"."+p.stage, inbox, []byte(`{"batch":1,"no_wait":true}`))
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, p.b.explain(ctx, p.op(), err)
	}
	timer := time.NewTimer(min(saturatedWait, p.b.timeout))
	defer timer.Stop()
	select {
	case m := <-replies:
		_ = sub.Unsubscribe()
		return m, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.stopWaiting(ctx, sub, replies)
}

// stopWaiting stops listening without losing a message that is already on its way: the
// drained subscription stays alive here until the server has confirmed its end.
func (p *Puller) stopWaiting(ctx context.Context, sub *nats.Subscription, replies chan *nats.Msg) (*nats.Msg, error) {
	closed := make(chan struct{})
	// When the connection closes meanwhile, the client calls the handler twice.
	end := sync.OnceFunc(func() { close(closed) })
	sub.SetClosedHandler(func(string) { end() })
	if err := sub.Drain(); err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	timer := time.NewTimer(p.b.timeout)
	defer timer.Stop()
	select {
	case m := <-replies:
		return m, nil
	case <-timer.C:
		return nil, p.b.explain(ctx, p.op(), errNoAnswer)
	case <-closed:
	}
	select {
	case m := <-replies:
		return m, nil
	default:
	}
	if ctx.Err() != nil {
		return nil, p.b.explain(ctx, p.op(), ctx.Err())
	}
	if !p.b.nc.IsConnected() {
		return nil, p.b.explain(ctx, p.op(), nats.ErrDisconnected)
	}
	return nil, ErrEmpty
}

// reopen: nobody serves this queue. Either the run was deleted, or the queue alone,
// and then it is made again.
func (p *Puller) reopen(ctx context.Context) error {
	if err := p.ensure(ctx); err != nil {
		return err
	}
	return ErrEmpty
}

// Depth says how many items wait and how many are in work; their sum is what is left
// to do, items on their way back included. ErrNoStage before the first Pull.
func (b *Broker) Depth(ctx context.Context, run, stage string) (pending, inFlight int, err error) {
	if err := validToken("run", run); err != nil {
		return 0, 0, err
	}
	if err := validToken("stage", stage); err != nil {
		return 0, 0, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	cons, err := b.js.Consumer(c, streamRun+run, stage)
	if err != nil {
		return 0, 0, b.explain(ctx, "depth of "+stage+" in run "+run, err)
	}
	i := cons.CachedInfo()
	return int(i.NumPending), i.NumAckPending, nil
}
