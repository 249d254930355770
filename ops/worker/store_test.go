package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
	"itool/storage/disk"
)

// said is a log that tests can read while it is written.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), text)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen: %s", what)
		}
	}
}

// TestAWorkerWithAnotherStoreTakesNoItem: it says so, and the items stay for those who have the store.
func TestAWorkerWithAnotherStoreTakesNoItem(t *testing.T) {
	t.Parallel()
	for name, identity := range map[string]string{"another identity": "another0store", "no identity": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const theirs = "r2"
			if err := w.c.Broker.CreateRun(t.Context(), theirs, 1<<20); err != nil {
				t.Fatal(err)
			}
			putInto(w, theirs, "run", 0, "run", []schemas.Run{
				{Name: theirs, Config: "{}", ConfigDigest: "cfg", Store: "couriertest"}})
			putInto(w, theirs, "root", 0, "k", []schemas.Score{{ExampleID: "k"}})
			mistyped, err := disk.Open(t.TempDir())
			if err == nil && identity != "" {
				_, err = storage.Identify(t.Context(), mistyped, identity)
			}
			if err != nil {
				t.Fatal(err)
			}
			var log said
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wk := &worker.Worker{
				Courier: &courier.Courier{Broker: w.c.Broker, Store: mistyped},
				Stages:  []stages.Stage{doer{perItem, echo}}, Name: "w", Slots: 2,
				AckWait: 2 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
			}
			wg.Go(func() { _ = wk.Run(ctx) })
			defer wg.Wait()
			defer cancel()
			put(w, "root", 0, "old", []schemas.Score{{ExampleID: "old"}}) // a run that names no store is served
			await[schemas.Score](w, "candidate", 0, "old")
			eventually(t, "the worker says that it has another store", func() bool {
				return log.has("waiting: store") && log.has("run=r2") && log.has("couriertest") &&
					log.has(mistyped.String())
			})
			pending, inWork, err := w.c.Broker.Depth(t.Context(), theirs, "expand")
			if err == nil && (pending != 1 || inWork != 0) {
				t.Errorf("%d items are pending and %d in work, want the one to wait", pending, inWork)
			}
			if n, err := w.c.Broker.Count(t.Context(), theirs, "failed.*.*"); err != nil || n != 0 {
				t.Errorf("%d failure records, %v", n, err)
			}
			w.start(1, doer{perItem, echo}) // with the right store
			eventually(t, "the item is done", func() bool {
				_, _, err := courier.Rows[schemas.Score](t.Context(), w.c, theirs, "candidate", 0, "k")
				return err == nil
			})
		})
	}
}

// TestWhatTheStoreLostIsNotTheItemsFault: the item goes back, and is done once the object is there again.
func TestWhatTheStoreLostIsNotTheItemsFault(t *testing.T) {
	t.Parallel()
	read := func(in stages.Input) error {
		if _, err := fs.ReadFile(in.Policy, "weights"); err != nil {
			return stages.Reject(fmt.Errorf("weights: %v", err)) // a stage that hides the error
		}
		return nil
	}
	big := make([]schemas.Score, 20000)
	for i := range big {
		big[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	for name, c := range map[string]struct {
		prefix string // of the keys that are lost
		do     func(in stages.Input) error
		rows   []schemas.Score
		gather bool
	}{
		"the policy":           {prefix: "checkpoints/manifests/", do: read},
		"a part of the policy": {prefix: "checkpoints/parts/", do: read},
		"a dataset": {prefix: "shards/", do: func(in stages.Input) error {
			r, err := in.Dataset("shards/d")
			if err != nil {
				return err
			}
			return r.Close()
		}},
		"the body of an item": {prefix: "runs/r1/bodies/", rows: big},
		"the body of a result that is gathered": {prefix: "runs/r1/bodies/", rows: big, gather: true,
			do: func(in stages.Input) error { _, err := stages.Rows[schemas.Score](in.Batches); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.c.Store.Put(t.Context(), "shards/d", strings.NewReader("data"), -1); err != nil {
				t.Fatal(err)
			}
			policy, spec, record := w.base(), perItem, "root"
			if c.gather {
				spec, record = gathering, "pair"
			}
			spec.NoPolicy = false
			putUnder(w, policy, record, 0, "k", append([]schemas.Score{{ExampleID: "k"}}, c.rows...))
			if c.gather {
				putUnder(w, policy, "gather", 0, "pair", []schemas.Gather{{Key: "k"}})
			}
			bringBack := w.lose(c.prefix)
			var log said
			w.startLogged(&log, doer{spec, func(ctx context.Context, in stages.Input, out stages.Output) error {
				if c.do != nil {
					if err := c.do(in); err != nil {
						return err
					}
				}
				return echo(ctx, in, out)
			}})
			eventually(t, "the worker waits for the store", func() bool { return log.has("waiting: store") })
			bringBack()
			if c.gather {
				await[schemas.Score](w, "policy", 1, "policy")
			} else {
				await[schemas.Score](w, "candidate", 0, "k")
			}
			w.noFailures()
		})
	}
}

// lose takes the objects under a prefix out of the store. bringBack puts them back.
func (w *world) lose(prefix string) (bringBack func()) {
	w.t.Helper()
	kept := map[string][]byte{}
	for info, err := range w.c.Store.List(w.t.Context(), prefix) {
		if err != nil {
			w.t.Fatal(err)
		}
		r, _, err := w.c.Store.Get(w.t.Context(), info.Key)
		if err == nil {
			kept[info.Key], err = io.ReadAll(r)
			err = errors.Join(err, r.Close(), w.c.Store.Delete(w.t.Context(), info.Key))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if len(kept) == 0 {
		w.t.Fatalf("the store has nothing under %s", prefix)
	}
	return func() {
		for key, body := range kept {
			if _, err := w.c.Store.Put(w.t.Context(), key, bytes.NewReader(body), -1); err != nil {
				w.t.Error(err)
			}
		}
	}
}
