package conform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"itool/broker"
	"itool/schemas"
)

// kinds of junk, each made of a good item whose body is in its message.
var kinds = []struct {
	name string
	make func(m *broker.Message)
}{
	{"a body that is no Arrow", func(m *broker.Message) {
		m.Data = bytes.Repeat([]byte("junk "), 200)
		m.Header["itool-sha256"] = digestOf(m.Data)
	}},
	{"half of a body", func(m *broker.Message) {
		m.Data = m.Data[:len(m.Data)/2]
		m.Header["itool-sha256"] = digestOf(m.Data)
	}},
	{"a body with another digest", func(m *broker.Message) { m.Header["itool-sha256"] = digestOf(nil) }},
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// junk publishes damaged items and a good one behind them.
func junk(ctx context.Context, t *trial) error {
	for i, kind := range kinds {
		m, err := t.inline(ctx, t.w.items[i%len(t.w.items)])
		if err != nil {
			return err
		}
		err = t.put(ctx, func(m *broker.Message) {
			if t.w.spec.Gather || i >= len(t.w.items)-1 { // a place of its own, which no manifest denies
				m.Round += 10 + i
				m.Header["itool-round"] = strconv.Itoa(m.Round)
			}
			kind.make(m)
		}, m)
		if err != nil {
			return err
		}
	}
	good := t.w.items[len(t.w.items)-1]
	if err := t.put(ctx, nil, good); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	bad, last := t.items[:len(kinds)], t.items[len(kinds):]
	t.until(ctx, t.w.Patience, func() bool {
		for _, item := range bad {
			if !t.settled(ctx, item) {
				return !t.program.running()
			}
		}
		return true
	})
	for i, item := range bad {
		t.judgeJunk(ctx, kinds[i].name, item)
	}
	if t.allAnswered(ctx, last) {
		t.found(OK, "the good item behind them has its result")
	}
	return ctx.Err()
}

// settled reports whether it is known what becomes of an item.
func (t *trial) settled(ctx context.Context, item broker.Message) bool {
	return t.has(ctx, failed(item)) || t.answered(ctx, item) || len(t.signals(item, "ack")) > 0
}

func (t *trial) judgeJunk(ctx context.Context, name string, item broker.Message) {
	switch {
	case t.answered(ctx, item):
		t.found(Fail, "%s got a result", name)
	case t.has(ctx, failed(item)):
		if why := t.wrongFailure(ctx, item); why != "" {
			t.found(Fail, "%s was given up by an invalid failure record: %s", name, why)
			return
		}
		t.found(OK, "%s: %s", name, t.became(ctx, item))
	case !t.program.running():
		t.found(Fail, "the program ended at %s", name)
	case len(t.signals(item, "ack")) > 0:
		t.found(Fail, "%s was acked without a failure record: the run would not end", name)
	case len(t.signals(item, "retry")) > 0:
		t.found(Note, "%s was given back %d times in %v, and is not given up yet", name,
			len(t.signals(item, "retry")), t.w.Patience)
	default:
		t.found(Fail, "%s is neither given up nor given back after %v", name, t.w.Patience)
	}
}

// wrongFailure says what is wrong about a failure record.
func (t *trial) wrongFailure(ctx context.Context, item broker.Message) string {
	at := failed(item)
	b, err := t.w.site.Get(ctx, at.Run, at.Record, at.Round, at.Key)
	if err != nil {
		return err.Error()
	}
	rows, err := schemas.Decode[schemas.Failed](b)
	switch {
	case err != nil:
		return err.Error()
	case len(rows) != 1:
		return fmt.Sprintf("%d rows instead of one", len(rows))
	case rows[0].Stage != t.w.Stage || rows[0].Subject != item.Address.String():
		return fmt.Sprintf("it is about stage %q and item %q", rows[0].Stage, rows[0].Subject)
	}
	return ""
}

// inline is an item with its body in the message.
func (t *trial) inline(ctx context.Context, m broker.Message) (broker.Message, error) {
	b, err := t.w.site.Open(ctx, m)
	m.Data, m.Header = b.Body, maps.Clone(m.Header)
	delete(m.Header, "itool-claim")
	delete(m.Header, "itool-size")
	return m, err
}

// missing publishes an item whose body comes into the store later.
func missing(ctx context.Context, t *trial) error {
	m, err := t.inline(ctx, t.w.items[0])
	if err != nil {
		return err
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return err
	}
	packed := enc.EncodeAll(m.Data, nil)
	key := "runs/" + t.name + "/bodies/late.zst"
	err = t.put(ctx, func(m *broker.Message) {
		m.Header["itool-claim"], m.Header["itool-size"] = key, strconv.Itoa(len(m.Data))
		m.Data = nil
	}, m)
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil {
		return err
	}
	item := t.items[0]
	t.until(ctx, t.w.Patience, func() bool {
		return len(t.signals(item, "heartbeat", "retry", "ack")) > 0 || !t.program.running()
	})
	t.until(ctx, t.w.AckWait, func() bool { return t.has(ctx, failed(item)) })
	if t.has(ctx, failed(item)) || len(t.signals(item, "ack")) > 0 {
		t.found(Fail, "an item whose object the store lacks was given up, or acked: wait for the store")
		return nil
	}
	if n := t.attempts(ctx, item); n > 0 {
		t.found(Warn, "an item whose object the store lacks was given back as a failed attempt: "+
			"after five it is given up")
	}
	if _, err := t.w.site.Store.Put(ctx, key, bytes.NewReader(packed), int64(len(packed))); err != nil {
		return err
	}
	if t.allAnswered(ctx, t.items) {
		t.found(OK, "an item whose object came later has its result")
	}
	return ctx.Err()
}

// attempts counts the failed attempts of an item: what was given back without a recorded hand-back.
func (t *trial) attempts(ctx context.Context, item broker.Message) int {
	retries := len(t.signals(item, "retry"))
	if retries == 0 {
		return 0
	}
	n, err := t.w.site.Broker.HandBacks(ctx, t.name, t.w.Stage, item.Sequence)
	if err != nil {
		return retries
	}
	return max(retries-n, 0)
}

// hold publishes one item into a stream without room, starts the program, and waits until it tries to publish
// the result. ok is false if it does not.
func (t *trial) hold(ctx context.Context) (item broker.Message, ok bool, err error) {
	if err := t.put(ctx, nil, t.w.items[0]); err != nil {
		return item, false, err
	}
	item = t.items[0]
	usage, err := t.w.site.Broker.Usage(ctx, t.name)
	if err == nil {
		err = t.w.site.Broker.SetQuota(ctx, t.name, int64(usage.Bytes))
	}
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil {
		return item, false, err
	}
	tried := func() bool { return len(t.published(t.w.answer(item.Address))) > 0 }
	t.until(ctx, t.w.Patience, func() bool { return tried() || t.has(ctx, failed(item)) || !t.program.running() })
	if !tried() && ctx.Err() == nil {
		t.found(Fail, "the item's result was not published: %s", t.became(ctx, item))
	}
	return item, tried(), ctx.Err()
}

// room takes the limit away.
func (t *trial) room(ctx context.Context) error { return t.w.site.Broker.SetQuota(ctx, t.name, 0) }

// full holds the program for some time, in which it must keep its item.
func full(ctx context.Context, t *trial) error {
	item, ok, err := t.hold(ctx)
	if err != nil || !ok {
		return err
	}
	before := len(t.signals(item, "heartbeat"))
	t.until(ctx, 5*t.w.AckWait/2, func() bool { return t.has(ctx, failed(item)) || !t.program.running() })
	beats := len(t.signals(item, "heartbeat")) - before
	switch {
	case !t.program.running():
		t.found(Fail, "the program ended when the stream was full")
	case len(t.signals(item, "retry", "ack")) > 0:
		t.found(Fail, "the item was given back or acked while the stream was full: hold it")
	case beats < 4: // 7 in time
		t.found(Fail, "%d heartbeats in %v, at least every %v is wanted: the item goes to another worker",
			beats, 5*t.w.AckWait/2, t.w.AckWait/3)
	default:
		t.found(OK, "%d heartbeats in %v", beats, 5*t.w.AckWait/2)
	}
	if err := t.room(ctx); err != nil {
		return err
	}
	if !t.allAnswered(ctx, t.items) {
		return ctx.Err()
	}
	t.found(OK, "the result came when there was room")
	return nil
}

// mostToEnd is how long a program may take to end: systems that start workers send SIGKILL later.
const mostToEnd = 15 * time.Second

// terminated tells the program to stop while it has an item.
func terminated(ctx context.Context, t *trial) error {
	item, ok, err := t.hold(ctx)
	if err != nil || !ok {
		return err
	}
	took, ended := t.program.stop(mostToEnd)
	if !ended {
		t.found(Fail, "the program did not end within %v", mostToEnd)
		t.program.kill()
	} else {
		t.found(OK, "the program ended after %.1f s", took.Seconds())
	}
	switch {
	case len(t.signals(item, "retry")) == 0:
		t.found(Warn, "it did not give its item back: that waits for ack_wait, and counts as a failed attempt")
	case t.attempts(ctx, item) > 0:
		t.found(Warn, "it gave its item back without recording the hand-back: that counts as a failed attempt")
	default:
		t.found(OK, "it handed its item back")
	}
	return t.again(ctx, "by the next worker")
}

// killed kills the program while it works: a trainer in the middle of its training.
func killed(ctx context.Context, t *trial) error {
	if err := t.put(ctx, nil, t.w.items[0]); err != nil {
		return err
	}
	if t.w.spec.Gather {
		if err := t.start(ctx); err != nil {
			return err
		}
		t.until(ctx, t.w.Patience, func() bool {
			return t.hasCheckpoint(ctx) || t.answered(ctx, t.items[0]) || !t.program.running()
		})
		if t.hasCheckpoint(ctx) {
			t.found(Note, "killed after its first checkpoint")
		} else {
			t.found(Warn, "it left no checkpoint under runs/<run>/resume/: after a crash the whole round is done again")
		}
	} else {
		t.items = nil
		if _, ok, err := t.hold(ctx); err != nil || !ok {
			return err
		}
	}
	t.program.kill()
	return t.again(ctx, "after a SIGKILL")
}

// again starts the program a second time: it must finish the item.
func (t *trial) again(ctx context.Context, how string) error {
	if err := t.room(ctx); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	if !t.allAnswered(ctx, t.items) {
		return ctx.Err()
	}
	t.sameAsFirst(ctx, t.items, how)
	return nil
}

func (t *trial) hasCheckpoint(ctx context.Context) bool {
	for _, err := range t.w.site.Store.List(ctx, "runs/"+t.name+"/resume/") {
		return err == nil
	}
	return false
}
