package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

// TestTraffic: an observer sees records and the signals of a worker, in their order.
func TestTraffic(t *testing.T) {
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.CreateRun(ctx, "r", 0))
	seen, err := b.Traffic(ctx, "r")
	must(err)
	at := broker.Address{Run: "r", Record: "root", Key: "k"}
	_, err = b.Publish(ctx, at, map[string]string{"itool-key": "k"}, nil)
	must(err)
	q, err := b.Pull(ctx, "r", "expand", []string{"root.*.*"}, broker.PullOptions{})
	must(err)
	d, err := q.Next(ctx)
	must(err)
	must(d.Heartbeat(ctx))
	must(d.Retry(ctx, 0))
	for d, err = q.Next(ctx); errors.Is(err, broker.ErrEmpty); { // it comes again in a moment
		d, err = q.Next(ctx)
	}
	must(err)
	must(d.Ack(ctx))
	var got []string
	for len(got) < 4 {
		select {
		case x := <-seen:
			switch x.Signal {
			case "publish":
				expected := x.Header["Nats-Expected-Last-Subject-Sequence"]
				got = append(got, fmt.Sprint("publish ", x.Address.Key, expected))
			default:
				got = append(got, fmt.Sprint(x.Signal, " ", x.Stage, x.Sequence, x.Deliveries))
			}
		case <-ctx.Done():
			t.Fatalf("seen %q", got)
		}
	}
	if want := "publish k0, heartbeat expand1 1, retry expand1 1, ack expand1 2"; strings.Join(got, ", ") != want {
		t.Errorf("seen %q, want %q", strings.Join(got, ", "), want)
	}
}
