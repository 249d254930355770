package courier_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/schemas"
)

func publish[R schemas.Record](t *testing.T, c *courier.Courier, record string, round int, key string, rows []R) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Round: round, Key: key}, rows)
	if err == nil {
		_, err = c.Publish(t.Context(), record, b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start writes a start message whose row describes the run named in it.
func start(t *testing.T, c *courier.Courier, name, described string) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: name, Key: schemas.KeyRun}, []schemas.Run{{Name: described, Seed: 7}})
	if err == nil {
		err = c.Broker.Start(t.Context(), name, b.Header.Map(), b.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestStarted(t *testing.T) {
	c := couriertest.Open(t)
	start(t, c, "a", "a")
	start(t, c, "b", "somebody else")
	start(t, c, "c", "c")
	if r, err := c.StartedAs(t.Context(), "c"); err != nil || r == nil || r.Seed != 7 {
		t.Errorf("run c behind a damaged one: got %+v, %v", r, err)
	}
	if r, err := c.StartedAs(t.Context(), "d"); err != nil || r != nil {
		t.Errorf("a run that was not started: got %+v, %v", r, err)
	}
	var names []string
	var last error
	for r, err := range c.Started(t.Context()) {
		if last = err; err == nil {
			names = append(names, r.Name)
		}
	}
	if !slices.Equal(names, []string{"a"}) || last == nil || !strings.Contains(last.Error(), "run b") {
		t.Errorf("got %q, then %v; want a, then an error about run b", names, last)
	}
}

func TestRecordsOfOneRow(t *testing.T) {
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), run, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.End(t.Context(), run); !errors.Is(err, broker.ErrNotExist) {
		t.Errorf("end of a run that goes on: %v", err)
	}
	publish(t, c, schemas.RecordEnd, 0, schemas.KeyEnd, []schemas.End{{Status: schemas.StatusDone}})
	if end, err := c.End(t.Context(), run); err != nil || end.Status != schemas.StatusDone {
		t.Errorf("end: got %+v, %v", end, err)
	}
	if ended, err := c.Ended(t.Context(), run); err != nil || !ended {
		t.Errorf("ended: got %v, %v", ended, err)
	}
	if cancelled, err := c.Cancelled(t.Context(), run); err != nil || cancelled {
		t.Errorf("cancelled: got %v, %v", cancelled, err)
	}
	publish(t, c, schemas.RecordPolicy, 2, schemas.KeyPolicy, []schemas.Policy{})
	var wrong *courier.RowsError
	_, err := c.Policy(t.Context(), run, 2)
	if !errors.As(err, &wrong) || wrong.Rows != 0 || wrong.Record != "policy.2.policy" {
		t.Errorf("a policy without rows: got %v", err)
	}
}

// What comes after the gather does not count.
func TestResultKeysAreThoseOfTheGather(t *testing.T) {
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), run, 0); err != nil {
		t.Fatal(err)
	}
	keys := func(want ...string) {
		t.Helper()
		if got, err := c.ResultKeys(t.Context(), run, schemas.RecordScore, 1); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	for _, key := range []string{"b", "a"} {
		publish(t, c, schemas.RecordScore, 1, key, []schemas.Score{{ExampleID: key}})
	}
	keys("a", "b")
	gather := []schemas.Gather{{Key: "a"}, {Key: "b"}, {Key: "c", Failed: true}}
	publish(t, c, schemas.RecordGather, 1, schemas.RecordScore, gather)
	publish(t, c, schemas.RecordScore, 1, "c", []schemas.Score{{ExampleID: "c"}})
	keys("a", "b")
	var ids []string
	for rows, err := range courier.AllBatches[schemas.Score](t.Context(), c, run, schemas.RecordScore, 1) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rows[0].ExampleID)
	}
	if !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("all that is in the stream: got %q", ids)
	}
}
