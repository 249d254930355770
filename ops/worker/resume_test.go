package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"itool/schemas"
	"itool/stages"
)

// trainer makes a checkpoint per step, up to stopAt, where it dies. At the end it answers with the
// state that it began from.
func trainer(from, stopAt, until int, began chan<- string) stages.Stage {
	return doer{gathering, func(ctx context.Context, in stages.Input, out stages.Output) error {
		state := "nothing"
		if in.Resume != nil {
			b, err := fs.ReadFile(in.Resume, "state")
			if err != nil {
				return err
			}
			state = string(b)
		}
		began <- state
		for step := from; step <= until; step++ {
			if err := out.Checkpoint(ctx, step, file("state", fmt.Sprintf("step %d", step))); err != nil {
				return err
			}
			if step == stopAt {
				began <- "stopped"
				<-ctx.Done()
				return ctx.Err()
			}
		}
		b, err := schemas.Encode(in.Header, []schemas.Score{{ExampleID: state}})
		if err != nil {
			return err
		}
		return out.Result(b)
	}}
}

func (w *world) keys(prefix string) (keys []string) {
	w.t.Helper()
	for info, err := range w.c.Store.List(w.t.Context(), prefix) {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func holding(keys []string, part string) (out []string) {
	for _, k := range keys {
		if strings.Contains(k, part) {
			out = append(out, k)
		}
	}
	return out
}

const resumes = "runs/" + run + "/resume/"

func TestResuming(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(w *world)
		want string // what the second attempt begins from
	}{
		"the newest checkpoint": {nil, "step 4"},
		"the newest has lost a part": {func(w *world) {
			newest := slices.Max(holding(w.keys(resumes), "/steps/"))
			r, _, err := w.c.Store.Get(w.t.Context(), newest)
			if err != nil {
				w.t.Fatal(err)
			}
			r.Close()
			// One of the two parts belongs to the newest checkpoint: its text says so.
			for _, key := range holding(w.keys(resumes), "/parts/") {
				r, _, err := w.c.Store.Get(w.t.Context(), key)
				if err != nil {
					w.t.Fatal(err)
				}
				b := make([]byte, 16)
				n, _ := r.Read(b)
				r.Close()
				if string(b[:n]) == "step 4" {
					if err := w.c.Store.Delete(w.t.Context(), key); err != nil {
						w.t.Fatal(err)
					}
				}
			}
		}, "step 3"},
		"a pointer is junk": {func(w *world) {
			newest := slices.Max(holding(w.keys(resumes), "/steps/"))
			if _, err := w.c.Store.Put(w.t.Context(), newest, strings.NewReader("junk"), -1); err != nil {
				w.t.Fatal(err)
			}
		}, "step 3"},
		"the store is away for a while": {func(w *world) { w.overNetwork().fail.Store(3) }, "step 4"},
		"another run of the same name": {func(w *world) {
			if err := w.c.Broker.DeleteRun(w.t.Context(), run); err != nil {
				w.t.Fatal(err)
			}
			if err := w.c.Broker.CreateRun(w.t.Context(), run, 0); err != nil {
				w.t.Fatal(err)
			}
			put(w, "run", 0, "run", []schemas.Run{{Name: run, Created: "later", Config: "{}", ConfigDigest: "cfg"}})
			put(w, "gather", 0, "pair", []schemas.Gather{})
		}, "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			put(w, "gather", 0, "pair", []schemas.Gather{})
			began := make(chan string, 4)
			stop := w.start(1, trainer(1, 4, 9, began))
			if first, at := <-began, <-began; first != "nothing" || at != "stopped" {
				t.Fatal(first, at)
			}
			stop()
			keys := w.keys(resumes)
			steps, parts := holding(keys, "/steps/"), holding(keys, "/parts/")
			if len(steps) != 2 || len(parts) != 2 || len(keys) != 6 {
				t.Errorf("after four checkpoints: %v, want what the last two need", keys)
			}
			if c.harm != nil {
				c.harm(w)
			}
			w.start(1, trainer(5, 0, 6, began))
			rows, _ := await[schemas.Score](w, "policy", 1, "policy")
			if rows[0].ExampleID != c.want {
				t.Errorf("began from %q, want %q", rows[0].ExampleID, c.want)
			}
			w.noFailures()
			if name == "another run of the same name" {
				return // what is left of the other one is for gc
			}
			w.settled("update")
			if left := w.keys(resumes); len(left) != 0 {
				t.Errorf("after the result is published: %v", left)
			}
		})
	}
}

// If a worker died after publishing, the worker that adopts the result removes the checkpoints.
func TestAdoptingAResultRemovesCheckpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, "gather", 0, "pair", []schemas.Gather{})
	began := make(chan string, 4)
	stop := w.start(1, trainer(1, 2, 9, began))
	<-began
	<-began
	stop()
	g, err := w.c.Get(t.Context(), run, "gather", 0, "pair")
	if err != nil {
		t.Fatal(err)
	}
	h := schemas.Header{Run: run, Round: 1, Key: "policy", Config: "cfg", Input: g.Header.SHA256}
	b, err := schemas.Encode(h, []schemas.Score{{}})
	if err == nil {
		_, err = w.c.Publish(t.Context(), "policy", b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.start(1, trainer(3, 0, 9, began))
	w.settled("update")
	if left := w.keys(resumes); len(left) != 0 || len(began) != 0 {
		t.Errorf("left %v, began again %d times", left, len(began))
	}
}

// A single item that crashed resumes from its own checkpoint.
func TestASingleItemResumesAfterACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tries atomic.Int64
	w.start(1, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if in.Header.Key == "k" && tries.Add(1) == 1 {
			if err := out.Checkpoint(ctx, 1, file("state", "k")); err != nil {
				return err
			}
			return errors.New("crash")
		}
		state := "nothing"
		if in.Resume != nil {
			b, err := fs.ReadFile(in.Resume, "state")
			if err != nil {
				return err
			}
			state = string(b)
		}
		b, err := schemas.Encode(in.Header, []schemas.Score{{ExampleID: state}})
		if err != nil {
			return err
		}
		return out.Result(b)
	}})
	for key, want := range map[string]string{"k": "k", "l": "nothing"} {
		put(w, "root", 0, key, []schemas.Score{{}})
		if rows, _ := await[schemas.Score](w, "candidate", 0, key); rows[0].ExampleID != want {
			t.Errorf("%s began from %q, want %q", key, rows[0].ExampleID, want)
		}
	}
	w.settled("expand")
	for deadline := time.Now().Add(5 * time.Second); len(w.keys(resumes)) != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left %v", w.keys(resumes))
		}
	}
}
