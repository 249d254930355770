package job_test

import (
	"context"
	"errors"
	"testing"

	"itool/ops/job"
	"itool/ops/line"
)

// TestStates: Await returns for a run that has ended and for one that stalls, whether that
// is known before or comes later, and ends with its context.
func TestStates(t *testing.T) {
	s := job.NewStates()
	s.Set(line.State{Run: "a", Ended: true, Status: "done"})
	if st, err := s.Await(t.Context(), "a"); err != nil || st.Status != "done" {
		t.Errorf("known before: %+v, %v", st, err)
	}
	got := make(chan line.State)
	go func() {
		st, err := s.Await(t.Context(), "b")
		if err != nil {
			t.Error(err)
		}
		got <- st
	}()
	s.Set(line.State{Run: "b"}) // goes on
	s.Set(line.State{Run: "b", Stalled: "no disk"})
	if st := <-got; st.Stalled != "no disk" {
		t.Errorf("later: %+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Await(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("an unknown run: got %v, want context.Canceled", err)
	}
}
