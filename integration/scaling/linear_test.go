package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/integration/results"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage/disk"
)

// timed is a stage of one worker with one slot. Its items sleep, and it notes when each begins and ends.
type timed struct {
	sleep time.Duration

	mu   sync.Mutex
	work []span
}

type span struct{ from, to time.Time }

func (*timed) Spec() stages.Spec { return sleeper{}.Spec() }

func (s *timed) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	from := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.sleep):
	}
	b, err := schemas.Encode(in.Header, []schemas.Score{{}})
	if err == nil {
		err = out.Result(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work = append(s.work, span{from, time.Now()})
	return err
}

// fleet is what so many workers did with a queue.
type fleet struct {
	workers, items int
	sleep          time.Duration
	took           time.Duration   // from the first item's begin to the last one's end
	between        []time.Duration // from the end of an item to the begin of the worker's next one, sorted
	deliveries     uint64
}

// efficiency is the share of the time in which all workers were at work: 1 is linear.
func (f fleet) efficiency() float64 {
	return float64(f.items) * f.sleep.Seconds() / float64(f.workers) / f.took.Seconds()
}

func (f fleet) quantile(q float64) time.Duration {
	return f.between[min(int(q*float64(len(f.between))), len(f.between)-1)].Round(10 * time.Microsecond)
}

// runFleet lets workers, each with a connection of its own over TCP, work on a queue until it is empty.
func runFleet(t *testing.T, workers, each int, sleep time.Duration) fleet {
	t.Helper()
	dir := t.TempDir()
	server, err := embed.Start(embed.Config{Dir: dir + "/broker", Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	c, err := open(t.Context(), server, dir+"/store")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Broker.Close()
	err = put(t.Context(), c, schemas.RecordRun, schemas.KeyRun, []schemas.Run{{Name: run, Config: "{}"}})
	f := fleet{workers: workers, items: workers * each, sleep: sleep}
	for i := 0; i < f.items && err == nil; i++ {
		err = put(t.Context(), c, "root", fmt.Sprintf("i%05d", i), []schemas.Score{{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	doers := make([]*timed, workers)
	for i := range doers {
		doers[i] = &timed{sleep: sleep}
		wk := worker.Worker{
			Courier: connectWorker(t, server.URL(), dir+"/store"), Stages: []stages.Stage{doers[i]},
			Name: fmt.Sprint("w", i), Slots: 1, Log: slog.New(slog.DiscardHandler),
		}
		all.Go(func() {
			if err := wk.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for limit := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		q, err := c.Broker.Queues(t.Context(), run)
		if n, errCount := c.Broker.Count(t.Context(), run, broker.Filter("candidate", 0)); err == nil &&
			errCount == nil && n == f.items && q[stage].Depth() == 0 {
			f.deliveries = q[stage].Deliveries
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the queue is not empty after five minutes: %+v, %v", q, err)
		}
	}
	stop()
	all.Wait()
	f.measure(doers)
	return f
}

func connectWorker(t *testing.T, url, store string) *courier.Courier {
	t.Helper()
	b, err := broker.Connect(t.Context(), broker.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s, err := disk.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	return &courier.Courier{Broker: b, Store: s}
}

func (f *fleet) measure(doers []*timed) {
	var from, to time.Time
	for _, d := range doers {
		for i, s := range d.work {
			if from.IsZero() || s.from.Before(from) {
				from = s.from
			}
			if s.to.After(to) {
				to = s.to
			}
			if i > 0 {
				f.between = append(f.between, s.from.Sub(d.work[i-1].to))
			}
		}
	}
	slices.Sort(f.between)
	f.took = to.Sub(from)
}

// TestLinear: so many times as many workers are that much faster, because items do not wait for one another, and
// none is delivered twice.
func TestLinear(t *testing.T) {
	sizes, each, sleep := []int{1, 4}, 4, 50*time.Millisecond
	if results.Wanted() {
		sizes, each, sleep = []int{1, 2, 4, 8, 16, 32, 64}, 32, 250*time.Millisecond
	} else if testing.Short() {
		t.Skip("lets workers sleep; the full test run does it")
	}
	r := results.Begin("Scaling: 1 to 64 workers")
	rows := [][]string{{"workers", "items of 250 ms", "time", "of linear", "between two items, p50", "p99",
		"deliveries"}}
	for _, n := range sizes {
		f := runFleet(t, n, each, sleep)
		if f.deliveries != uint64(f.items) {
			t.Errorf("%d workers: %d deliveries of %d items", n, f.deliveries, f.items)
		}
		rows = append(rows, []string{fmt.Sprint(n), fmt.Sprint(f.items), f.took.Round(time.Millisecond).String(),
			fmt.Sprintf("%.0f %%", 100*f.efficiency()), f.quantile(0.5).String(), f.quantile(0.99).String(),
			fmt.Sprint(f.deliveries)})
	}
	t.Log("\n" + results.Table(rows...))
	err := r.Write("Workers with one slot and a connection of their own over TCP, in one process; broker (a flush to " +
		"the disk for each message), queue, worker loop and store are the real ones, the items sleep. Asked for: " +
		"≥ 90 % of linear. What lies between two items of a worker is everything that is not the item: encode, " +
		"publish, ack, fetch, claim, decode.\n\n" + results.Table(rows...))
	if err != nil {
		t.Error(err)
	}
}
