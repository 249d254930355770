package job_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"itool/ops/config"
	"itool/ops/job"
	"itool/ops/site"
	"itool/stages/policy"
)

// A whole run in a folder, in this process. The same call again goes on where it was interrupted.
func Example() {
	run := func(ctx context.Context) error {
		s, err := site.OpenFolder(ctx, "runs", site.NoPort, slog.Default())
		if err != nil {
			return err
		}
		defer s.Close()
		e, err := policy.NewEngine(policy.Options{})
		if err != nil {
			return err
		}
		j := job.Job{
			Request: job.Request{
				Name: "mine", Base: os.DirFS("base"), Files: []string{"rows.jsonl"}, Config: config.Default(),
			},
			Local: job.Local{Courier: s.Courier, Engine: e, Worker: "here", Slots: 2, Log: slog.Default()},
		}
		if err := j.Publish(ctx); err != nil {
			return err
		}
		end, err := j.Work(ctx)
		fmt.Println(end.Status)
		return err
	}
	_ = run
}
