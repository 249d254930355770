package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage/disk"
)

// A worker with one stage, over a broker and a store in this process. It leaves once it was idle for a
// while.
func Example() {
	if err := oneStage(); err != nil {
		fmt.Println(err)
	}
	// Output: k has 1 row
}

func oneStage() error {
	dir, err := os.MkdirTemp("", "worker-example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := embed.Start(embed.Config{Dir: dir + "/broker", InProcessOnly: true})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	ctx := context.Background()
	b, err := broker.Connect(ctx, broker.Config{InProcess: server})
	if err != nil {
		return err
	}
	defer b.Close()
	store, err := disk.Open(dir + "/store")
	if err != nil {
		return err
	}
	c := &courier.Courier{Broker: b, Store: store}

	// What a keeper does: it opens the run, describes it and writes a task.
	if err := b.CreateRun(ctx, "demo", 1<<20); err != nil {
		return err
	}
	run := []schemas.Run{{Name: "demo", Config: "{}", ConfigDigest: "cfg"}}
	if err := task(ctx, c, schemas.RecordRun, schemas.KeyRun, run); err != nil {
		return err
	}
	if err := task(ctx, c, schemas.RecordRoot, "k", []schemas.Score{{ExampleID: "s0-17"}}); err != nil {
		return err
	}

	// perItem wakes on root and writes candidate; echo answers with the rows that it gets.
	w := &worker.Worker{
		Courier: c, Stages: []stages.Stage{doer{perItem, echo}}, Name: "w1", Slots: 1,
		IdleUntil: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	rows, h, err := courier.Rows[schemas.Score](ctx, c, "demo", schemas.RecordCandidate, 0, "k")
	if err != nil {
		return err
	}
	fmt.Println(h.Key, "has", len(rows), "row")
	return nil
}

func task[R schemas.Record](ctx context.Context, c *courier.Courier, record, key string, rows []R) error {
	batch, err := schemas.Encode(schemas.Header{Run: "demo", Key: key, Config: "cfg"}, rows)
	if err == nil {
		_, err = c.Publish(ctx, record, batch, nil)
	}
	return err
}
