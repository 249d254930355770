package scale_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"itool/ops/scale"
)

// factory makes workers that are only remembered.
type factory struct {
	mu      sync.Mutex
	waiting int
	all     []*fake
	fails   bool
}

type fake struct {
	device           string
	drained, stopped bool
	end              chan error
}

func (f *fake) Drain()      { f.drained = true }
func (f *fake) Stop()       { f.stopped = true; f.end <- nil }
func (f *fake) Wait() error { return <-f.end }

func (f *factory) start(device string) (scale.Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &fake{device: device, end: make(chan error, 1)}
	f.all = append(f.all, w)
	if f.fails {
		w.end <- errors.New("out of memory")
	}
	return w, nil
}

func (f *factory) backlog(context.Context) (waiting, inWork int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting, 0, nil
}

func (f *factory) set(waiting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = waiting
}

func (f *factory) pool() *scale.Pool {
	return &scale.Pool{
		Limits:  scale.Limits{Max: 3, Slots: 1, Quiet: 10 * time.Second},
		Backlog: f.backlog, Start: f.start, Log: slog.New(slog.DiscardHandler),
	}
}

// TestDevices: a worker that drains keeps its place until it has ended, and the next one gets that place.
func TestDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &factory{waiting: 9}
		p := f.pool()
		p.Max, p.Devices = 9, []string{"0", "1", "1"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		devices := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, w := range f.all {
				got = append(got, w.device)
			}
			if !slices.Equal(got, want) {
				t.Errorf("workers were started on %q, want %q", got, want)
			}
		}
		devices("0", "1", "1")
		f.set(1)
		time.Sleep(13 * time.Second)
		f.set(9)
		time.Sleep(5 * time.Second)
		devices("0", "1", "1") // two of them drain
		if f.all[0].drained || !f.all[1].drained || !f.all[2].drained {
			t.Error("not the youngest drain")
		}
		f.all[1].end <- nil
		devices("0", "1", "1", "1")
		cancel()
		synctest.Wait()
		if !f.all[0].stopped || !f.all[2].stopped || !f.all[3].stopped {
			t.Error("workers were not stopped")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestFailingWorkers are not started again and again.
func TestFailingWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &factory{waiting: 1, fails: true}
		p := f.pool()
		p.Max = 1
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := len(f.all); n < 10 || n > 20 { // 1, 2, 4 … 32 s, then a minute
			t.Errorf("%d workers were started within ten minutes", n)
		}
	})
}

// TestIdleUntil: the pool leaves when there was nothing to do for long, and lets its workers go.
func TestIdleUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &factory{waiting: 2}
		p := f.pool()
		p.IdleUntil = time.Minute
		began, done := time.Now(), make(chan error)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(30 * time.Second)
		f.set(0)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		for _, w := range f.all {
			if !w.drained || w.stopped {
				t.Errorf("got %+v", w)
			}
			w.end <- nil
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 89*time.Second || took > 92*time.Second {
			t.Errorf("it left after %v", took)
		}
	})
}

// TestBrokenBacklog: while the backlog cannot be read, the number of workers stays.
func TestBrokenBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &factory{waiting: 2}
		p := f.pool()
		reads := 0
		p.Backlog = func(ctx context.Context) (int, int, error) {
			if reads++; reads > 3 {
				return 0, 0, fmt.Errorf("no answer")
			}
			return f.backlog(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(f.all) != 2 || f.all[0].drained || f.all[1].drained {
			t.Errorf("%d workers", len(f.all))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
