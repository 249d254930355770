package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"itool/broker"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// another opens one more run.
func (w *world) another(run string) {
	w.t.Helper()
	w.withConfig(run, "{}")
}

func (w *world) withConfig(run, config string) {
	w.t.Helper()
	if err := w.c.Broker.CreateRun(w.t.Context(), run, 64<<20); err != nil {
		w.t.Fatal(err)
	}
	putInto(w, run, "run", 0, "run", []schemas.Run{{Name: run, Config: config, ConfigDigest: "cfg"}})
}

func putInto[R schemas.Record](w *world, run, record string, round int, key string, rows []R) {
	w.t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Round: round, Key: key, Config: "cfg"}, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.c.Publish(w.t.Context(), record, b, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestRunsShareAWorkerFairly(t *testing.T) {
	w := newWorld(t) // r1 has nothing to do, and the run after it must not get its turns
	const each = 12
	for _, r := range []string{"r0", "r2"} {
		w.another(r)
		for i := range each {
			putInto(w, r, "root", 0, fmt.Sprintf("k%02d", i), []schemas.Score{{}})
		}
	}
	var mu sync.Mutex
	var served []string
	done := make(chan struct{})
	w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		mu.Lock()
		defer mu.Unlock()
		if served = append(served, in.Header.Run); len(served) == 2*each {
			close(done)
		}
		return echo(ctx, in, out)
	}})
	<-done
	for i := 1; i < len(served); i++ {
		if served[i] == served[i-1] {
			t.Fatalf("served %v, want one run after the other", served)
		}
	}
}

// Runs of a higher priority are served first, equal ones in turn.
func TestPriorities(t *testing.T) {
	w := newWorld(t)
	const each = 4
	runs := []string{"a0", "b9", "c0", "d9", "e-1"}
	for _, r := range runs {
		w.withConfig(r, `{"line": {"priority": `+r[1:]+`}}`)
		for i := range each {
			putInto(w, r, "root", 0, fmt.Sprintf("k%02d", i), []schemas.Score{{}})
		}
	}
	served := make(chan string, len(runs)*each)
	w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		served <- in.Header.Run
		return echo(ctx, in, out)
	}})
	var got []string
	for range len(runs) * each {
		got = append(got, <-served)
	}
	for i, want := range map[int][]string{0: {"b9", "d9"}, 1: {"a0", "c0"}} {
		part := got[i*2*each : (i+1)*2*each]
		for j, run := range part {
			if !slices.Contains(want, run) || j > 0 && run == part[j-1] {
				t.Fatalf("served %v, want b9 and d9 in turn, then a0 and c0, then e-1", got)
			}
		}
	}
}

// Items that only a newer worker can serve hold no slot: they go back to their queue for a while.
func TestItemsThatWaitHoldNoSlot(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"k1", "k2", "k3"} {
		b, err := schemas.Encode(schemas.Header{Run: run, Key: key, Config: "cfg"}, []schemas.Score{{}})
		if err != nil {
			t.Fatal(err)
		}
		b.Header.Schema = "score/v3"
		if _, err := w.c.Publish(t.Context(), "root", b, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.start(2, doer{perItem, echo})
	handedBack := func() int {
		_, inFlight, err := w.c.Broker.Depth(t.Context(), run, "expand")
		if err != nil && !errors.Is(err, broker.ErrNoStage) {
			t.Fatal(err)
		}
		return inFlight
	}
	for begun := time.Now(); handedBack() < 3; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 4*time.Second {
			t.Fatal("the first two items hold both slots")
		}
	}
	if all, err := w.c.Waiting(t.Context()); err != nil || len(all) != 1 || all[0].What != "needs score/v3" {
		t.Errorf("waiting: %+v, %v; want score/v3 to be named", all, err)
	}
	w.another("r2")
	begun := time.Now()
	for i := range 8 {
		putInto(w, "r2", "root", 0, fmt.Sprint(i), []schemas.Score{{}})
	}
	for i := range 8 {
		at := broker.Address{Run: "r2", Record: "candidate", Key: fmt.Sprint(i)}
		for done := false; !done; time.Sleep(5 * time.Millisecond) {
			var err error
			if done, err = w.c.Broker.Has(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			if time.Since(begun) > 4*time.Second {
				t.Fatalf("after %v the other run waits for its item %d", time.Since(begun), i)
			}
		}
	}
	w.noFailures()
}

// A worker that waits for a newer one does not count as busy: it leaves when it may.
func TestItemsThatWaitDoNotKeepAnIdleWorker(t *testing.T) {
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
	wk := &worker.Worker{
		Courier: w.c, Stages: []stages.Stage{doer{perItem, echo}}, Name: "w", Slots: 1,
		IdleUntil: 7 * time.Second, Log: slog.New(slog.DiscardHandler), // the item comes again after 5 s
	}
	ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
	defer cancel()
	if err := wk.Run(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("the worker stays, %v", err)
	}
}

// Of a run's items those of the first stage come first: nothing piles up in front of a later stage.
func TestTheFirstStageComesFirst(t *testing.T) {
	w := newWorld(t)
	const items = 6
	for i := range items {
		put(w, "root", 0, fmt.Sprintf("k%d", i), []schemas.Score{{}})
	}
	later := stages.Spec{
		Name: "filter", Wakes: "candidate", Reads: "score/v2", Writes: "pair", Schema: "score/v2", NoPolicy: true,
	}
	var order []string
	served := make(chan string, 2*items)
	note := func(stage string) func(context.Context, stages.Input, stages.Output) error {
		return func(ctx context.Context, in stages.Input, out stages.Output) error {
			served <- stage
			return echo(ctx, in, out)
		}
	}
	w.start(1, doer{later, note("filter")}, doer{perItem, note("expand")})
	for range 2 * items {
		order = append(order, <-served)
	}
	waiting := 0 // trees that are not filtered yet
	for _, stage := range order {
		if stage == "expand" {
			waiting++
		} else {
			waiting--
		}
		if waiting > 2 { // the broker may take a moment to offer what was just published
			t.Fatalf("served %v, want each tree to be filtered at once", order)
		}
	}
}

// No items of a run that was cancelled or has ended are begun.
func TestRunsThatAreOverAreSkipped(t *testing.T) {
	for _, mark := range []broker.Address{{Record: "cancel", Key: "run"}, {Record: "end", Key: "end"}} {
		t.Run(mark.Record, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.another("r0")
			putInto(w, "r0", "root", 0, "k", []schemas.Score{{}})
			mark.Run = "r0"
			if _, err := w.c.Broker.Publish(t.Context(), mark, nil, nil); err != nil {
				t.Fatal(err)
			}
			put(w, "root", 0, "k", []schemas.Score{{}})
			var wrong atomic.Int64
			w.start(2, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
				if in.Header.Run == "r0" {
					wrong.Add(1)
				}
				return echo(ctx, in, out)
			}})
			await[schemas.Score](w, "candidate", 0, "k")
			put(w, "root", 0, "l", []schemas.Score{{}})
			await[schemas.Score](w, "candidate", 0, "l")
			if wrong.Load() != 0 {
				t.Error("an item of a run that is over was begun")
			}
		})
	}
}

// An item in work is dropped when its run is cancelled or retired.
func TestARunMayEndWhileAnItemIsInWork(t *testing.T) {
	for name, end := range map[string]func(w *world) error{
		"cancelled": func(w *world) error {
			at := broker.Address{Run: run, Record: schemas.RecordCancel, Key: schemas.KeyCancel}
			_, err := w.c.Broker.Publish(w.t.Context(), at, nil, nil)
			return err
		},
		"retired": func(w *world) error { return w.c.Broker.DeleteRun(w.t.Context(), run) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.another("r2")
			begun, over := make(chan struct{}, 1), make(chan struct{})
			w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
				if in.Header.Run != run {
					return echo(ctx, in, out)
				}
				begun <- struct{}{}
				<-ctx.Done()
				close(over)
				return ctx.Err()
			}})
			put(w, "root", 0, "k", []schemas.Score{{}})
			<-begun
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			select {
			case <-over:
			case <-time.After(10 * time.Second):
				t.Fatal("the item is still in work")
			}
			putInto(w, "r2", "root", 0, "k", []schemas.Score{{}}) // the slot is free for others
			for {
				at := broker.Address{Run: "r2", Record: "candidate", Key: "k"}
				if done, err := w.c.Broker.Has(t.Context(), at); err == nil && done {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// The contract: two goroutines do not call a stage that gathers at the same time.
func TestWholeRoundsOfTwoRunsTakeTurns(t *testing.T) {
	w := newWorld(t)
	runs := []string{run, "r2", "r3"}
	for _, r := range runs {
		if r != run {
			w.another(r)
		}
		putInto(w, r, "gather", 0, "pair", []schemas.Gather{})
	}
	var at, most atomic.Int64
	w.start(4, doer{gathering, func(ctx context.Context, in stages.Input, out stages.Output) error {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		time.Sleep(50 * time.Millisecond)
		return echo(ctx, in, out)
	}})
	for _, r := range runs {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			at := broker.Address{Run: r, Record: "policy", Round: 1, Key: "policy"}
			if done, err := w.c.Broker.Has(t.Context(), at); err == nil && done {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("run %s gets no policy", r)
			}
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d rounds at once", most.Load())
	}
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	for name, wk := range map[string]*worker.Worker{
		"no slots":                       {Name: "w"},
		"a short AckWait":                {Name: "w", Slots: 1, AckWait: time.Millisecond},
		"a name that no header can hold": {Name: "w\n", Slots: 1},
	} {
		t.Run(name, func(t *testing.T) {
			wk.Courier, wk.Log = w.c, slog.New(slog.DiscardHandler)
			if err := wk.Run(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Hints of other stages' results do not keep an idle worker from leaving.
func TestHintsDoNotKeepAnIdleWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_ = w.c.Broker.Announce(context.Background(), broker.Hint, run, nil)
			}
		}
	}()
	wk := &worker.Worker{
		Courier: w.c, Stages: []stages.Stage{doer{perItem, echo}}, Name: "w", Slots: 1,
		IdleUntil: 500 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	done := make(chan error, 1)
	go func() { done <- wk.Run(t.Context()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the worker stays")
	}
}

// TestLeave: a worker that is told to leave finishes what it has, takes nothing more and hands nothing back.
func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		put(w, "root", 0, fmt.Sprintf("k%d", i), []schemas.Score{{}})
	}
	began, goOn, leave := make(chan struct{}, 5), make(chan struct{}), make(chan struct{})
	wk := &worker.Worker{
		Courier: w.c, Name: "w", Slots: 2, Leave: leave, Log: slog.New(slog.DiscardHandler),
		Stages: []stages.Stage{doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
			began <- struct{}{}
			<-goOn
			return echo(ctx, in, out)
		}}},
	}
	done := make(chan error, 1)
	go func() { done <- wk.Run(t.Context()) }()
	<-began
	<-began
	close(leave)
	close(goOn)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the worker stays")
	}
	queues, err := w.c.Broker.Queues(t.Context(), run)
	if q := queues["expand"]; err != nil || q.Pending != 3 || q.InFlight != 0 || q.Deliveries != 2 {
		t.Errorf("got %+v, %v; want 3 items that wait and 2 deliveries", q, err)
	}
	if keys, err := w.c.Broker.Keys(t.Context(), run, "candidate", 0); len(keys) != 2 {
		t.Errorf("results of %q, %v; want two", keys, err)
	}
}

func TestAStoppedWorkerLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	line := []stages.Stage{doer{perItem, echo}, doer{gathering, echo}}
	stop := w.start(1, line...)
	put(w, "root", 0, "warm", []schemas.Score{{}})
	put(w, "gather", 0, "pair", []schemas.Gather{})
	await[schemas.Score](w, "candidate", 0, "warm") // the server's goroutines for both queues
	await[schemas.Score](w, "policy", 1, "policy")
	stop()
	before := goleak.IgnoreCurrent()
	stop = w.start(4, line...)
	for i := range 20 {
		put(w, "root", 0, fmt.Sprintf("k%02d", i), []schemas.Score{{}})
	}
	for i := range 20 {
		await[schemas.Score](w, "candidate", 0, fmt.Sprintf("k%02d", i))
	}
	stop()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// An idle worker costs next to nothing, with the server in the same process.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for three seconds")
	}
	w := newWorld(t)
	w.another("r2")
	w.another("r3")
	var line []stages.Stage
	for i := range 8 {
		s := perItem
		s.Name, s.Wakes = fmt.Sprintf("stage%d", i), fmt.Sprintf("task%d", i)
		line = append(line, doer{s, echo})
	}
	w.start(8, line...)
	time.Sleep(3 * time.Second) // the queues are made, and the pauses have grown
	before, start := cpu(t), time.Now()
	time.Sleep(2 * time.Second)
	share := float64(cpu(t)-before) / float64(time.Since(start))
	t.Logf("an idle worker of 8 stages and 8 slots, 3 runs: %.2f %% of a core", 100*share)
	// Under 2 % on most machines, up to 10 % on a virtual one, where each wake-up is dear; a loop that does not
	// wait takes a whole core.
	if share > 0.2 {
		t.Errorf("%.1f %% of a core while idle, want less than 20 %%", 100*share)
	}
}

func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkItem measures what an item costs beside its stage, which answers at once: queue, Arrow,
// storage. "claimed" bodies go through the store.
func BenchmarkItem(b *testing.B) {
	for _, kind := range []struct {
		name string
		rows int
	}{{"inline", 1}, {"claimed", 12000}} {
		for _, slots := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/slots=%d", kind.name, slots), func(b *testing.B) { benchItems(b, slots, kind.rows) })
		}
	}
}

func benchItems(b *testing.B, slots, rows int) {
	w := newWorld(b)
	work := make([]schemas.Score, rows)
	for i := range work {
		work[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	for i := range b.N {
		work[0].Tokens = int32(i) // bodies differ, as they do
		put(w, "root", 0, fmt.Sprintf("k%07d", i), work)
	}
	var left sync.WaitGroup
	left.Add(b.N)
	ctx, cancel := context.WithCancel(b.Context())
	wk := &worker.Worker{Courier: w.c, Name: "w", Slots: slots, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Stages: []stages.Stage{doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
			defer left.Done()
			return echo(ctx, in, out)
		}}}}
	b.ResetTimer()
	stopped := make(chan error, 1)
	go func() { stopped <- wk.Run(ctx) }()
	left.Wait()
	w.settled("expand")
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/item")
	cancel()
	if err := <-stopped; err != nil {
		b.Fatal(err)
	}
}
