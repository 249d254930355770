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

// Publish a record and read it again. A record is write-once: the second publish changes nothing.
func Example() {
	ctx := context.Background()
	b, stop, err := connectEmbedded(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	if err := b.CreateRun(ctx, "r1", 1<<30); err != nil {
		log.Fatal(err)
	}
	at := broker.Address{Run: "r1", Record: "pair", Round: 0, Key: "41af"}
	for _, text := range []string{"first", "second"} {
		stored, err := b.Publish(ctx, at, map[string]string{"itool-seed": "7"}, []byte(text))
		fmt.Println("stored:", stored, err)
	}
	m, err := b.Get(ctx, at)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s, seed %s\n", m.Address, m.Data, m.Header["itool-seed"])
	// Output:
	// stored: true <nil>
	// stored: false <nil>
	// itool.run.r1.pair.0.41af: first, seed 7
}

// What a worker does with one item: take it, publish the result, ack.
func ExamplePuller() {
	ctx := context.Background()
	b, stop, err := connectEmbedded(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	if err := processOne(ctx, b); err != nil {
		log.Fatal(err)
	}
	// Output:
	// task 0 41af with 0 failed attempts
	// queue empty: true
}

func processOne(ctx context.Context, b *broker.Broker) error {
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
	candidate := d.Address // the result has the key of its task
	candidate.Record = "candidate"
	if _, err := b.Publish(ctx, candidate, d.Header, []byte("the result of the search")); err != nil {
		return err
	}
	if err := d.Ack(ctx); err != nil {
		return err
	}
	_, err = p.Next(ctx)
	fmt.Println("queue empty:", errors.Is(err, broker.ErrEmpty))
	return nil
}

// connectEmbedded starts a server in this process and connects to it.
func connectEmbedded(ctx context.Context) (b *broker.Broker, stop func(), err error) {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		return nil, nil, err
	}
	s, err := embed.Start(embed.Config{Dir: dir, InProcessOnly: true})
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	b, err = broker.Connect(ctx, broker.Config{InProcess: s})
	stop = func() {
		if b != nil {
			b.Close()
		}
		s.Shutdown()
		os.RemoveAll(dir)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return b, stop, nil
}
