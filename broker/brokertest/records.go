package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"itool/broker"
)

func writeOnce(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	a := address("r", "pair", -1, "k")
	for i, want := range []bool{true, false, false} {
		stored, err := b.Publish(ctx, a, nil, []byte{byte('a' + i)})
		if err != nil || stored != want {
			t.Fatalf("publish %d: got %v, %v, want %v", i, stored, err, want)
		}
	}
	m, err := b.Get(ctx, a)
	if err != nil || string(m.Data) != "a" {
		t.Fatalf("get: %q, %v, want the data of the first publish", m.Data, err)
	}
}

// removal: only the record that was meant goes, also if two remove it, and a list can begin behind it.
func removal(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	a := address("r", "pair", 0, "k")
	for i, text := range []string{"junk", "right"} {
		if stored, err := b.Publish(ctx, a, nil, []byte(text)); err != nil || !stored {
			t.Fatalf("publish %q: %v, %v", text, stored, err)
		}
		m, err := b.Get(ctx, a)
		if err != nil || string(m.Data) != text {
			t.Fatalf("get: %q, %v", m.Data, err)
		}
		if i == 1 {
			break
		}
		for range 2 {
			check(t, b.Remove(ctx, a, m.Sequence))
		}
		if _, err := b.Get(ctx, a); !errors.Is(err, broker.ErrNotExist) {
			t.Fatalf("get after the removal: %v", err)
		}
	}
	check(t, b.Remove(ctx, a, 1)) // the first record, which is gone
	m, err := b.Get(ctx, a)
	if err != nil || string(m.Data) != "right" {
		t.Fatalf("get: %q, %v, want the second record", m.Data, err)
	}
	if _, err := b.Publish(ctx, address("r", "pair", 0, "l"), nil, nil); err != nil {
		t.Fatal(err)
	}
	var behind []string
	for l, err := range b.ListAfter(ctx, "r", "pair.0.*", m.Sequence) {
		check(t, err)
		behind = append(behind, l.Key)
	}
	if !slices.Equal(behind, []string{"l"}) {
		t.Errorf("behind the second record: %v, want l", behind)
	}
}

func writeOnceRace(t *testing.T, s Server) {
	ctx := testContext(t)
	const writers, keys = 8, 25
	check(t, s.Connect(t).CreateRun(ctx, "r", 0))
	var wins [keys]atomic.Int32   // how many writers were told that their record is stored
	var winner [keys]atomic.Int32 // the last of them
	var wg sync.WaitGroup
	for w := range writers {
		b := s.Connect(t)
		wg.Go(func() {
			for k := range keys {
				stored, err := b.Publish(ctx, address("r", "pair", 0, fmt.Sprint(k)), nil, []byte{byte(w)})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				if stored {
					wins[k].Add(1)
					winner[k].Store(int32(w))
				}
			}
		})
	}
	wg.Wait()
	b := s.Connect(t)
	for k := range keys {
		m, err := b.Get(ctx, address("r", "pair", 0, fmt.Sprint(k)))
		check(t, err)
		if n := wins[k].Load(); n != 1 || int32(m.Data[0]) != winner[k].Load() {
			t.Errorf("key %d: %d writers were told that they stored it, the last was writer %d, but writer %d did",
				k, n, winner[k].Load(), m.Data[0])
		}
	}
}

func writeOnceRestart(t *testing.T, s Server) {
	requireRestart(t, s)
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 5)
	s.Restart(t)
	for i := range 5 {
		a := address("r", "task", 0, fmt.Sprintf("k%03d", i))
		poll(t, "the server", func(ctx context.Context) error {
			stored, err := b.Publish(ctx, a, nil, []byte("other"))
			if stored {
				t.Errorf("%s was stored twice", a)
			}
			return err
		})
		if m, err := b.Get(ctx, a); err != nil || string(m.Data) != a.Key {
			t.Errorf("%s: %q, %v", a, m.Data, err)
		}
	}
}

func roundTrip(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	for _, c := range []struct {
		name   string
		at     broker.Address
		header map[string]string
		data   []byte
	}{
		{"empty", address("r", "a", 0, "k"), nil, nil},
		{"round −1", address("r", "a", -1, "k"), nil, []byte("x")},
		{"big round", address("r", "a", 1<<30, "k"), nil, []byte("x")},
		{"longest key", address("r", "a", 0, strings.Repeat("k", broker.MaxName)), nil, []byte("x")},
		{"headers keep their case", address("r", "b", 0, "k"), map[string]string{
			"itool-seed": "7", "traceparent": "00-4b-00", "Mixed": "é: ü",
		}, []byte("x")},
		{"empty header", address("r", "b", 1, "k"), map[string]string{"itool-policy": ""}, nil},
		{"every byte", address("r", "c", 0, "k"), nil, everyByte()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if has, err := b.Has(ctx, c.at); has || err != nil {
				t.Fatalf("has before: %v, %v", has, err)
			}
			_, err := b.Get(ctx, c.at)
			wantErr(t, "get before", err, broker.ErrNotExist)
			_, err = b.Publish(ctx, c.at, c.header, c.data)
			check(t, err)
			if has, err := b.Has(ctx, c.at); !has || err != nil {
				t.Fatalf("has after: %v, %v", has, err)
			}
			m, err := b.Get(ctx, c.at)
			check(t, err)
			if m.Address != c.at || !maps.Equal(m.Header, c.header) || !bytes.Equal(m.Data, c.data) ||
				m.Sequence == 0 || m.Time.IsZero() {
				t.Errorf("got %+v, want %+v", m, c)
			}
		})
	}
}

func everyByte() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func badNames(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	good := address("r", "task", 0, "k")
	tooLong := strings.Repeat("x", broker.MaxName+1)
	for _, name := range []string{"", "a.b", "*", ">", "a b", "é", "a\n", "a/b", tooLong} {
		t.Run(fmt.Sprintf("%.12q", name), func(t *testing.T) {
			run, record, key := good, good, good
			run.Run, record.Record, key.Key = name, name, name
			for _, a := range []broker.Address{run, record, key} {
				_, err := b.Publish(ctx, a, nil, nil)
				wantErr(t, "publish "+a.String(), err, broker.ErrBadName)
				_, err = b.Get(ctx, a)
				wantErr(t, "get "+a.String(), err, broker.ErrBadName)
			}
			wantErr(t, "create run", b.CreateRun(ctx, name, 0), broker.ErrBadName)
			wantErr(t, "delete run", b.DeleteRun(ctx, name), broker.ErrBadName)
			wantErr(t, "start", b.Start(ctx, name, nil, nil), broker.ErrBadName)
			_, err := b.Pull(ctx, "r", name, []string{"task.0.*"}, broker.PullOptions{})
			wantErr(t, "pull", err, broker.ErrBadName)
			_, _, err = b.Depth(ctx, "r", name)
			wantErr(t, "depth", err, broker.ErrBadName)
			_, err = b.Acquire(ctx, name+".", "me", maxWait)
			wantErr(t, "acquire", err, broker.ErrBadName)
		})
	}
	for _, filter := range []string{
		"", "task", "task.0", "task.x.*", "task.01.*", "task.-2.*", "task.*.>", "task.0.k.l", "ta*.0.k",
	} {
		_, err := b.Pull(ctx, "r", "work", []string{filter}, broker.PullOptions{})
		wantErr(t, "pull "+filter, err, broker.ErrBadName)
		_, err = b.Count(ctx, "r", filter)
		wantErr(t, "count "+filter, err, broker.ErrBadName)
	}
	low := good
	low.Round = -2
	_, err := b.Publish(ctx, low, nil, nil)
	wantErr(t, "round -2", err, broker.ErrBadName)
	for _, h := range []map[string]string{
		{"a b": "x"}, {"": "x"}, {"Nats-TTL": "1s"}, {"nats-rollup": "all"}, {"Status": "404"},
		{"a": "b\r\nc"}, {"a": " b"},
	} {
		if _, err := b.Publish(ctx, good, h, nil); err == nil {
			t.Errorf("header %q was accepted", h)
		}
	}
	if n, err := b.Count(ctx, "r", "*.*.*"); n != 0 || err != nil {
		t.Errorf("after the refused calls: %d records, %v, want none", n, err)
	}
}

func listing(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	const n = 2100 // more than a list reads in one batch
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("%05d", (i*7919)%n)
	}
	publishTasks(t, b, "r", want)
	publish(t, b, address("r", "task", -1, "before"))
	publish(t, b, address("r", "tas", 0, "other"))
	slices.Sort(want)
	poll(t, "all keys on every replica", func(ctx context.Context) error {
		keys, err := b.Keys(ctx, "r", "task", 0)
		if err == nil && len(keys) < n {
			return broker.ErrUnavailable
		}
		if err == nil && !slices.Equal(keys, want) {
			t.Errorf("got %d keys, want the %d published ones, sorted", len(keys), n)
		}
		return err
	})
	for filter, want := range map[string]int{
		"task.0.*": n, "task.-1.*": 1, "task.*.*": n + 1, "*.*.*": n + 2, "task.5.*": 0, "*.0.00007": 1,
	} {
		got, err := b.Count(ctx, "r", filter)
		if err != nil || got != want {
			t.Errorf("count %s: got %d, %v, want %d", filter, got, err, want)
		}
		listed := 0
		for m, err := range b.List(ctx, "r", filter) {
			check(t, err)
			listed++
			key := m.Header["itool-key"]
			if m.Sequence == 0 || m.Time.IsZero() || len(m.Data) > 0 || m.Run != "r" || key != "" && key != m.Key {
				t.Fatalf("listed %+v", m)
			}
		}
		if listed != want {
			t.Errorf("list %s: got %d, want %d", filter, listed, want)
		}
	}
	for range b.List(ctx, "r", "*.*.*") {
		break // leaving early is allowed
	}
	if keys, err := b.Keys(ctx, "r", "none", 0); err != nil || keys == nil || len(keys) != 0 {
		t.Errorf("keys of a record without entries: %v, %v, want an empty list", keys, err)
	}
	_, err := b.Keys(ctx, "nowhere", "task", 0)
	wantErr(t, "keys of a run that does not exist", err, broker.ErrNoRun)
	_, err = b.Count(ctx, "nowhere", "task.0.*")
	wantErr(t, "count in a run that does not exist", err, broker.ErrNoRun)
}

// publishTasks publishes one task per key, 64 at a time: one by one the round trips would take seconds.
func publishTasks(t *testing.T, b *broker.Broker, run string, keys []string) {
	t.Helper()
	ctx := testContext(t)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < len(keys); i += 64 {
				header := map[string]string{"itool-key": keys[i]}
				stored, err := b.Publish(ctx, address(run, "task", 0, keys[i]), header, []byte(keys[i]))
				if err != nil || !stored {
					t.Errorf("publish task %s: stored %v, %v", keys[i], stored, err)
				}
			}
		})
	}
	wg.Wait()
}

func runs(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	if list, err := b.Runs(ctx); err != nil || len(list) != 0 {
		t.Fatalf("runs of an empty server: %v, %v, want none", list, err)
	}
	check(t, checkStarted(ctx, b, nil))
	for _, r := range []string{"r2", "r1", "r2"} { // the second time changes nothing
		check(t, b.CreateRun(ctx, r, 1<<20))
		check(t, b.Start(ctx, r, map[string]string{"itool-run": r}, []byte("config of "+r)))
	}
	wantErr(t, "start with other bytes", b.Start(ctx, "r1", nil, []byte("other")), broker.ErrExists)
	list, err := b.Runs(ctx)
	if err != nil || !slices.Equal(list, []string{"r1", "r2"}) {
		t.Fatalf("runs: %v, %v", list, err)
	}
	check(t, checkStarted(ctx, b, []string{"r2", "r1"}))
	publish(t, b, address("r1", "task", 0, "k"))
	check(t, b.SetQuota(ctx, "r1", 2<<20))
	u, err := b.Usage(ctx, "r1")
	if err != nil || u.Messages != 1 || u.Bytes == 0 || u.QuotaBytes != 2<<20 {
		t.Errorf("usage: %+v, %v", u, err)
	}
	_, err = b.Usage(ctx, "r3")
	wantErr(t, "usage of a run that does not exist", err, broker.ErrNoRun)
	check(t, b.DeleteRun(ctx, "r2"))
	check(t, b.DeleteRun(ctx, "r2"))
	check(t, checkStarted(ctx, b, []string{"r1"}))
}

func checkStarted(ctx context.Context, b *broker.Broker, want []string) error {
	var got []string
	for m, err := range b.Started(ctx) {
		if err != nil {
			return err
		}
		if string(m.Data) != "config of "+m.Run || m.Header["itool-run"] != m.Run {
			return fmt.Errorf("started: %+v", m)
		}
		got = append(got, m.Run)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("started: got %v, want %v", got, want)
	}
	return nil
}

func deletedRun(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	a := address("r", "task", 0, "late")
	_, err := b.Publish(ctx, a, nil, nil)
	wantErr(t, "publish before the run exists", err, broker.ErrNoRun)
	createTasks(t, b, "r", 1)
	p := openQueue(t, b, "r", maxWait)
	check(t, nextItem(t, p).HandBack(ctx))
	d := nextItem(t, p)
	check(t, b.DeleteRun(ctx, "r"))
	for range 2 {
		_, err = b.Publish(ctx, a, nil, nil)
		wantErr(t, "publish", err, broker.ErrNoRun)
	}
	_, err = b.Get(ctx, a)
	wantErr(t, "get", err, broker.ErrNoRun)
	for err = broker.ErrEmpty; errors.Is(err, broker.ErrEmpty); { // on a cluster it hears of it a moment later
		_, err = p.Next(ctx)
	}
	wantErr(t, "next", err, broker.ErrNoRun)
	wantErr(t, "ack", d.Ack(ctx), broker.ErrNoRun)
	wantErr(t, "heartbeat", d.Heartbeat(ctx), broker.ErrNoRun)
	_, err = b.Pull(ctx, "r", "work", []string{"task.0.*"}, broker.PullOptions{})
	wantErr(t, "pull", err, broker.ErrNoRun)
	_, _, err = b.Depth(ctx, "r", "work")
	wantErr(t, "depth", err, broker.ErrNoRun)
	// The name may be used again; the hand-backs of the deleted run do not count any more.
	createTasks(t, b, "r", 1)
	p = openQueue(t, b, "r", maxWait)
	check(t, nextItem(t, p).Retry(ctx, 0))
	wantAttempts(t, nextItem(t, p), 1)
}

func fullStream(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 64<<10))
	data := make([]byte, 5000)
	var stored []string
	for i := range 20 {
		k := fmt.Sprintf("k%03d", i)
		isNew, err := b.Publish(ctx, address("r", "task", 0, k), nil, data)
		if errors.Is(err, broker.ErrFull) {
			break
		}
		if err != nil || !isNew {
			t.Fatalf("publish %d: %v, %v", i, isNew, err)
		}
		stored = append(stored, k)
	}
	if len(stored) == 0 || len(stored) == 20 {
		t.Fatalf("%d of 20 messages fit into the quota, want some and not all", len(stored))
	}
	_, err := b.Publish(ctx, address("r", "task", 0, "new"), nil, data)
	wantErr(t, "publish when full", err, broker.ErrFull)
	if isNew, err := b.Publish(ctx, address("r", "task", 0, stored[0]), nil, data); isNew || err != nil {
		t.Errorf("publish an existing record when full: %v, %v, want not stored and no error", isNew, err)
	}
	if keys, err := b.Keys(ctx, "r", "task", 0); err != nil || !slices.Equal(keys, stored) {
		t.Errorf("keys: %v, %v, want %v", keys, err, stored)
	}
	check(t, b.SetQuota(ctx, "r", 1<<20))
	publish(t, b, address("r", "task", 0, "new"))
}

func messageTooLarge(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	_, err := b.Publish(ctx, address("r", "task", 0, "k"), nil, make([]byte, b.MaxMessageBytes()+1))
	wantErr(t, "publish", err, broker.ErrTooLarge)
	publish(t, b, address("r", "task", 0, "k"))
}
