package stagetest_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/stagetest"
)

// faulty is the doubler with one fault.
type faulty struct {
	doubler
	process func(ctx context.Context, honest stages.Stage, in stages.Input, out stages.Output) error
}

func (f faulty) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	return f.process(ctx, f.doubler, in, out)
}

var calls atomic.Int64

// Short names for the signatures below.
type (
	stage  = stages.Stage
	input  = stages.Input
	output = stages.Output
)

// faults by name, with the subtest of Run that must catch each.
var faults = map[string]struct {
	caught string
	trains bool
	fault  func(ctx context.Context, honest stage, in input, out output) error
}{
	"no result": {"result", false, func(context.Context, stage, input, output) error { return nil }},
	"two results": {"result", false, func(ctx context.Context, s stage, in input, out output) error {
		if err := s.Process(ctx, in, out); err != nil {
			return err
		}
		return s.Process(ctx, in, out)
	}},
	"another schema": {"result", false, func(_ context.Context, _ stage, in input, out output) error {
		return stages.Result(in, out, []schemas.Pair{{}})
	}},
	"counts its calls": {"again", false, func(_ context.Context, _ stage, in input, out output) error {
		return stages.Result(in, out, []schemas.Score{{Tokens: int32(calls.Add(1))}})
	}},
	"forgets the checkpoint": {"resume", true, func(ctx context.Context, s stage, in input, out output) error {
		if in.Resume != nil {
			rows, err := stages.Rows[schemas.Score](in.Batches)
			if err != nil {
				return err
			}
			return stages.Result(in, out, rows) // not doubled
		}
		return s.Process(ctx, in, out)
	}},
	"ignores the context": {"cancelled", false, func(_ context.Context, s stage, in input, out output) error {
		return s.Process(context.Background(), in, out)
	}},
	"rejects when cancelled": {"cancelled", false, func(ctx context.Context, s stage, in input, out output) error {
		err := s.Process(ctx, in, out)
		if ctx.Err() != nil {
			return stages.Reject(ctx.Err())
		}
		return err
	}},
	"retries junk": {"junk", false, func(ctx context.Context, s stage, in input, out output) error {
		if err := s.Process(ctx, in, out); stages.IsReject(err) {
			return fmt.Errorf("%v", err)
		} else {
			return err
		}
	}},
	"ignores the section": {"configuration", false, func(ctx context.Context, s stage, in input, out output) error {
		in.Config = nil
		return s.Process(ctx, in, out)
	}},
	"rejects for the store": {"store", false, func(ctx context.Context, s stage, in input, out output) error {
		err := s.Process(ctx, in, out)
		if err != nil && ctx.Err() == nil {
			return stages.Reject(err)
		}
		return err
	}},
	"works without a policy": {"policy", true, func(ctx context.Context, s stage, in input, out output) error {
		if _, err := fs.Stat(in.Policy, "weights"); err != nil {
			return doubler{}.Process(ctx, in, out)
		}
		return s.Process(ctx, in, out)
	}},
}

const faultVariable = "STAGETEST_FAULT"

// TestFaulty runs the suite on the fault that the environment names, and should fail.
func TestFaulty(t *testing.T) {
	name := os.Getenv(faultVariable)
	if name == "" {
		return // TestRunCatches starts it
	}
	f := faults[name]
	stagetest.Run(t, faulty{doubler{f.trains}, f.fault}, stagetest.Case{Item: item(t)})
}

// TestRunCatches: each fault is found by the subtest that tests for it.
func TestRunCatches(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestFaulty$", "-test.v")
			cmd.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passed it:\n%s", out)
			}
			lines := strings.Split(string(out), "\n")
			if !slices.ContainsFunc(lines, func(s string) bool {
				return strings.HasPrefix(strings.TrimSpace(s), "--- FAIL: TestFaulty/"+f.caught)
			}) {
				t.Errorf("not caught by %q:\n%s", f.caught, out)
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the suite panicked:\n%s", out)
			}
		})
	}
}
