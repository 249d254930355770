package worker_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// mortal is a worker that can die like a killed process: from one moment on it reaches neither broker
// nor store.
type mortal struct {
	courier *courier.Courier
	store   *flaky
	cancel  context.CancelFunc
	done    chan error
}

func spawn(t *testing.T, s *couriertest.Site, line ...stages.Stage) *mortal {
	t.Helper()
	c := s.Connect(t)
	m := &mortal{courier: c, store: &flaky{store: c.Store}, done: make(chan error, 1)}
	c.Store = m.store
	wk := &worker.Worker{
		Courier: c, Stages: line, Name: "mortal", Slots: 2,
		AckWait: time.Second, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	m.cancel = cancel
	go func() { m.done <- wk.Run(ctx) }()
	return m
}

func (m *mortal) kill() {
	m.store.fail.Store(1 << 60)
	m.courier.Broker.Close()
	m.cancel()
	<-m.done
}

// Workers die more often than an item may fail, at any point: between deposit, publish and ack,
// between a checkpoint and its pointer. No item is lost or given up, and the results are those of an
// undisturbed run.
func TestDyingAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("kills workers for some 15 seconds")
	}
	t.Parallel()
	s := couriertest.Start(t, 0)
	w := &world{t, s.Connect(t)}
	w.another(run)
	const items, steps = 40, 60
	rows := make([]schemas.Score, 12000) // claim-checked
	for i := range items {
		for j := range rows {
			rows[j].ExampleID = fmt.Sprintf("%08d", i+j*7919)
		}
		put(w, "root", 0, fmt.Sprintf("k%02d", i), rows)
	}
	put(w, "gather", 0, "pair", []schemas.Gather{})

	slow := doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if err := out.Attach(ctx, "tree", strings.NewReader(in.Header.Key)); err != nil {
			return err
		}
		return echo(ctx, in, out)
	}}
	// The trainer adds up its steps, so a step that is done twice or skipped changes the result.
	trains := doer{gathering, func(ctx context.Context, in stages.Input, out stages.Output) error {
		step, sum := 0, 0
		if in.Resume != nil {
			b, err := fs.ReadFile(in.Resume, "state")
			if err != nil {
				return err
			}
			if _, err := fmt.Sscan(string(b), &step, &sum); err != nil {
				return stages.Reject(err)
			}
		}
		for ; step < steps; step++ {
			sum += step * step
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
			if err := out.Checkpoint(ctx, step+1, file("state", fmt.Sprint(step+1, " ", sum))); err != nil {
				return err
			}
		}
		b, err := schemas.Encode(in.Header, []schemas.Score{{ExampleID: strconv.Itoa(sum)}})
		if err != nil {
			return err
		}
		return out.Result(b)
	}}

	rng, deaths := rand.New(rand.NewPCG(1, 2)), 0
	for ; deaths < worker.MaxAttempts+2; deaths++ {
		m := spawn(t, s, slow, trains)
		newest := func() string { return slices.Max(append(holding(w.keys(resumes), "/steps/"), "")) }
		before := newest()
		// Until the trainer is at work.
		for end := time.Now().Add(5 * time.Second); newest() == before && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		m.kill()
	}
	m := spawn(t, s, slow, trains)
	defer m.kill()
	want := 0
	for i := range steps {
		want += i * i
	}
	if rows, _ := await[schemas.Score](w, "policy", 1, "policy"); rows[0].ExampleID != strconv.Itoa(want) {
		t.Errorf("the trainer got %s after %d deaths, want %d", rows[0].ExampleID, deaths, want)
	}
	for i := range items {
		rows, _ := await[schemas.Score](w, "candidate", 0, fmt.Sprintf("k%02d", i))
		if len(rows) != 12000 || rows[5].ExampleID != fmt.Sprintf("%08d", i+5*7919) {
			t.Errorf("item %d: %d rows", i, len(rows))
		}
	}
	w.settled("expand")
	w.settled("update")
	w.noFailures()
}
