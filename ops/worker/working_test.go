package worker_test

import (
	"context"
	"slices"
	"testing"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// TestWorking: a worker says what is in its slots to those who ask, and which of its stages have none.
func TestWorking(t *testing.T) {
	w := newWorld(t)
	begun, finish := make(chan bool, 2), make(chan bool)
	for _, key := range []string{"a", "b"} {
		put(w, "root", 0, key, []schemas.Score{{ExampleID: key}})
	}
	other := perItem
	other.Name, other.Wakes, other.Writes = "score", "other", "score"
	w.start(2, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		begun <- true
		<-finish
		return echo(ctx, in, out)
	}}, doer{other, echo})
	<-begun
	<-begun
	all, err := w.c.Working(t.Context())
	want := []courier.Working{{Stage: "score", Worker: "w"}, {Run: run, Stage: "expand", Worker: "w", Items: 2}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("got %+v, %v; want two items of expand, and that score has no slot", all, err)
	}
	close(finish)
	for _, key := range []string{"a", "b"} {
		await[schemas.Score](w, "candidate", 0, key)
	}
}
