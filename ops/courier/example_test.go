package courier_test

import (
	"context"
	"fmt"
	"os"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/schemas"
	"itool/storage/disk"
)

// Publish a batch of scores and read its rows, over a broker and a store in this process.
func Example() {
	if err := scores(); err != nil {
		fmt.Println(err)
	}
	// Output: true s0-17 1.5
}

func scores() error {
	dir, err := os.MkdirTemp("", "courier-example-")
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
	if err := b.CreateRun(ctx, "demo", 1<<20); err != nil {
		return err
	}

	h := schemas.Header{Run: "demo", Round: 1, Key: "b000003"}
	batch, err := schemas.Encode(h, []schemas.Score{{ExampleID: "s0-17", Perplexity: 1.5}})
	if err != nil {
		return err
	}
	stored, err := c.Publish(ctx, schemas.RecordScore, batch, nil)
	if err != nil {
		return err
	}
	rows, _, err := courier.Rows[schemas.Score](ctx, c, "demo", schemas.RecordScore, 1, "b000003")
	if err != nil {
		return err
	}
	fmt.Println(stored, rows[0].ExampleID, rows[0].Perplexity)
	return nil
}
