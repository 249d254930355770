package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFindLocal: a run is found by its folder's name, or by the name of its stream in another folder.
func TestFindLocal(t *testing.T) {
	parent := t.TempDir()
	for _, dir := range []string{
		"r1/broker/jetstream/$G/streams/RUN_r1", "r1/broker/jetstream/$G/streams/RUN_fork",
		"retired/broker/jetstream", "other/broker", "other/store",
	} {
		if err := os.MkdirAll(filepath.Join(parent, filepath.FromSlash(dir)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for run, want := range map[string]string{
		"r1": "r1", "fork": "r1", "retired": "retired", "other": "", "r2": "", "": "",
	} {
		if want != "" {
			want = filepath.Join(parent, want)
		}
		if got := findLocal(parent, run); got != want {
			t.Errorf("%q: in %q, want %q", run, got, want)
		}
	}
	if got := names(localRuns(parent)); got != "retired, fork, r1" && got != "fork, r1, retired" {
		t.Errorf("there are %s", got)
	}
}
