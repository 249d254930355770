//go:build linux

package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"itool/ops/courier/couriertest"
	"itool/schemas"
	"itool/stages"
	"itool/storage/disk"
)

// On a full disk an item waits, is shown as waiting for it, and goes on when there is room.
func TestAFullStore(t *testing.T) {
	w := newWorld(t)
	dir := couriertest.SmallDisk(t, 4<<20)
	store, err := disk.Open(dir + "/store")
	if err != nil {
		t.Fatal(err)
	}
	w.c.Store = store
	rows := make([]schemas.Score, 20000) // too large for a message
	for i := range rows {
		rows[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	put(w, "root", 0, "k", rows[:1])
	free := couriertest.Fill(t, dir)
	w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		b, err := schemas.Encode(in.Header, rows)
		if err != nil {
			return err
		}
		return out.Result(b)
	}})
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		all, err := w.c.Waiting(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && all[0].Run == run && all[0].Stage == "expand" && strings.HasPrefix(all[0].What, "disk: ") {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("got %+v, want that the item waits for the disk", all)
		}
	}
	free()
	await[schemas.Score](w, "candidate", 0, "k")
	w.noFailures()
	if all, err := w.c.Waiting(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("still waiting: %+v, %v", all, err)
	}
}
