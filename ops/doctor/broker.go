package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/broker"
)

// Bounds beyond which a finding has a remedy.
const (
	slowAnswer   = 3 * time.Second
	minMessage   = 1 << 20   // bytes; batches of up to 256 KiB travel inside messages
	minFree      = 1 << 30   // bytes of an account's room for streams
	minInWork    = 1024      // items in work at once
	minStreams   = 2         // streams that can still be made
	ownRun       = "doctor-" // how the names of runs begin that a doctor makes for a moment
	maxClockSkew = 30 * time.Second
	catchUp      = 10 * time.Second // a copy that is behind for longer will not be current by itself
)

// Broker checks the broker that connect opens: that it answers, how fast, its version, the size
// of messages, the limits of JetStream, the clock, where the copies of streams are, and that this
// user may do all that keepers and workers do. address is shown only.
func Broker(ctx context.Context, address string, connect func() (*broker.Broker, error)) []Finding {
	start := time.Now()
	b, err := connect()
	if err != nil {
		return []Finding{{What: "broker", Found: err.Error(), Remedy: "start it, or correct the address or the login"}}
	}
	defer b.Close()
	answers, ok := answer(ctx, b, address, start)
	if !ok {
		return []Finding{answers}
	}
	return []Finding{
		answers, messages(b), limits(ctx, b), rights(ctx, b), copies(ctx, b), brokerClock(ctx, b),
	}
}

func answer(ctx context.Context, b *broker.Broker, address string, start time.Time) (f Finding, ok bool) {
	f.What = "broker"
	runs, err := b.Runs(ctx)
	if err != nil {
		f.Found = err.Error()
		f.Remedy = "the server must have JetStream enabled, and this user must be allowed to use it"
		if errors.Is(err, broker.ErrUnavailable) {
			f.Remedy += "; of a cluster, most servers must be up"
		}
		return f, false
	}
	took, s := time.Since(start), b.Server()
	f.Found = fmt.Sprintf("%s answers in %s, NATS %s, %d runs", address, took.Round(time.Millisecond), s.Version,
		len(runs))
	if s.Cluster != "" {
		f.Found += fmt.Sprintf("; node %s of cluster %s", s.Name, s.Cluster)
	}
	if took > slowAnswer {
		f.Remedy = "it is slow: workers need --ack-wait well above three times this"
	}
	return f, true
}

func messages(b *broker.Broker) Finding {
	f := Finding{What: "messages", Found: "up to " + size(uint64(b.MaxMessageBytes()))}
	if b.MaxMessageBytes() < minMessage {
		f.Remedy = "batches of up to 256 KiB travel inside messages: set max_payload to 8MB at the server"
	}
	return f
}

// limits checks that there is room for another run.
func limits(ctx context.Context, b *broker.Broker) Finding {
	f := Finding{What: "limits"}
	l, err := b.Limits(ctx)
	if err != nil {
		f.Found, f.Remedy = err.Error(), "this user must be allowed to publish to $JS.API.INFO"
		return f
	}
	f.Found = fmt.Sprintf("%s%s in %s streams, %s consumers", size(uint64(l.Bytes)), ofBytes(l.MaxBytes),
		of(l.Streams, l.MaxStreams), of(l.Consumers, l.MaxConsumers))
	switch {
	case l.MaxBytes > 0 && l.MaxBytes-l.Bytes < minFree:
		f.Remedy = "there is hardly room for another run: delete runs, or raise max_file of the server or the account"
	case l.MaxStreams > 0 && l.MaxStreams-l.Streams < minStreams:
		f.Remedy = "every run is a stream, and hardly one more is allowed: delete runs, or raise max_streams of " +
			"the account"
	case l.MaxConsumers > 0 && l.MaxConsumers < 16:
		f.Remedy = "every stage of a run is a consumer of its stream: raise max_consumers of the account to 16"
	case l.MaxStreamBytes > 0 && l.MaxStreamBytes < minFree:
		f.Remedy = fmt.Sprintf("a stream may have %s: publish with line.stream_max_bytes below that, or raise it",
			size(uint64(l.MaxStreamBytes)))
	case l.MaxAckPending > 0 && l.MaxAckPending < minInWork:
		f.Remedy = fmt.Sprintf("only %d items of a stage can be in work at once: raise max_ack_pending of the account",
			l.MaxAckPending)
	}
	return f
}

func of(n, most int) string {
	if most <= 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d of %d", n, most)
}

func ofBytes(most int64) string {
	if most <= 0 {
		return ""
	}
	return " of " + size(uint64(most))
}

// copies checks that streams have the copies that are wanted, and that those are current.
func copies(ctx context.Context, b *broker.Broker) Finding {
	f := Finding{What: "copies"}
	all, err := settledCopies(ctx, b)
	switch {
	case errors.Is(err, broker.ErrUnavailable):
		f.Found, f.Remedy = err.Error(), "the servers are busy, or a leader is being elected: try again"
		return f
	case err != nil:
		f.Found, f.Remedy = err.Error(), "this user must be allowed to list streams"
		return f
	}
	least, behind, few := 0, []string{}, []string{}
	for _, s := range all {
		if least == 0 || s.Wanted < least {
			least = s.Wanted
		}
		if s.Behind > 0 {
			behind = append(behind, s.Stream)
		}
		if s.Wanted < max(b.Replicas(), 2) {
			few = append(few, s.Stream)
		}
	}
	f.Found = fmt.Sprintf("%d streams, each on %d servers or more", len(all), least)
	if len(all) == 0 {
		f.Found = "no streams yet"
	}
	switch {
	case len(behind) > 0:
		f.Remedy = fmt.Sprintf("not all copies of %s are current: start the servers that are down, and wait",
			some(behind))
	case len(few) > 0 && b.Server().Cluster != "":
		f.Remedy = fmt.Sprintf("%s would be lost with a server, or stand still: start `itool work keeper` with "+
			"--stream-replicas 3, which raises them", some(few))
	}
	return f
}

// settledCopies are the copies of streams, but of those of other doctors, who are just at work. While records arrive, a
// copy lacks the newest for a moment: it counts as behind if it stays so.
func settledCopies(ctx context.Context, b *broker.Broker) ([]broker.Copies, error) {
	for deadline := time.Now().Add(catchUp); ; time.Sleep(200 * time.Millisecond) {
		all, err := b.Copies(ctx)
		all = slices.DeleteFunc(all, func(s broker.Copies) bool { return strings.HasPrefix(s.Stream, "RUN_"+ownRun) })
		behind := slices.ContainsFunc(all, func(s broker.Copies) bool { return s.Behind > 0 })
		if err != nil || !behind || ctx.Err() != nil || time.Now().After(deadline) {
			return all, err
		}
	}
}

// some lists the first few names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// rights does in a run of its own what keepers and workers do.
func rights(ctx context.Context, b *broker.Broker) Finding {
	f := Finding{What: "rights", Found: "make runs, publish, take items, ack, list, announce, hold leases"}
	run := ownRun + strings.ToLower(rand.Text())
	var d *broker.Delivery
	at := broker.Address{Run: run, Record: "task", Key: "k"}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"make a run", func() error { return b.CreateRun(ctx, run, 1<<20) }},
		{"publish a record", func() error { return publish(ctx, b, at) }},
		{"read a record", func() error { _, err := b.Get(ctx, at); return err }},
		{"list records", func() error { _, err := b.Keys(ctx, run, at.Record, at.Round); return err }},
		{"take an item", func() (err error) { d, err = take(ctx, b, run); return err }},
		{"keep an item by heartbeats", func() error { return d.Heartbeat(ctx) }},
		{"ack an item", func() error { return d.Ack(ctx) }},
		{"announce", func() error { return b.Announce(ctx, broker.Hint, run, nil) }},
		{"hold a lease", func() error { return hold(ctx, b, run) }},
		{"delete a run", func() error { return b.DeleteRun(ctx, run) }},
	} {
		if err := step.do(); err != nil {
			_ = b.DeleteRun(context.WithoutCancel(ctx), run) // it may not exist
			f.Found, f.Remedy = fmt.Sprintf("cannot %s: %v", step.what, err), rightsRemedy(err)
			return f
		}
	}
	return f
}

// publish waits until the node of a cluster that we are connected to has heard of the run.
func publish(ctx context.Context, b *broker.Broker, at broker.Address) error {
	for deadline := time.Now().Add(slowAnswer); ; time.Sleep(20 * time.Millisecond) {
		_, err := b.Publish(ctx, at, nil, []byte("x"))
		if !errors.Is(err, broker.ErrNoRun) || time.Now().After(deadline) {
			return err
		}
	}
}

func take(ctx context.Context, b *broker.Broker, run string) (*broker.Delivery, error) {
	p, err := b.Pull(ctx, run, "doctor", []string{"task.*.*"}, broker.PullOptions{})
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(slowAnswer); ; time.Sleep(20 * time.Millisecond) {
		// On a cluster the queue is empty until the node that we are connected to has heard of it.
		d, err := p.Next(ctx)
		if !errors.Is(err, broker.ErrEmpty) || time.Now().After(deadline) {
			return d, err
		}
	}
}

func hold(ctx context.Context, b *broker.Broker, run string) error {
	l, err := b.Acquire(ctx, run, "doctor", slowAnswer)
	if err != nil {
		return err
	}
	return errors.Join(l.Renew(ctx), l.Release(ctx))
}

func rightsRemedy(err error) string {
	switch {
	case errors.Is(err, broker.ErrReplicas):
		return "the error says what to do"
	case errors.Is(err, broker.ErrFull):
		return "delete runs, or raise the limits of the server or of this user's account"
	case errors.Is(err, broker.ErrDenied):
		return "allow this user what the error names. A user who may not make runs can still be that of a worker " +
			"of a stage: keepers and publishers need it"
	case errors.Is(err, broker.ErrUnavailable):
		return "start the other servers of the cluster, and try again: without most of them nothing is stored"
	}
	return "correct the server's configuration"
}

func brokerClock(ctx context.Context, b *broker.Broker) Finding {
	ahead, within, err := b.ClockSkew(ctx)
	return clock("clock", "the broker", ahead, within, err)
}

// clock says how far a server's clock is from this machine's.
func clock(what, server string, ahead, within time.Duration, err error) Finding {
	f := Finding{What: what}
	if err != nil {
		f.Found, f.Remedy = err.Error(), "without the server's clock its difference to this machine's is unknown"
		return f
	}
	f.Found = fmt.Sprintf("that of %s differs from this machine's by %s ± %s", server,
		ahead.Abs().Round(time.Millisecond), within.Round(time.Millisecond))
	if ahead.Abs()-within > maxClockSkew {
		f.Remedy = "set both by NTP: logins and certificates have a time, and stores refuse requests with another one"
	}
	return f
}
