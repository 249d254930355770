package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/ops/scale"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
	"itool/storage/disk"
)

// Workload is what comes into a queue, and the limits of the pool that works on it.
type Workload struct {
	scale.Limits
	Bursts []Burst
	Item   time.Duration // mean length of an item; they last from a half of it to three halves
}

// Burst is a number of items that are published at once.
type Burst struct {
	At    time.Duration // after the start
	Items int
	Empty bool // not before all workers of the bursts before have left
}

// Trace is what happened.
type Trace struct {
	Points     []Point
	Items      int    // published
	Deliveries uint64 // of items to workers; more than Items if one was delivered twice
}

// Point is one look of the pool.
type Point struct {
	After time.Duration
	scale.View
	scale.Decision
}

// Last is when the pool looked last.
func (t Trace) Last() time.Duration { return t.Points[len(t.Points)-1].After }

// MostWorkers is the largest number of workers at a time.
func (t Trace) MostWorkers() (most int) {
	for _, p := range t.Points {
		most = max(most, p.Active+p.Draining)
	}
	return most
}

const run, stage = "scaling", "expand"

// Run publishes the bursts and works on them until nothing is left and no worker is there.
func (w Workload) Run(ctx context.Context) (trace Trace, err error) {
	dir, err := os.MkdirTemp("", "itool-scaling-")
	if err != nil {
		return trace, err
	}
	defer os.RemoveAll(dir)
	server, err := embed.Start(embed.Config{Dir: dir + "/broker", InProcessOnly: true})
	if err != nil {
		return trace, err
	}
	defer server.Shutdown()
	c, err := open(ctx, server, dir+"/store")
	if err != nil {
		return trace, err
	}
	defer c.Broker.Close()
	if err := put(ctx, c, schemas.RecordRun, schemas.KeyRun, []schemas.Run{{Name: run, Config: "{}"}}); err != nil {
		return trace, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	began, published, present := time.Now(), atomic.Bool{}, atomic.Int64{}
	zeros := 0
	backlog := scale.Backlog{Courier: c, Stages: []string{stage}}
	p := scale.Pool{
		Limits: w.Limits, Every: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		Backlog: backlog.Count, Start: func(string) (scale.Worker, error) { return w.start(c), nil },
		Observe: func(v scale.View, d scale.Decision) {
			trace.Points = append(trace.Points, Point{time.Since(began), v, d})
			present.Store(int64(v.Waiting + v.InWork + v.Active + v.Draining))
			if zeros++; !published.Load() || present.Load() > 0 {
				zeros = 0
			}
			if zeros == 10 { // so that the end is seen in the picture
				stop()
			}
		},
	}
	done := make(chan error, 1)
	publish := func() error {
		for _, b := range w.Bursts {
			time.Sleep(time.Until(began.Add(b.At)))
			for b.Empty && present.Load() > 0 && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			present.Store(1)
			for range b.Items {
				if err := put(ctx, c, "root", fmt.Sprintf("i%05d", trace.Items), []schemas.Score{{}}); err != nil {
					return err
				}
				trace.Items++
			}
		}
		return nil
	}
	go func() { done <- p.Run(ctx) }()
	if err := publish(); err != nil {
		stop()
		return trace, errors.Join(err, <-done)
	}
	published.Store(true)
	if err := <-done; err != nil {
		return trace, err
	}
	queues, err := c.Broker.Queues(context.WithoutCancel(ctx), run)
	trace.Deliveries = queues[stage].Deliveries
	return trace, err
}

func open(ctx context.Context, server *embed.Server, store string) (*courier.Courier, error) {
	b, err := broker.Connect(ctx, broker.Config{InProcess: server})
	if err != nil {
		return nil, err
	}
	s, err := disk.Open(store)
	if err == nil {
		_, err = storage.Identify(ctx, s, "pictureofscaling")
	}
	if err == nil {
		err = b.CreateRun(ctx, run, 0)
	}
	if err == nil {
		_, err = b.Pull(ctx, run, stage, []string{"root.*.*"}, broker.PullOptions{})
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return &courier.Courier{Broker: b, Store: s}, nil
}

func put[R schemas.Record](ctx context.Context, c *courier.Courier, record, key string, rows []R) error {
	b, err := schemas.Encode(schemas.Header{Run: run, Key: key, Seed: stages.Seed(1, key, 0)}, rows)
	if err != nil {
		return err
	}
	_, err = c.Publish(ctx, record, b, nil)
	_ = c.Broker.Announce(ctx, broker.Hint, run, nil)
	return err
}

// sleeper is a stage whose items take time and nothing else.
type sleeper struct{ mean time.Duration }

func (sleeper) Spec() stages.Spec {
	return stages.Spec{
		Name: stage, Wakes: "root", Reads: "score/v2", Writes: "candidate", Schema: "score/v2", NoPolicy: true,
	}
}

func (s sleeper) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	share := time.Duration(in.Header.Seed % 1000)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.mean/2 + s.mean*share/1000):
	}
	b, err := schemas.Encode(in.Header, []schemas.Score{{}})
	if err != nil {
		return err
	}
	return out.Result(b)
}

// threadWorker is a worker in this process.
type threadWorker struct {
	cancel context.CancelFunc
	leave  chan struct{}
	once   sync.Once
	done   chan error
}

func (w Workload) start(c *courier.Courier) scale.Worker {
	ctx, cancel := context.WithCancel(context.Background())
	t := &threadWorker{cancel: cancel, leave: make(chan struct{}), done: make(chan error, 1)}
	wk := &worker.Worker{
		Courier: c, Stages: []stages.Stage{sleeper{w.Item}}, Name: "sleeper", Slots: w.Slots, Leave: t.leave,
		Log: slog.New(slog.DiscardHandler),
	}
	go func() { t.done <- wk.Run(ctx) }()
	return t
}

func (t *threadWorker) Drain()      { t.once.Do(func() { close(t.leave) }) }
func (t *threadWorker) Stop()       { t.cancel() }
func (t *threadWorker) Wait() error { return <-t.done }
