package worker_test

import (
	"context"
	"testing"

	"itool/schemas"
	"itool/stages"
)

// TestWorking: a worker says what is in its slots to those who ask, and nothing once it is done.
func TestWorking(t *testing.T) {
	w := newWorld(t)
	begun, finish := make(chan bool, 2), make(chan bool)
	for _, key := range []string{"a", "b"} {
		put(w, "root", 0, key, []schemas.Score{{ExampleID: key}})
	}
	w.start(2, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		begun <- true
		<-finish
		return echo(ctx, in, out)
	}})
	<-begun
	<-begun
	all, err := w.c.Working(t.Context())
	if err != nil || len(all) != 1 || all[0].Run != run || all[0].Stage != "expand" || all[0].Items != 2 {
		t.Errorf("got %+v, %v; want two items of expand", all, err)
	}
	close(finish)
	for _, key := range []string{"a", "b"} {
		await[schemas.Score](w, "candidate", 0, key)
	}
}
