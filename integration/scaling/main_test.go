package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"itool/broker"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/stages"
	"itool/storage/disk"
)

// The settings of a worker that is a process of its own: the test binary started again.
const (
	brokerVar = "ITOOL_SCALING_TEST_BROKER"
	storeVar  = "ITOOL_SCALING_TEST_STORE"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(brokerVar); url != "" {
		fmt.Fprintln(os.Stderr, drain(url, os.Getenv(storeVar)))
		os.Exit(1)
	}
	os.Exit(rig.Main(m))
}

// drain is a worker whose items take no time.
func drain(url, store string) error {
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
		Courier: &courier.Courier{Broker: b, Store: s}, Stages: []stages.Stage{sleeper{}}, Name: "drain", Slots: 16,
		Log: slog.New(slog.DiscardHandler),
	}
	return wk.Run(ctx)
}
