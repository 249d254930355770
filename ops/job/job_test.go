package job_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"itool/ops/config"
	"itool/ops/job"
	"itool/ops/site"
	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// newJob makes a job that only warms up, on a tiny model and 16 rows.
func newJob(t *testing.T, s *site.Site) *job.Job {
	t.Helper()
	e, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Line.Rounds, cfg.Line.Evaluate, cfg.Warmup.Epochs = 0, "none", 1
	made := synth.Default()
	made.Rows = 16
	rows, err := synth.Make(made)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := synth.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &job.Job{
		Request: job.Request{Name: "r1", Base: policytest.Tiny(1), Files: []string{file}, Config: cfg},
		Local:   job.Local{Courier: s.Courier, Engine: e, Worker: "test", Slots: 1, Log: slog.New(slog.DiscardHandler)},
	}
}

// TestJob: a run is published, worked on and concluded; publishing it again finds it, and
// other settings or another run in the same folder are refused.
func TestJob(t *testing.T) {
	dir := t.TempDir()
	s, err := site.OpenFolder(t.Context(), filepath.Join(dir, "site"), site.AnyPort, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := newJob(t, s)
	for range 2 {
		if err := j.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end, err := j.Work(t.Context())
	if err != nil || !end.Ended {
		t.Fatalf("the run ends in %+v, %v", end, err)
	}
	for range 2 { // the second one replaces the first one's adapter
		_, sum, err := j.Conclude(t.Context(), end, dir, "test")
		if err != nil || sum.Status != "done" || sum.Rows.Kept != 16 {
			t.Errorf("got %+v, %v", sum, err)
		}
		for _, f := range []string{filepath.Join(sum.AdapterDir, "adapter_config.json"), sum.Report} {
			if _, err := os.Stat(f); err != nil {
				t.Error(err)
			}
		}
	}
	if err := job.Only(t.Context(), s.Courier, "r1", dir); err != nil {
		t.Errorf("the run's own folder: %v", err)
	}
	err = job.Only(t.Context(), s.Courier, "r2", dir)
	if err == nil || !strings.Contains(err.Error(), "the folder of run r1") {
		t.Errorf("another run in the folder: got %v", err)
	}
	j.Config.Expand.Width++
	if err := j.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "expand.width was ") {
		t.Errorf("other settings: got %v", err)
	}
}

// TestDuring: keeper and worker do the run while f waits for its end.
func TestDuring(t *testing.T) {
	dir := t.TempDir()
	s, err := site.OpenFolder(t.Context(), dir, site.AnyPort, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, states := newJob(t, s), job.NewStates()
	if err := j.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = j.During(t.Context(), states.Set, func(ctx context.Context) error {
		end, err := states.Await(ctx, j.Name)
		if end.Status != "done" {
			t.Errorf("the run ends in %+v", end)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	err = j.During(t.Context(), states.Set, func(context.Context) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of f", err)
	}
}

// TestResolve: what is left to the model's size is settled before a run is published, and what is set stays.
func TestResolve(t *testing.T) {
	r := job.Request{Name: "r", Base: policytest.Tiny(1), Config: config.Default()}
	for set, want := range map[int]int{0: 32, 5: 5} {
		r.Config.Line.BatchRows = set
		got, err := r.Resolve()
		if err != nil || got.Config.Line.BatchRows != want {
			t.Errorf("line.batch_rows %d: %d, %v; want %d", set, got.Config.Line.BatchRows, err, want)
		}
	}
	r.Base, r.Config.Line.BatchRows = fstest.MapFS{}, 0
	if _, err := r.Resolve(); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("without config.json: %v", err)
	}
}
