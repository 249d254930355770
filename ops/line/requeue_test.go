package line_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"itool/broker"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// A run that stalls because items were given up goes on once they are tried again.
func TestRequeue(t *testing.T) {
	c := couriertest.Open(t)
	cfg := line.Default()
	cfg.Rounds = 1
	start(t, c, cfg)
	s := (&world{}).line()
	var mended atomic.Bool
	var again atomic.Int64
	replace(s, "expand", func(in stages.Input, exs []schemas.Example) ([]schemas.Candidate, error) {
		if strings.HasSuffix(exs[0].ID, "0") && !mended.Load() {
			return nil, stages.Reject(errors.New("out of order"))
		}
		again.Add(1)
		return []schemas.Candidate{{Parent: -1, ExampleID: exs[0].ID}}, nil
	})
	workOn(t, c, s)
	stalled := keep(t, c, 1)
	if !strings.Contains(stalled.Stalled, "root items of round 0 failed") {
		t.Fatalf("got %+v, want a stalled round", stalled)
	}
	failed, err := c.Broker.Count(t.Context(), "r", "failed.0.*")
	if err != nil || failed == 0 {
		t.Fatalf("%d items failed, %v", failed, err)
	}
	mended.Store(true)
	before := again.Load()
	done, err := line.Rows(nil).Requeue(t.Context(), c, "r")
	if err != nil || done.Items != failed || len(done.Late) > 0 {
		t.Fatalf("got %+v, %v, want all %d items", done, err, failed)
	}
	// A keeper that looks just now does not find the run stalled.
	if got := keep(t, c, 1); got.Status != schemas.StatusDone {
		t.Fatalf("got %+v, want the run to be done", got)
	}
	if n := again.Load() - before; n != int64(failed) {
		t.Errorf("%d trees were searched, want the %d that failed", n, failed)
	}
	var over *line.OverError
	if _, err := line.Rows(nil).Requeue(t.Context(), c, "r"); !errors.As(err, &over) {
		t.Errorf("after the end: %v", err)
	}
}

// Items whose round was closed without them come too late.
func TestRequeueTooLate(t *testing.T) {
	c := couriertest.Open(t)
	cfg := line.Default()
	cfg.Rounds, cfg.Quorum = 3, 0.5
	start(t, c, cfg)
	w := &world{failing: "s0-00000"}
	s := w.line()
	replace(s, "update", func(stages.Input, []schemas.Pair) ([]schemas.Policy, error) {
		return nil, errors.New("not yet")
	})
	workOn(t, c, s)
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
	eventually(t, "round 0 is gathered", func() bool {
		for m, err := range c.Broker.Started(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Step(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		gather := broker.Address{Run: "r", Record: schemas.RecordGather, Key: schemas.RecordPair}
		closed, err := c.Broker.Has(t.Context(), gather)
		return err == nil && closed
	})
	done, err := line.Rows(nil).Requeue(t.Context(), c, "r")
	if err != nil || done.Items != 0 || len(done.Late) != 1 || done.Late[0] != "expand 0 s0-00000" {
		t.Errorf("got %+v, %v, want one item that is too late", done, err)
	}
}
