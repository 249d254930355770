package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// doer is a stage made of a function.
type doer struct {
	spec stages.Spec
	do   func(context.Context, stages.Input, stages.Output) error
}

func (d doer) Spec() stages.Spec { return d.spec }
func (d doer) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	return d.do(ctx, in, out)
}

var perItem = stages.Spec{
	Name: "expand", Wakes: "root", Reads: "score/v2", Writes: "candidate", Schema: "score/v2", NoPolicy: true,
}

var gathering = stages.Spec{
	Name: "update", Wakes: "pair", Gather: true, Reads: "score/v2",
	Writes: "policy", Schema: "score/v2", NextRound: true, NoPolicy: true,
}

// echo answers with the rows it got.
func echo(_ context.Context, in stages.Input, out stages.Output) error {
	rows, err := stages.Rows[schemas.Score](in.Batches)
	if err != nil {
		return err
	}
	b, err := schemas.Encode(in.Header, rows)
	if err != nil {
		return err
	}
	return out.Result(b)
}

// world is a broker, a store and an open run.
type world struct {
	t testing.TB
	c *courier.Courier
}

const run = "r1"

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, `{"expand":{"width":3}}`)
}

// newWorldOf opens a run of this configuration.
func newWorldOf(t testing.TB, config string) *world {
	t.Helper()
	w := &world{t, couriertest.Open(t)}
	if err := w.c.Broker.CreateRun(t.Context(), run, 64<<20); err != nil {
		t.Fatal(err)
	}
	put(w, "run", 0, "run", []schemas.Run{{Name: run, Config: config, ConfigDigest: "cfg"}})
	return w
}

func put[R schemas.Record](w *world, record string, round int, key string, rows []R) {
	w.t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Round: round, Key: key, Seed: 7, Config: "cfg"}, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.c.Publish(w.t.Context(), record, b, nil); err != nil {
		w.t.Fatal(err)
	}
}

// raw publishes a message that may be damaged.
func (w *world) raw(record string, round int, key string, header map[string]string, body []byte) {
	w.t.Helper()
	at := broker.Address{Run: run, Record: record, Round: round, Key: key}
	if _, err := w.c.Broker.Publish(w.t.Context(), at, header, body); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a worker until the test ends or stop is called.
func (w *world) start(slots int, s ...stages.Stage) (stop func()) {
	w.t.Helper()
	return w.run(slots, io.Discard, s)
}

// startLogged runs a worker of one slot, as start does, and writes what it logs.
func (w *world) startLogged(log io.Writer, s ...stages.Stage) (stop func()) {
	w.t.Helper()
	return w.run(1, log, s)
}

func (w *world) run(slots int, log io.Writer, s []stages.Stage) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wk := &worker.Worker{
		Courier: w.c, Stages: s, Name: "w", Slots: slots,
		AckWait: 2 * time.Second, RetryPause: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	wg.Go(func() {
		if err := wk.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	w.t.Cleanup(stop)
	return stop
}

// await polls until the record exists.
func await[R schemas.Record](w *world, record string, round int, key string) ([]R, schemas.Header) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		rows, h, err := courier.Rows[R](w.t.Context(), w.c, run, record, round, key)
		if err == nil {
			return rows, h
		}
		if !errors.Is(err, broker.ErrNotExist) || time.Now().After(deadline) {
			w.t.Fatalf("await %s.%d.%s: %v", record, round, key, err)
		}
	}
}

func TestAnItemBecomesOneResultUnderItsOwnKey(t *testing.T) {
	w := newWorld(t)
	var seen atomic.Value
	w.start(2, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		seen.Store(string(in.Config))
		return echo(ctx, in, out)
	}})
	for i := range 20 {
		put(w, "root", 1, fmt.Sprintf("e%02d", i), []schemas.Score{{ExampleID: fmt.Sprint(i)}})
	}
	for i := range 20 {
		rows, h := await[schemas.Score](w, "candidate", 1, fmt.Sprintf("e%02d", i))
		if rows[0].ExampleID != fmt.Sprint(i) || h.Seed != 7 || h.Config != "cfg" || h.Input == "" || h.Worker != "w" {
			t.Fatalf("item %d: got %+v with %+v", i, rows, h)
		}
	}
	if got := seen.Load(); got != `{"width":3}` {
		t.Errorf("configuration: got %v, want the stage's own section", got)
	}
}

func TestLargeBodiesAreClaimChecked(t *testing.T) {
	w := newWorld(t)
	w.start(1, doer{perItem, echo})
	rows := make([]schemas.Score, 20000)
	for i := range rows {
		rows[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	put(w, "root", 0, "big", rows)
	got, _ := await[schemas.Score](w, "candidate", 0, "big")
	if len(got) != len(rows) || got[1234].ExampleID != rows[1234].ExampleID {
		t.Fatalf("got %d rows", len(got))
	}
	m, err := w.c.Broker.Get(t.Context(), broker.Address{Run: run, Record: "candidate", Key: "big"})
	if err != nil || len(m.Data) != 0 {
		t.Fatalf("the message carries %d bytes (%v), want only the claim", len(m.Data), err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do       func(n int64) error
		reason   string
		attempts int32
		calls    int64
	}{
		"a rejected item is given up at once": {
			func(int64) error { return stages.Reject(errors.New("junk")) }, "rejected", 1, 1},
		"an error comes again, five times": {func(int64) error { return errors.New("flaky") }, "attempts", 5, 5},
		"a panic is an error":              {func(int64) error { panic("boom") }, "attempts", 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var n atomic.Int64
			w.start(1, doer{perItem, func(context.Context, stages.Input, stages.Output) error {
				return c.do(n.Add(1))
			}})
			put(w, "root", 2, "k", []schemas.Score{{}})
			rows, _ := awaitFailure(w, 30*time.Second)
			f := rows[0]
			if f.Reason != c.reason || f.Attempts != c.attempts || n.Load() != c.calls ||
				f.Stage != "expand" || !strings.HasSuffix(f.Subject, ".root.2.k") || f.Error == "" {
				t.Errorf("after %d calls: %+v, want %s after %d", n.Load(), f, c.reason, c.attempts)
			}
		})
	}
}

func awaitFailure(w *world, limit time.Duration) ([]schemas.Failed, schemas.Header) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		rows, h, err := courier.Rows[schemas.Failed](w.t.Context(), w.c, run, "failed", 2, "k")
		if err == nil {
			return rows, h
		}
		if !errors.Is(err, broker.ErrNotExist) || time.Now().After(deadline) {
			w.t.Fatal(err)
		}
	}
}

func TestStoppingAWorkerIsNoFailedAttempt(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{}, 10)
	block := doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	put(w, "root", 0, "k", []schemas.Score{{}})
	for range worker.MaxAttempts + 2 { // more often than an item may fail
		stop := w.start(1, block)
		<-begun
		stop()
	}
	w.start(1, doer{perItem, echo})
	await[schemas.Score](w, "candidate", 0, "k")
}

func TestAnExistingResultIsAdopted(t *testing.T) {
	w := newWorld(t)
	put(w, "root", 0, "k", []schemas.Score{{ExampleID: "in"}})
	b, err := w.c.Get(t.Context(), run, "root", 0, "k")
	if err != nil {
		t.Fatal(err)
	}
	h := b.Header
	h.Input = b.Header.SHA256
	first, err := schemas.Encode(h, []schemas.Score{{ExampleID: "first"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.Publish(t.Context(), "candidate", first, nil); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	put(w, "root", 0, "l", []schemas.Score{{}})
	w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		calls.Add(1)
		return echo(ctx, in, out)
	}})
	await[schemas.Score](w, "candidate", 0, "l")
	if rows, _ := await[schemas.Score](w, "candidate", 0, "k"); rows[0].ExampleID != "first" || calls.Load() != 1 {
		t.Errorf("got %v after %d calls, want the first result and no second run", rows, calls.Load())
	}
}

// A wrong result in the place of an item's is the keeper's to take out. Until then the item waits.
func TestAResultOfAnotherPolicyIsNotAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "root", 2, "k", []schemas.Score{{ExampleID: "right"}})
	h := schemas.Header{Run: run, Round: 2, Key: "k", Config: "cfg", Policy: "other", Input: "x"}
	other, err := schemas.Encode(h, []schemas.Score{{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.Publish(t.Context(), "candidate", other, nil); err != nil {
		t.Fatal(err)
	}
	var log said
	w.startLogged(&log, doer{perItem, echo})
	eventually(t, "the worker waits", func() bool { return log.has("wrong result") && log.has("another policy") })
	at := broker.Address{Run: run, Record: "candidate", Round: 2, Key: "k"}
	m, err := w.c.Broker.Get(t.Context(), at)
	if err == nil {
		err = w.c.Broker.Remove(t.Context(), at, m.Sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
	if rows, _ := await[schemas.Score](w, "candidate", 2, "k"); rows[0].ExampleID != "right" {
		t.Errorf("got %+v", rows)
	}
	w.noFailures()
}

func TestANewerRecordWaitsForANewerWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, err := schemas.Encode(schemas.Header{Run: run, Key: "k", Config: "cfg"}, []schemas.Score{{}})
	if err != nil {
		t.Fatal(err)
	}
	b.Header.Schema = "score/v3"
	if _, err := w.c.Publish(t.Context(), "root", b, nil); err != nil {
		t.Fatal(err)
	}
	stop := w.start(2, doer{perItem, echo})
	put(w, "root", 0, "l", []schemas.Score{{}})
	await[schemas.Score](w, "candidate", 0, "l") // what can be done is done meanwhile
	stop()
	newer := perItem
	newer.Reads, newer.NoPolicy = "score/v3", true
	w.start(1, doer{newer, func(_ context.Context, in stages.Input, out stages.Output) error {
		b, err := schemas.Encode(in.Header, []schemas.Score{{ExampleID: "new"}})
		if err != nil {
			return err
		}
		return out.Result(b)
	}})
	if rows, _ := await[schemas.Score](w, "candidate", 0, "k"); rows[0].ExampleID != "new" {
		t.Errorf("got %+v", rows)
	}
	if n, err := w.c.Broker.Count(t.Context(), run, "failed.*.*"); err != nil || n != 0 {
		t.Errorf("%d failure records (%v), want the item to wait", n, err)
	}
}

func TestAWholeRoundIsReadInKeyOrderAndResumed(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"c", "a", "b"} {
		put(w, "pair", 0, k, []schemas.Score{{ExampleID: k}})
	}
	put(w, "gather", 0, "pair", []schemas.Gather{{Key: "a"}, {Key: "b"}, {Key: "c"}, {Key: "d", Failed: true}})
	reached := make(chan struct{}, 1)
	stop := w.start(1, doer{gathering, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if in.Resume != nil {
			t.Error("the first attempt resumes")
		}
		err := out.Checkpoint(ctx, 5, func(create stages.Create) error {
			f, err := create("state")
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, "five"); err != nil {
				return err
			}
			return f.Close()
		})
		if err != nil {
			t.Error(err)
		}
		reached <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	<-reached
	stop()
	w.start(1, doer{gathering, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if in.Resume == nil {
			return stages.Reject(errors.New("nothing to resume from"))
		}
		state, err := fs.ReadFile(in.Resume, "state")
		if err != nil {
			return stages.Reject(err)
		}
		rows, err := stages.Rows[schemas.Score](in.Batches)
		if err != nil {
			return err
		}
		rows = append(rows,
			schemas.Score{ExampleID: string(state)}, schemas.Score{ExampleID: strings.Join(in.Failed, " ")})
		b, err := schemas.Encode(in.Header, rows)
		if err != nil {
			return err
		}
		return out.Result(b)
	}})
	rows, _ := await[schemas.Score](w, "policy", 1, "policy")
	var got []string
	for _, r := range rows {
		got = append(got, r.ExampleID)
	}
	if want := "a b c five d"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
