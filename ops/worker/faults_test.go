package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage/checkpoint"
)

// overNetwork puts a flaky store in front of the folder of the world.
func (w *world) overNetwork() *flaky {
	f := &flaky{store: w.c.Store}
	w.c.Store = f
	return f
}

// file writes one file of a checkpoint.
func file(name, text string) func(stages.Create) error {
	return func(create stages.Create) error {
		f, err := create(name)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, text); err != nil {
			return err
		}
		return f.Close()
	}
}

// base stores a policy and returns its digest.
func (w *world) base() string {
	w.t.Helper()
	m, err := checkpoint.Write(w.t.Context(), w.c.Store, courier.Checkpoints, nil, file("weights", "base"))
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Digest()
}

func putUnder[R schemas.Record](w *world, policy, record string, round int, key string, rows []R) {
	w.t.Helper()
	h := schemas.Header{Run: run, Round: round, Key: key, Seed: 7, Config: "cfg", Policy: policy}
	b, err := schemas.Encode(h, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.c.Publish(w.t.Context(), record, b, nil); err != nil {
		w.t.Fatal(err)
	}
}

// noFailures checks that no item was given up.
func (w *world) noFailures() {
	w.t.Helper()
	if n, err := w.c.Broker.Count(w.t.Context(), run, "failed.*.*"); err != nil || n != 0 {
		w.t.Errorf("%d failure records, %v; want none", n, err)
	}
}

func TestAStoreThatDoesNotAnswerIsNoFailedAttempt(t *testing.T) {
	t.Parallel()
	write := file("adapter", "trained")
	for name, c := range map[string]struct {
		do   func(ctx context.Context, in stages.Input, out stages.Output) error
		once bool // the stage must not run a second time
	}{
		"opening the policy": {do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			_, err := fs.ReadFile(in.Policy, "weights")
			return err
		}},
		"a stage that hides the error": {do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			if _, err := fs.ReadFile(in.Policy, "weights"); err != nil {
				return stages.Reject(fmt.Errorf("weights: %v", err))
			}
			return nil
		}},
		"the dataset": {do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			r, err := in.Dataset("datasets/d")
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		}},
		"a checkpoint": {once: true, do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			return out.Checkpoint(ctx, 1, write)
		}},
		"the policy's end": {once: true, do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			_, err := out.Save(ctx, write)
			return err
		}},
		"an attachment": {once: true, do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			return out.Attach(ctx, "tree", bytes.NewReader([]byte("whole")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.c.Store.Put(t.Context(), "datasets/d", strings.NewReader("data"), -1); err != nil {
				t.Fatal(err)
			}
			policy := w.base()
			store := w.overNetwork()
			spec := perItem
			spec.NoPolicy = false
			var calls atomic.Int64
			w.start(1, doer{spec, func(ctx context.Context, in stages.Input, out stages.Output) error {
				if calls.Add(1) == 1 {
					store.fail.Store(2)
				}
				if err := c.do(ctx, in, out); err != nil {
					return err
				}
				return echo(ctx, in, out)
			}})
			putUnder(w, policy, "root", 0, "k", []schemas.Score{{ExampleID: "k"}})
			await[schemas.Score](w, "candidate", 0, "k")
			w.noFailures()
			if c.once && calls.Load() != 1 {
				t.Errorf("the stage ran %d times, want once: only the store failed", calls.Load())
			}
			if name == "an attachment" {
				r, _, err := w.c.Store.Get(t.Context(), "runs/r1/attached/expand/0/k/tree")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if b, err := io.ReadAll(r); err != nil || string(b) != "whole" {
					t.Errorf("attached %q, %v", b, err)
				}
			}
		})
	}
}

// A message that cannot be read gets a failure record under its own key. It does not hold up the
// others.
func TestUnreadableMessages(t *testing.T) {
	t.Parallel()
	type headers = map[string]string
	good := func(t *testing.T, key string) (headers, []byte) {
		b, err := schemas.Encode(schemas.Header{Run: run, Round: 2, Key: key, Config: "cfg"}, []schemas.Score{{}})
		if err != nil {
			t.Fatal(err)
		}
		return b.Header.Map(), b.Body
	}
	set := func(key, value string) func(headers, []byte) (headers, []byte) {
		return func(h headers, b []byte) (headers, []byte) {
			h[key] = value
			return h, b
		}
	}
	for name, c := range map[string]struct {
		change func(h headers, body []byte) (headers, []byte)
		want   string
	}{
		"no headers":     {func(_ headers, b []byte) (headers, []byte) { return nil, b }, "says run"},
		"a junk round":   {set("itool-round", "x"), "itool-round"},
		"another run":    {set("itool-run", "r9"), "says run"},
		"another key":    {set("itool-key", "z"), "says"},
		"another round":  {set("itool-round", "7"), "says"},
		"another config": {set("itool-config", "x"), "under configuration"},
		"another schema": {set("itool-schema", "pair/v1"), "pair/v1"},
		"a junk body": {func(h headers, _ []byte) (headers, []byte) {
			return h, []byte("\xff\xff\xff\xffjunk")
		}, "digest"},
		"a claim that points nowhere": {func(h headers, _ []byte) (headers, []byte) {
			h["itool-claim"] = "../x"
			h["itool-size"] = "3"
			return h, nil
		}, "claim"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h, body := good(t, "k")
			h, body = c.change(h, body)
			w.raw("root", 2, "k", h, body)
			w.start(1, doer{perItem, echo})
			h, body = good(t, "l")
			w.raw("root", 2, "l", h, body)
			rows, _ := awaitFailure(w, 10*time.Second)
			if rows[0].Reason != "rejected" || !strings.Contains(rows[0].Error, c.want) {
				t.Errorf("got %+v, want a rejection about %q", rows[0], c.want)
			}
			await[schemas.Score](w, "candidate", 2, "l")
		})
	}
}

// A damaged record in a round is a failure of the stage that gathers it: the stage must not wait.
func TestARoundWithADamagedRecordFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header map[string]string
		want   string
	}{
		"junk":           {map[string]string{"itool-rows": "x"}, "itool-rows"},
		"another schema": {map[string]string{"itool-schema": "pair/v1", "itool-rows": "1"}, "pair/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.raw("pair", 2, "a", c.header, nil)
			put(w, "gather", 2, "pair", []schemas.Gather{{Key: "a"}})
			w.start(1, doer{gathering, echo})
			deadline := time.Now().Add(10 * time.Second)
			for {
				b, err := w.c.Get(t.Context(), run, "failed", 2, "pair")
				if err == nil {
					rows, err := schemas.Decode[schemas.Failed](b)
					if err != nil || rows[0].Reason != "rejected" || !strings.Contains(rows[0].Error, c.want) {
						t.Errorf("got %+v, %v", rows, err)
					}
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("the stage waits for a record that stays damaged")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// The description of a run may be damaged, too. A worker goes on with other runs.
func TestARunWithoutDescription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.c.Broker.CreateRun(t.Context(), "r0", 1<<20); err != nil {
		t.Fatal(err)
	}
	for record, rows := range map[string]any{"run": []schemas.Run{}, "root": []schemas.Score{{}}} {
		h := schemas.Header{Run: "r0", Key: "run", Config: "cfg"}
		var b schemas.Batch
		var err error
		switch rows := rows.(type) {
		case []schemas.Run:
			b, err = schemas.Encode(h, rows)
		case []schemas.Score:
			b, err = schemas.Encode(h, rows)
		}
		if err == nil {
			_, err = w.c.Publish(t.Context(), record, b, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.start(1, doer{perItem, echo})
	put(w, "root", 0, "k", []schemas.Score{{}})
	await[schemas.Score](w, "candidate", 0, "k")
}

// A full stream refuses failure records, too. The item waits, and its failure record is written once
// the stream has room.
func TestAFailureRecordWaitsForAFullStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "root", 2, "k", []schemas.Score{{}})
	if err := w.c.Broker.SetQuota(t.Context(), run, 1<<20); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		size := 100_000
		if i > 9 {
			size = 10
		}
		at := broker.Address{Run: run, Record: "filler", Key: fmt.Sprint(i)}
		_, err := w.c.Broker.Publish(t.Context(), at, nil, make([]byte, size))
		if errors.Is(err, broker.ErrFull) && size == 10 {
			break
		}
		if err != nil && !errors.Is(err, broker.ErrFull) {
			t.Fatal(err)
		}
	}
	var calls atomic.Int64
	w.start(1, doer{perItem, func(context.Context, stages.Input, stages.Output) error {
		calls.Add(1)
		return stages.Reject(errors.New("the true reason"))
	}})
	for calls.Load() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(3 * time.Second) // longer than AckWait and its slack: an item without a holder would come again
	if err := w.c.Broker.SetQuota(t.Context(), run, 64<<20); err != nil {
		t.Fatal(err)
	}
	rows, _ := awaitFailure(w, 15*time.Second)
	if calls.Load() != 1 || rows[0].Attempts != 1 || !strings.Contains(rows[0].Error, "the true reason") {
		t.Errorf("after %d calls: %+v", calls.Load(), rows[0])
	}
}

// An item with a result is done, even if its ack was lost many times.
func TestAnItemWithAResultIsDoneWithoutAck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "root", 0, "k", []schemas.Score{{}})
	opt := broker.PullOptions{AckWait: time.Second}
	p, err := w.c.Broker.Pull(t.Context(), run, "expand", []string{perItem.Filter()}, opt)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < worker.MaxAttempts; {
		d, err := p.Next(t.Context())
		if errors.Is(err, broker.ErrEmpty) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Retry(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		n++
	}
	put(w, "candidate", 0, "k", []schemas.Score{{}})
	w.start(1, doer{perItem, echo})
	w.settled("expand")
	w.noFailures()
}

// settled waits until no item of the stage is pending or in work.
func (w *world) settled(stage string) {
	w.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		pending, inWork, err := w.c.Broker.Depth(w.t.Context(), run, stage)
		if err == nil && pending+inWork == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %d pending, %d in work, %v", stage, pending, inWork, err)
		}
	}
}

// A holder that died keeps the lease for AckWait, and no longer.
func TestTheLeaseOfADeadHolderIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "pair", 0, "a", []schemas.Score{{ExampleID: "a"}})
	put(w, "gather", 0, "pair", []schemas.Gather{{Key: "a"}})
	if _, err := w.c.Broker.Acquire(t.Context(), run+"-update-1", "the dead", 2*time.Second); err != nil {
		t.Fatal(err)
	}
	w.start(1, doer{gathering, echo})
	await[schemas.Score](w, "policy", 1, "policy")
	w.noFailures()
}
