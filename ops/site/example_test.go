package site_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"itool/ops/site"
)

// A folder becomes a place for runs; no other process can reach this one.
func ExampleOpenFolder() {
	dir, err := os.MkdirTemp("", "runs-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := site.OpenFolder(ctx, dir, site.NoPort, slog.New(slog.DiscardHandler))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	runs, err := s.Broker.Runs(ctx)
	fmt.Println(len(runs), "runs,", err, site.HasRuns(dir))
	// Output: 0 runs, <nil> true
}
