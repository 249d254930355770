package line_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// startAs starts a run under a name. Its seed tells it from other runs of that name.
func startAs(t *testing.T, c *courier.Courier, run string, seed uint64, cfg line.Config) {
	t.Helper()
	section, err := json.Marshal(map[string]any{"line": cfg})
	if err != nil {
		t.Fatal(err)
	}
	shards, err := json.Marshal([]schemas.Shard{{Key: "s0", Rows: 40}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := schemas.Encode(schemas.Header{Run: run, Key: schemas.KeyRun}, []schemas.Run{
		{Name: run, Seed: seed, Config: string(section), ConfigDigest: "cfg", Base: "base", Dataset: string(shards)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Start(t.Context(), run, b.Header.Map(), b.Body); err != nil {
		t.Fatal(err)
	}
}

// keeper runs a keeper in the background. The function that it returns gives a run's last state.
func keeper(t *testing.T, c *courier.Courier, interval time.Duration) func(run string) line.State {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	states := map[string]line.State{}
	var wg sync.WaitGroup
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
	wg.Go(func() {
		err := k.Run(ctx, interval, func(s line.State) {
			mu.Lock()
			defer mu.Unlock()
			states[s.Run] = s
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the keeper ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func(run string) line.State {
		mu.Lock()
		defer mu.Unlock()
		return states[run]
	}
}

// eventually waits long, for a busy machine; what happens at once costs no time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen: %s", what)
		}
	}
}

// A damaged start message ends its own run visibly, and holds up no other run.
func TestJunkStarts(t *testing.T) {
	good := func(t *testing.T, change func(*schemas.Run)) (map[string]string, []byte) {
		r := schemas.Run{Name: "a", Config: "{}", ConfigDigest: "cfg", Base: "base"}
		r.Dataset = `[{"key":"s0","rows":40}]`
		if change != nil {
			change(&r)
		}
		b, err := schemas.Encode(schemas.Header{Run: "a", Key: "run"}, []schemas.Run{r})
		if err != nil {
			t.Fatal(err)
		}
		return b.Header.Map(), b.Body
	}
	for name, c := range map[string]struct {
		start           func(t *testing.T) (map[string]string, []byte)
		failed, stalled string
	}{
		"nothing at all": {start: func(t *testing.T) (map[string]string, []byte) {
			return nil, nil
		}, failed: "start message"},
		"junk": {start: func(t *testing.T) (map[string]string, []byte) {
			h, _ := good(t, nil)
			return h, []byte("junk")
		}, failed: "start message"},
		"a junk header": {start: func(t *testing.T) (map[string]string, []byte) {
			h, b := good(t, nil)
			h["itool-rows"] = "x"
			return h, b
		}, failed: "itool-rows"},
		"the name of another run": {start: func(t *testing.T) (map[string]string, []byte) {
			return good(t, func(r *schemas.Run) { r.Name = "b" })
		}, failed: `"b"`},
		"a dataset that is not JSON": {start: func(t *testing.T) (map[string]string, []byte) {
			return good(t, func(r *schemas.Run) { r.Dataset = "?" })
		}, failed: "dataset"},
		"a shard without a name": {start: func(t *testing.T) (map[string]string, []byte) {
			return good(t, func(r *schemas.Run) { r.Dataset = `[{"key":"a.b"}]` })
		}, failed: "dataset"},
		"a newer record": {start: func(t *testing.T) (map[string]string, []byte) {
			h, b := good(t, nil)
			h["itool-schema"] = "run/v3"
			return h, b
		}, stalled: "run/v3"},
		"a setting of another version": {start: func(t *testing.T) (map[string]string, []byte) {
			return good(t, func(r *schemas.Run) { r.Config = `{"line":{"colour":1}}` })
		}, stalled: "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			h, body := c.start(t)
			if err := cr.Broker.Start(t.Context(), "a", h, body); err != nil { // before the good one
				t.Fatal(err)
			}
			start(t, cr, line.Default())
			work(t, cr, &world{})
			state := keeper(t, cr, 50*time.Millisecond)
			eventually(t, "the good run ends", func() bool { return state("r").Status == "done" })
			if s := state("a"); c.stalled != "" && (s.Ended || !strings.Contains(s.Stalled, c.stalled)) {
				t.Errorf("got %+v, want it to stall with %q", s, c.stalled)
			}
			if c.failed == "" {
				return
			}
			v, err := line.Rows(nil).Look(t.Context(), cr, "a")
			if err != nil || v.End == nil || v.End.Status != "failed" || !strings.Contains(v.End.Detail, c.failed) {
				t.Errorf("looks like %+v, %v; want it failed with %q", v.End, err, c.failed)
			}
		})
	}
}

// A keeper runs for months. A name may be given to another run meanwhile.
func TestANameIsGivenToAnotherRun(t *testing.T) {
	c := couriertest.Open(t)
	w := &world{}
	cfg := line.Default()
	cfg.Rounds, cfg.Evaluate = 0, "none"
	startAs(t, c, "r", 1, cfg)
	work(t, c, w)
	state := keeper(t, c, 50*time.Millisecond)
	eventually(t, "the first run ends", func() bool { return state("r").Ended })
	if err := c.Broker.DeleteRun(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	startAs(t, c, "r", 2, cfg)
	eventually(t, "the second run ends", func() bool {
		r, _, err := c.Description(t.Context(), "r")
		ended, endErr := c.Ended(t.Context(), "r")
		return err == nil && r.Seed == 2 && endErr == nil && ended
	})
}

// Tasks, gathers and results wake the keepers and workers that wait for them: no step waits for the
// next regular turn.
func TestHintsCarryARun(t *testing.T) {
	c := couriertest.Open(t)
	start(t, c, line.Default())
	work(t, c, &world{})
	began := time.Now()
	state := keeper(t, c, time.Hour) // only hints
	eventually(t, "the run ends", func() bool { return state("r").Status == "done" })
	t.Logf("a run of three rounds with stages that answer at once took %v", time.Since(began).Round(time.Millisecond))
	// Three seconds when nothing else runs, twelve under the race detector.
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v: some step waited for the regular turn", took)
	}
}

func TestStrangeRecords(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *courier.Courier, s []stages.Stage)
		want   string
	}{
		"a selection of an unknown example": {func(_ *courier.Courier, s []stages.Stage) {
			replace(s, "select", func(stages.Input, []schemas.Score) ([]schemas.Selection, error) {
				return []schemas.Selection{{ExampleID: "unknown", Selected: true}}, nil
			})
		}, "unknown"},
		"a policy without rows": {func(_ *courier.Courier, s []stages.Stage) {
			replace(s, "warmup", func(stages.Input, []schemas.Example) ([]schemas.Policy, error) { return nil, nil })
		}, "0 rows"},
		"a failure without rows": {func(c *courier.Courier, s []stages.Stage) {
			replace(s, "warmup", func(stages.Input, []schemas.Example) ([]schemas.Policy, error) {
				b, err := schemas.Encode(schemas.Header{Run: "r", Key: schemas.RecordExample}, []schemas.Failed{})
				if err == nil {
					_, err = c.Publish(context.Background(), schemas.RecordFailed, b, nil)
				}
				return nil, errors.Join(errors.New("later"), err)
			})
		}, "warmup gave up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			start(t, cr, line.Default())
			s := (&world{}).line()
			c.change(cr, s)
			workOn(t, cr, s)
			if got := keep(t, cr, 1); got.Status != "failed" || !strings.Contains(got.Detail, c.want) {
				t.Errorf("got %+v, want it failed with %q", got, c.want)
			}
		})
	}
}

// A failed evaluation, which runs beside the line, does not hold up the training.
func TestAFailedEvaluationStallsTheEndOnly(t *testing.T) {
	c := couriertest.Open(t)
	start(t, c, line.Default())
	s := (&world{}).line()
	replace(s, "evaluate", func(stages.Input, []schemas.Example) ([]schemas.Verdict, error) {
		return nil, stages.Reject(fmt.Errorf("cannot judge"))
	})
	workOn(t, c, s)
	got := keep(t, c, 1)
	if !strings.Contains(got.Stalled, "case items") {
		t.Errorf("got %+v", got)
	}
	if _, err := c.Policy(t.Context(), "r", 3); err != nil {
		t.Errorf("the last policy: %v", err)
	}
}
