package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
	"itool/storage/checkpoint"
)

// flaky is a store over a network that fails its next calls.
type flaky struct {
	store storage.Store // not embedded: a store over a network has no local files
	fail  atomic.Int64  // calls that are still to fail
	puts  atomic.Int64
}

var errAway = errors.New("connection refused")

func (f *flaky) trouble() error {
	if f.fail.Add(-1) >= 0 {
		return errAway
	}
	return nil
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	f.puts.Add(1)
	if err := f.trouble(); err != nil {
		_, _ = io.CopyN(io.Discard, r, 1) // half of it was sent
		return storage.Info{}, err
	}
	return f.store.Put(ctx, key, r, size)
}

func (f *flaky) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	if err := f.trouble(); err != nil {
		return storage.Info{}, err
	}
	return f.store.PutIfAbsent(ctx, key, r, size)
}

func (f *flaky) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if err := f.trouble(); err != nil {
		return nil, storage.Info{}, err
	}
	r, info, err := f.store.Get(ctx, key)
	return &flakyReader{r, f}, info, err
}

type flakyReader struct {
	io.ReadCloser
	f *flaky
}

func (r *flakyReader) Read(p []byte) (int, error) {
	if err := r.f.trouble(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

func (f *flaky) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := f.trouble(); err != nil {
		return storage.Info{}, err
	}
	return f.store.Stat(ctx, key)
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	if err := f.trouble(); err != nil {
		return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, err) }
	}
	return f.store.List(ctx, prefix)
}

func (f *flaky) Delete(ctx context.Context, key string) error { return f.store.Delete(ctx, key) }

// overNetwork puts a store between the world and its folder that can be away.
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
	m, err := checkpoint.Write(w.t.Context(), w.c.Store, worker.Checkpoints, nil, file("weights", "base"))
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Digest()
}

func putUnder[R schemas.Record](w *world, policy, record string, round int, key string, rows []R) {
	w.t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Round: round, Key: key, Seed: 7, Config: "cfg", Policy: policy}, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.c.Publish(w.t.Context(), record, b, nil); err != nil {
		w.t.Fatal(err)
	}
}

// noFailures says that nothing was given up.
func (w *world) noFailures() {
	w.t.Helper()
	if n, err := w.c.Broker.Count(w.t.Context(), run, "failed.*.*"); err != nil || n != 0 {
		w.t.Errorf("%d failure records, %v; want none", n, err)
	}
}

func TestAStoreThatIsAwayIsNobodysFault(t *testing.T) {
	t.Parallel()
	write := file("adapter", "trained")
	for name, c := range map[string]struct {
		do   func(ctx context.Context, in stages.Input, out stages.Output) error
		once bool // the stage itself need not begin anew
	}{
		"opening the policy": {do: func(ctx context.Context, in stages.Input, out stages.Output) error {
			_, err := fs.ReadFile(in.Policy, "weights")
			return err
		}},
		"the policy, and a stage that hides it": {do: func(ctx context.Context, in stages.Input, out stages.Output) error {
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
				t.Errorf("the stage ran %d times, want once: its work is done, only the store is away", calls.Load())
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

// A message that nobody can read is parked under its own key, and does not hold up
// the others.
func TestPoison(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T, key string) (map[string]string, []byte) {
		b, err := schemas.Encode(schemas.Header{Run: run, Round: 2, Key: key, Config: "cfg"}, []schemas.Score{{}})
		if err != nil {
			t.Fatal(err)
		}
		return b.Header.Map(), b.Body
	}
	for name, c := range map[string]struct {
		change func(h map[string]string, body []byte) (map[string]string, []byte)
		want   string
	}{
		"no headers":     {func(h map[string]string, b []byte) (map[string]string, []byte) { return nil, b }, "says run"},
		"a junk round":   {func(h map[string]string, b []byte) (map[string]string, []byte) { h["itool-round"] = "x"; return h, b }, "itool-round"},
		"another run":    {func(h map[string]string, b []byte) (map[string]string, []byte) { h["itool-run"] = "r9"; return h, b }, "says run"},
		"another key":    {func(h map[string]string, b []byte) (map[string]string, []byte) { h["itool-key"] = "z"; return h, b }, "says"},
		"another round":  {func(h map[string]string, b []byte) (map[string]string, []byte) { h["itool-round"] = "7"; return h, b }, "says"},
		"another config": {func(h map[string]string, b []byte) (map[string]string, []byte) { h["itool-config"] = "x"; return h, b }, "under configuration"},
		"another schema": {func(h map[string]string, b []byte) (map[string]string, []byte) {
			h["itool-schema"] = "pair/v1"
			return h, b
		}, "pair/v1"},
		"a junk body": {func(h map[string]string, b []byte) (map[string]string, []byte) {
			return h, []byte("\xff\xff\xff\xffjunk")
		}, "digest"},
		"a claim of naught": {func(h map[string]string, b []byte) (map[string]string, []byte) {
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
			if _, err := w.c.Broker.Publish(t.Context(), broker.Address{Run: run, Record: "root", Round: 2, Key: "k"}, h, body); err != nil {
				t.Fatal(err)
			}
			w.start(1, doer{perItem, echo})
			h, body = good(t, "l")
			if _, err := w.c.Broker.Publish(t.Context(), broker.Address{Run: run, Record: "root", Round: 2, Key: "l"}, h, body); err != nil {
				t.Fatal(err)
			}
			rows, _ := await2(w, 10*time.Second)
			if rows[0].Reason != "rejected" || !strings.Contains(rows[0].Error, c.want) {
				t.Errorf("got %+v, want a rejection about %q", rows[0], c.want)
			}
			await[schemas.Score](w, "candidate", 2, "l")
		})
	}
}

// A broken record within a round parks the whole-round stage; it does not wait for it.
func TestARoundWithJunkIsParked(t *testing.T) {
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
			if _, err := w.c.Broker.Publish(t.Context(), broker.Address{Run: run, Record: "pair", Round: 2, Key: "a"}, c.header, nil); err != nil {
				t.Fatal(err)
			}
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
					t.Fatal("the stage waits for a record that will never be right")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// The description of a run may be junk too; a worker serves other runs and lives.
func TestARunThatSaysNothing(t *testing.T) {
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

// A full stream refuses failure markers too: the item is held, and its true reason
// is told once there is room.
func TestAFullStreamHoldsFailuresToo(t *testing.T) {
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
		_, err := w.c.Broker.Publish(t.Context(), broker.Address{Run: run, Record: "filler", Key: fmt.Sprint(i)}, nil, make([]byte, size))
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
	time.Sleep(3 * time.Second) // longer than AckWait and its slack: an item that nobody holds comes again
	if err := w.c.Broker.SetQuota(t.Context(), run, 64<<20); err != nil {
		t.Fatal(err)
	}
	rows, _ := await2(w, 15*time.Second)
	if calls.Load() != 1 || rows[0].Attempts != 1 || !strings.Contains(rows[0].Error, "the true reason") {
		t.Errorf("after %d calls: %+v", calls.Load(), rows[0])
	}
}

// An item whose result is there is done, however often its ack was lost.
func TestAResultBeatsLostAcks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "root", 0, "k", []schemas.Score{{}})
	p, err := w.c.Broker.Pull(t.Context(), run, "expand", []string{perItem.Filter()}, broker.PullOptions{AckWait: time.Second})
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

// settled waits until nothing of the stage is pending or in work.
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

// A holder that died keeps the lease for AckWait, not for longer.
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
