package line_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
)

// startShards starts a run whose first round has so many tasks.
func startShards(t *testing.T, c *courier.Courier, n int) broker.Message {
	t.Helper()
	shards := make([]schemas.Shard, n)
	for i := range shards {
		shards[i].Key = fmt.Sprintf("s%06d", i)
	}
	dataset, err := json.Marshal(shards)
	if err != nil {
		t.Fatal(err)
	}
	b, err := schemas.Encode(schemas.Header{Run: "r", Key: schemas.KeyRun}, []schemas.Run{
		{Name: "r", Config: "{}", ConfigDigest: "cfg", Base: "base", Dataset: string(dataset)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Start(t.Context(), "r", b.Header.Map(), b.Body); err != nil {
		t.Fatal(err)
	}
	for m, err := range c.Broker.Started(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Fatal("the run was not started")
	return broker.Message{}
}

// A keeper that is publishing thousands of tasks ends the run as soon as it is cancelled.
func TestCancelWhileTasksArePublished(t *testing.T) {
	c := couriertest.Open(t)
	const tasks = 30_000
	start := startShards(t, c, tasks)
	type outcome struct {
		state line.State
		err   error
	}
	ended := make(chan outcome, 1)
	go func() {
		k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
		s, err := k.Step(t.Context(), start)
		ended <- outcome{s, err}
	}()
	published := func() int {
		n, err := c.Broker.Count(t.Context(), "r", "shard.0.*")
		if err != nil && !errors.Is(err, broker.ErrNoRun) {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "tasks are published", func() bool { return published() > 50 })
	begun := time.Now()
	if err := line.Cancel(t.Context(), c, "r"); err != nil {
		t.Fatal(err)
	}
	got := <-ended
	took := time.Since(begun)
	if got.err != nil || got.state.Status != schemas.StatusCancelled || took > 20*time.Second {
		t.Errorf("after %v: %+v, %v; want the run to be cancelled soon", took, got.state, got.err)
	}
	if n := published(); n == tasks {
		t.Errorf("all %d tasks were published: the test has cancelled too late", n)
	}
	var over *line.OverError
	if err := line.Cancel(t.Context(), c, "r"); !errors.As(err, &over) || over.Status != schemas.StatusCancelled {
		t.Errorf("cancelled again: %v, want that it was cancelled", err)
	}
}
