package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/stages"
	"itool/storage/disk"
)

// The settings of a worker that is a process of its own: the test binary started again.
const (
	brokerVar = "ITOOL_WORKER_TEST_BROKER"
	storeVar  = "ITOOL_WORKER_TEST_STORE"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(brokerVar); url != "" {
		fmt.Fprintln(os.Stderr, runProcess(url, os.Getenv(storeVar)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// poison is the key of the item that kills its process.
const poison = "poison"

// runProcess is a worker of a stage that dies of one item, as if the kernel had killed it for its memory.
func runProcess(url, store string) error {
	ctx := context.Background()
	b, err := broker.Connect(ctx, broker.Config{URL: url})
	if err != nil {
		return err
	}
	defer b.Close()
	s, err := disk.Open(store)
	if err != nil {
		return err
	}
	wk := &worker.Worker{
		Courier: &courier.Courier{Broker: b, Store: s}, Name: "process", Slots: 1, AckWait: 2 * time.Second,
		Log: slog.New(slog.DiscardHandler),
		Stages: []stages.Stage{doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
			if in.Header.Key == poison {
				p, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = p.Kill()
				}
				<-ctx.Done()
				return err
			}
			return echo(ctx, in, out)
		}}},
	}
	return wk.Run(ctx)
}
