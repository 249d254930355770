package retire_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"itool/broker"
	"itool/ops/retire"
	"itool/ops/site"
)

// Only a run that exists can be retired, and only one that has ended.
func ExampleRun() {
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
	_, err = retire.Run(ctx, s.Courier, "r1", retire.Options{})
	fmt.Println(errors.Is(err, broker.ErrNoRun))
	if err := s.Broker.CreateRun(ctx, "r1", 1<<20); err != nil {
		log.Fatal(err)
	}
	_, err = retire.Run(ctx, s.Courier, "r1", retire.Options{})
	fmt.Println(err)
	done, err := retire.Run(ctx, s.Courier, "r1", retire.Options{Force: true})
	fmt.Println(done.Bytes, done.Kept, err)
	// Output:
	// true
	// run r1 has not ended: `itool cancel r1` ends it, and --force retires it as it is
	// 1048576 false <nil>
}
