package conform_test

import (
	"context"
	"log/slog"
	"os"
	"time"

	"itool/ops/conform"
	"itool/stages/policy"
)

// A filter in Python is checked against the wire format; what was found is printed.
func Example() {
	check := func(ctx context.Context, e *policy.Engine, dir string) error {
		r, err := conform.Run(ctx, conform.Options{
			Stage: "filter", Command: []string{"python3", "filter.py", "{broker}", "{store}", "{run}"},
			Dir: dir, Engine: e, AckWait: 2 * time.Second, Patience: time.Minute, Log: slog.Default(),
		})
		if err != nil {
			return err
		}
		return r.Text(os.Stdout)
	}
	_ = check
}
