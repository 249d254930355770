//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/courier/couriertest"
)

// TestFullDisk: while the disk of up is full, runs and watch say so. When there is room the run goes on to
// its end by itself.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := couriertest.SmallDisk(t, 64<<20)
	file, base := writeRows(t, t.TempDir(), 40), writeBase(t, t.TempDir(), nil)
	up, _ := upIn(t, dir)
	defer stop(t, up)
	publish := append([]string{"publish", file, "--base", base, "--name", "r1"}, small...)
	publish = append(publish, "--set", "line.stream_max_bytes=16777216") // the disk is small
	expect(t, dir, 0, "published run r1", publish...)
	waitFor(t, func() bool { _, out, _ := itool(t, dir, "runs"); return strings.Contains(out, "read the dataset") })
	free := couriertest.Fill(t, dir)
	work := start(t, dir, "work", "all")
	defer stop(t, work)
	waitFor(t, func() bool {
		code, out, _ := itool(t, dir, "runs")
		return code == 0 && strings.Contains(out, "waiting: read the dataset 0/1") &&
			strings.Contains(out, "waiting: disk: ") && strings.Contains(out, "no space left")
	})
	watch := command(t, dir, "watch", "r1")
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	watch.Stdout, watch.Stderr = said, said
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		text, err := os.ReadFile(said.Name())
		return err == nil && bytes.Contains(text, []byte("waiting: disk: "))
	})
	free()
	err = watch.Wait()
	text, _ := os.ReadFile(said.Name())
	if err != nil || !strings.Contains(string(text), "run r1: done") {
		t.Errorf("watch: %v\n%s", err, text)
	}
	_, out, _ := itool(t, dir, "runs")
	if fmt.Sprintf("%-32s done\n", "r1") != out {
		t.Errorf("runs says\n%s", out)
	}
}
