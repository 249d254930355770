package stagetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
	"itool/stages/stagetest"
)

// doubler answers every score with twice its perplexity. As a trainer it also
// counts its rows in checkpoints and saves a policy.
type doubler struct{ trains bool }

// config is the doubler's section.
type config struct{ Factor float64 }

func (config) Validate() error { return nil }

func (d doubler) Spec() stages.Spec {
	return stages.Spec{
		Name: "double", Wakes: "score", Gather: d.trains, Reads: "score/v2", Writes: "score", Schema: "score/v2",
		NoPolicy: !d.trains,
	}
}

func (d doubler) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	if _, err := stages.Config(in, config{}); err != nil {
		return err
	}
	rows, err := stages.Rows[schemas.Score](in.Batches)
	if err != nil {
		return err
	}
	if d.trains {
		if _, err := fs.Stat(in.Policy, "weights"); err != nil {
			return err
		}
	}
	done := 0
	if in.Resume != nil {
		text, err := fs.ReadFile(in.Resume, "done")
		if err != nil {
			return err
		}
		done = len(text)
	}
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows[i].Perplexity *= 2
		if d.trains && i >= done {
			err := out.Checkpoint(ctx, i+1, func(create stages.Create) error {
				return write(create, "done", strings.Repeat("x", i+1))
			})
			if err != nil {
				return err
			}
		}
		out.Progress(i+1, len(rows), "rows", "")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.trains {
		if _, err := out.Save(ctx, func(create stages.Create) error {
			return write(create, "adapter", fmt.Sprint(len(rows)))
		}); err != nil {
			return err
		}
	}
	return stages.Result(in, out, rows)
}

func write(create stages.Create, name, text string) error {
	f, err := create(name)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, text); err != nil {
		return err
	}
	return f.Close()
}

func item(t testing.TB) stagetest.Item {
	rows := []schemas.Score{{ExampleID: "a", Perplexity: 1.5, Tokens: 3}, {ExampleID: "b", Perplexity: 2, Tokens: 4}}
	return stagetest.Item{
		Policy:  fstest.MapFS{"weights": {Data: []byte("w")}},
		Batches: []schemas.Batch{stagetest.Batch(t, "b1", rows...)},
	}
}

func TestRun(t *testing.T) {
	t.Run("one batch", func(t *testing.T) {
		stagetest.Run(t, doubler{}, stagetest.Case{Item: item(t)})
	})
	t.Run("whole round", func(t *testing.T) {
		stagetest.Run(t, doubler{trains: true}, stagetest.Case{Item: item(t)})
	})
}

func TestRows(t *testing.T) {
	rows := stagetest.Rows[schemas.Score](t, doubler{}, item(t))
	if len(rows) != 2 || rows[0].Perplexity != 3 || rows[1].Perplexity != 4 {
		t.Errorf("rows = %+v, want perplexities 3 and 4", rows)
	}
}

// TestRecorder: a saved policy has the parent's files, with the written ones replaced and
// the dropped ones removed. Without a change it is the same policy.
func TestRecorder(t *testing.T) {
	it := stagetest.Item{Policy: fstest.MapFS{"a": {Data: []byte("1")}, "dir/b": {Data: []byte("2")}}}
	in := it.Input(t)
	out := stagetest.NewRecorder(t, in)
	none := func(stages.Create) error { return nil }
	if digest, err := out.Save(t.Context(), none); err != nil || digest != in.PolicyDigest {
		t.Errorf("nothing changed: digest %.12s, err %v, want %.12s", digest, err, in.PolicyDigest)
	}
	digest, err := out.Save(t.Context(), func(create stages.Create) error { return write(create, "c", "3") }, "a")
	if err != nil || digest == in.PolicyDigest {
		t.Fatalf("changed: digest %.12s, err %v", digest, err)
	}
	files := out.Saved[1].Files
	for name, want := range map[string]bool{"a": false, "dir/b": true, "c": true} {
		_, err := fs.Stat(files, name)
		if got := err == nil; got != want {
			t.Errorf("file %s exists: %v, want %v", name, got, want)
		}
	}
	if _, err := out.Save(t.Context(), func(create stages.Create) error {
		_, err := create("left open")
		return err
	}); err == nil {
		t.Error("a file that was not closed passed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := out.Save(ctx, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: err = %v", err)
	}
}
