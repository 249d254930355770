package stagetest_test

import (
	"context"
	"errors"
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

// A liar is the doubler with one fault.
type liar struct {
	doubler
	process func(ctx context.Context, honest stages.Stage, in stages.Input, out stages.Output) error
}

func (l liar) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	return l.process(ctx, l.doubler, in, out)
}

var calls atomic.Int64

// liars by name, with the subtest of Run that must catch each.
var liars = map[string]struct {
	caught string
	trains bool
	liar   func(ctx context.Context, honest stages.Stage, in stages.Input, out stages.Output) error
}{
	"no result": {"result", false, func(context.Context, stages.Stage, stages.Input, stages.Output) error { return nil }},
	"two results": {"result", false, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		if err := s.Process(ctx, in, out); err != nil {
			return err
		}
		return s.Process(ctx, in, out)
	}},
	"another schema": {"result", false, func(_ context.Context, _ stages.Stage, _ stages.Input, out stages.Output) error {
		b, err := schemas.Encode(schemas.Header{}, []schemas.Pair{{}})
		return errors.Join(err, out.Result(b))
	}},
	"counts its calls": {"again", false, func(_ context.Context, _ stages.Stage, _ stages.Input, out stages.Output) error {
		b, err := schemas.Encode(schemas.Header{}, []schemas.Score{{Tokens: int32(calls.Add(1))}})
		return errors.Join(err, out.Result(b))
	}},
	"forgets the checkpoint": {"resume", true, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		if in.Resume != nil {
			rows, err := stages.Rows[schemas.Score](in.Batches)
			if err != nil {
				return err
			}
			b, err := schemas.Encode(schemas.Header{}, rows) // not doubled
			return errors.Join(err, out.Result(b))
		}
		return s.Process(ctx, in, out)
	}},
	"ignores the context": {"cancelled", false, func(_ context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		return s.Process(context.Background(), in, out)
	}},
	"hides a cancel in a Reject": {"cancelled", false, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		err := s.Process(ctx, in, out)
		if ctx.Err() != nil {
			return stages.Reject(ctx.Err())
		}
		return err
	}},
	"retries junk": {"junk", false, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		if err := s.Process(ctx, in, out); stages.IsReject(err) {
			return fmt.Errorf("%v", err)
		} else {
			return err
		}
	}},
	"ignores its configuration": {"configuration", false, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		in.Config = nil
		return s.Process(ctx, in, out)
	}},
	"rejects for the store": {"store", false, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		err := s.Process(ctx, in, out)
		if err != nil && ctx.Err() == nil {
			return stages.Reject(err)
		}
		return err
	}},
	"needs no policy after all": {"policy", true, func(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) error {
		if _, err := fs.Stat(in.Policy, "weights"); err != nil {
			return doubler{}.Process(ctx, in, out)
		}
		return s.Process(ctx, in, out)
	}},
}

const liarVariable = "STAGETEST_LIAR"

// TestLiar runs the suite on the liar that the environment names; it is to fail.
func TestLiar(t *testing.T) {
	name := os.Getenv(liarVariable)
	if name == "" {
		return // TestRunCatches starts it
	}
	l := liars[name]
	stagetest.Run(t, liar{doubler{l.trains}, l.liar}, stagetest.Case{Item: item(t)})
}

// TestRunCatches: the suite has teeth: each fault is found by the subtest that is about it.
func TestRunCatches(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range liars {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestLiar$", "-test.v")
			cmd.Env = append(os.Environ(), liarVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passed it:\n%s", out)
			}
			lines := strings.Split(string(out), "\n")
			if !slices.ContainsFunc(lines, func(s string) bool {
				return strings.HasPrefix(strings.TrimSpace(s), "--- FAIL: TestLiar/"+l.caught)
			}) {
				t.Errorf("not caught by %q:\n%s", l.caught, out)
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the suite broke:\n%s", out)
			}
		})
	}
}
