package gc_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"itool/ops/gc"
	"itool/ops/site"
)

// An object of a run that does not exist is waste, once it is old enough.
func ExampleFind() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "itool-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := site.OpenFolder(ctx, dir, site.NoPort, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	defer s.Close()
	if _, err := s.Store.Put(ctx, "runs/gone/bodies/1.zst", strings.NewReader("body"), -1); err != nil {
		panic(err)
	}
	for _, later := range []time.Duration{time.Hour, 48 * time.Hour} {
		w, err := gc.Find(ctx, s.Courier, gc.Options{OlderThan: 24 * time.Hour, Now: time.Now().Add(later)})
		fmt.Println(len(w.Objects), w.Young, w.Needed, err)
	}
	// Output:
	// 0 1 0 <nil>
	// 1 0 0 <nil>
}
