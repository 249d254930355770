package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"itool/broker"
	"itool/broker/embed"
)

// A worker's whole life with one item.
func Example() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := embed.Start(embed.Config{Dir: dir, InProcessOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Shutdown()
	ctx := context.Background()
	b, err := broker.Connect(ctx, broker.Config{InProcess: s})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	if err := work(ctx, b); err != nil {
		log.Fatal(err)
	}
	// Output:
	// task 0 41af with 0 failed attempts
	// stored: true
	// queue empty: true
}

func work(ctx context.Context, b *broker.Broker) error {
	if err := b.CreateRun(ctx, "r1", 1<<30); err != nil {
		return err
	}
	task := broker.Address{Run: "r1", Record: "task", Round: 0, Key: "41af"}
	if _, err := b.Publish(ctx, task, nil, []byte("an example")); err != nil {
		return err
	}
	p, err := b.Pull(ctx, "r1", "expand", []string{"task.*.*"}, broker.PullOptions{})
	if err != nil {
		return err
	}
	d, err := p.Next(ctx)
	if err != nil {
		return err
	}
	failed, err := d.FailedAttempts(ctx)
	if err != nil {
		return err
	}
	fmt.Println(d.Record, d.Round, d.Key, "with", failed, "failed attempts")
	candidate := d.Address // the key travels unchanged
	candidate.Record = "candidate"
	stored, err := b.Publish(ctx, candidate, d.Header, []byte("what the search found"))
	if err != nil {
		return err
	}
	fmt.Println("stored:", stored)
	if err := d.Ack(ctx); err != nil {
		return err
	}
	_, err = p.Next(ctx)
	fmt.Println("queue empty:", errors.Is(err, broker.ErrEmpty))
	return nil
}
