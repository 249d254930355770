package line_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// keepWith runs a keeper that says soon that no worker takes an item.
func keepWith(t *testing.T, c *courier.Courier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet, NoWorkerAfter: 200 * time.Millisecond}
	go func() {
		defer close(done)
		_ = k.Run(ctx, 50*time.Millisecond, nil)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// says waits until the run's status says a text, with the remedy.
func says(t *testing.T, c *courier.Courier, run, want string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := line.ReadStatus(t.Context(), c, run)
		if err != nil {
			t.Fatal(err)
		}
		if s != nil {
			if last = s.Stalled + " | " + strings.Join(s.Waiting, " | "); strings.Contains(last, want) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the status of %s says %q, want %q", run, last, want)
		}
	}
}

// held is a stage that says that it has begun, and goes on when it may finish.
type held struct {
	stages.Stage
	begun, finish chan bool
}

func (h held) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	select {
	case h.begun <- true:
	case <-h.finish:
	case <-ctx.Done(): // the test failed
		return ctx.Err()
	}
	select {
	case <-h.finish:
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.Stage.Process(ctx, in, out)
}

// without leaves out a stage.
func without(s []stages.Stage, name string) (rest []stages.Stage) {
	for _, x := range s {
		if x.Spec().Name != name {
			rest = append(rest, x)
		}
	}
	return rest
}

// TestStalls: each cause is named with its remedy, and the run goes on when the cause
// is gone.
func TestStalls(t *testing.T) {
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 1, 8
	ends := func(t *testing.T, c *courier.Courier) {
		t.Helper()
		eventually(t, "the run ends", func() bool {
			end, err := c.End(t.Context(), "r")
			return err == nil && end.Status == "done"
		})
	}
	for _, name := range []string{"split", "warmup", "score", "select", "expand", "filter", "update", "evaluate"} {
		t.Run("no worker for "+name, func(t *testing.T) {
			t.Parallel()
			c := couriertest.Open(t)
			start(t, c, cfg)
			workOn(t, c, without((&world{}).line(), name))
			keepWith(t, c)
			says(t, c, "r", "no worker takes "+name)
			says(t, c, "r", "`itool work "+name+"`")
			work(t, c, &world{})
			ends(t, c)
		})
	}
	t.Run("a worker whose only slot is taken", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Open(t)
		start(t, c, cfg)
		begun, finish := make(chan bool), make(chan bool)
		all := (&world{}).line()
		for i, s := range all {
			if s.Spec().Name == "evaluate" {
				all[i] = held{s, begun, finish}
			}
		}
		workIn(t, c, all, 1)
		keepWith(t, c)
		<-begun
		for range 20 { // ten times as long as the keeper waits: others have no slot, but one more worker is no remedy
			time.Sleep(100 * time.Millisecond)
			if s, err := line.ReadStatus(t.Context(), c, "r"); err != nil || s != nil && len(s.Waiting) > 0 {
				t.Fatalf("the status says %+v, %v", s, err)
			}
		}
		q, err := c.Broker.Queues(t.Context(), "r") // either was there first
		if err != nil || q["warmup"].Pending+q["score"].Pending == 0 || q["warmup"].InFlight+q["score"].InFlight > 0 {
			t.Fatalf("%+v, %v: warmup or score was to wait", q, err)
		}
		close(finish)
		ends(t, c)
	})
	t.Run("items failed below the quorum", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Open(t)
		start(t, c, cfg)
		work(t, c, &world{failing: "s0-00000"})
		keepWith(t, c)
		says(t, c, "r", "`itool failed r`")
	})
	t.Run("a newer record", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Open(t)
		start(t, c, cfg)
		s := without((&world{}).line(), "filter")
		workOn(t, c, s)
		stop := keepWith(t, c)
		says(t, c, "r", "no worker takes filter")
		stop()
		keys, err := c.Broker.Keys(t.Context(), "r", "candidate", 0)
		if err != nil || len(keys) == 0 {
			t.Fatalf("%v, %v", keys, err)
		}
		b, err := schemas.Encode(schemas.Header{Run: "r", Key: keys[0]}, []schemas.Pair{})
		if err != nil {
			t.Fatal(err)
		}
		h := b.Header.Map()
		h["itool-schema"] = "pair/v99"
		at := broker.Address{Run: "r", Record: "pair", Key: keys[0]}
		if _, err := c.Broker.Publish(t.Context(), at, h, b.Body); err != nil {
			t.Fatal(err)
		}
		keepWith(t, c)
		says(t, c, "r", "needs pair/v99")
	})
	t.Run("the store lost the body of a result", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Open(t)
		start(t, c, cfg)
		s := without((&world{}).line(), "split")
		workOn(t, c, s)
		stop := keepWith(t, c)
		says(t, c, "r", "no worker takes split")
		stop()
		w := &world{}
		workOn(t, c, []stages.Stage{w.stage(line.Rows(nil)[0].Spec())})
		eventually(t, "the examples are there", func() bool {
			n, err := c.Broker.Count(t.Context(), "r", "example.0.*")
			return err == nil && n == 2
		})
		m, err := c.Broker.Get(t.Context(), broker.Address{Run: "r", Record: "example", Key: "s0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Broker.Remove(t.Context(), m.Address, m.Sequence); err != nil {
			t.Fatal(err)
		}
		m.Header["itool-claim"], m.Header["itool-size"] = "runs/r/bodies/lost.zst", fmt.Sprint(len(m.Data))
		if _, err := c.Broker.Publish(t.Context(), m.Address, m.Header, nil); err != nil {
			t.Fatal(err)
		}
		keepWith(t, c)
		says(t, c, "r", "waiting: store")
	})
	t.Run("no room at the broker", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Start(t, 8<<20).Connect(t)
		start(t, c, cfg)
		keepWith(t, c)
		says(t, c, "r", "the broker has no room")
	})
	t.Run("no keeper", func(t *testing.T) {
		t.Parallel()
		c := couriertest.Open(t)
		if err := c.Broker.CreateRun(t.Context(), "r", 1<<20); err != nil {
			t.Fatal(err)
		}
		v, err := line.Rows(nil).Look(t.Context(), c, "r")
		if waits := strings.Join(v.Waits(), ""); err != nil || !strings.Contains(waits, "`itool work keeper`") {
			t.Errorf("got %q, %v", waits, err)
		}
	})
}
