package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGC: what belongs to no run is found and deleted, unless it is young; what runs need stays, and fsck
// notices if it does not.
func TestGC(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBase(t, dir, nil)
	up, _ := upIn(t, dir)
	defer stop(t, up)
	work := start(t, dir, "work", "all")
	defer stop(t, work)
	for _, run := range []string{"r1", "r2"} {
		publish := append([]string{"publish", file, "--base", base, "--name", run}, small...)
		if p := expectJSON(t, dir, 0, schemaPublish, publish...); p["watch"] != "itool watch "+run {
			t.Errorf("publish --json says %v", p)
		}
		watched(t, dir, run)
	}
	store := filepath.Join(dir, "itool-up", "store", "objects")
	waste := []string{
		"checkpoints/parts/" + strings.Repeat("0a", 32), "runs/ghost/bodies/x.zst", "shards/1/x/0-5",
	}
	for _, key := range append(waste, "mine/notes") { // the last one is none of ours
		name := filepath.Join(store, key)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("left behind"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, dir, 0, " 0 belong to no run (0 KiB); 3 of no run are younger than 24h0m0s and spared", "gc", "--delete")
	now := []string{"gc", "--older-than", "0s"}
	expect(t, dir, 0, "runs/ghost/bodies/x.zst", append(now, "-v")...)
	if g := expectJSON(t, dir, 0, schemaGC, append(now, "--delete")...); g["waste"] != 3. || g["deleted"] != 3. {
		t.Errorf("gc --json says %v", g)
	}
	for _, key := range waste {
		if exists(filepath.Join(store, key)) {
			t.Errorf("%s is there", key)
		}
	}
	expect(t, dir, 0, " 0 belong to no run", now...)
	expect(t, dir, 0, "objects that the runs need are there", "fsck", "--deep")

	// What only a retired run had goes; its policy stays.
	expect(t, dir, 0, "is retired", "retire", "r2")
	expect(t, dir, 0, "objects were deleted", append(now, "--delete")...)
	if exists(filepath.Join(store, "runs", "r2")) {
		t.Error("the trees of the retired run are there")
	}
	for _, run := range []string{"r1", "r2"} {
		expect(t, dir, 0, "adapter in", "export", run, "--round", "0", "--out", "of-"+run)
		expect(t, dir, 0, "done", "report", run)
	}
	expect(t, dir, 0, "objects that the runs need are there", "fsck", "--deep")

	part := largest(t, filepath.Join(store, "checkpoints", "parts"))
	damage(t, part)
	expect(t, dir, 0, "objects that the runs need are there", "fsck") // it is there
	expect(t, dir, exitError, "1 objects are missing or damaged", "fsck", "--deep")
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	if lost, _ := expectJSON(t, dir, exitError, schemaFsck, "fsck")["missing"].([]any); len(lost) != 1 {
		t.Errorf("fsck --json misses %v", lost)
	}
	out, _ := expect(t, dir, exitError, "1 objects are missing or damaged", "fsck")
	if !strings.Contains(out, "run r1: its base: checkpoints/parts/"+filepath.Base(part)) {
		t.Errorf("fsck says\n%s", out)
	}
	if err := os.RemoveAll(filepath.Join(store, "checkpoints", "manifests")); err != nil {
		t.Fatal(err)
	}
	expect(t, dir, exitError, "nothing is removed; itool fsck lists what is missing", append(now, "--delete")...)
}

// watched waits for the end of a run by its changes, of which no two are the same.
func watched(t *testing.T, dir, run string) {
	t.Helper()
	out, _ := expect(t, dir, 0, "", "watch", run, "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, text := range lines {
		var at runStatus
		if err := json.Unmarshal([]byte(text), &at); err != nil || !begins(text, schemaWatch) || at.Run != run ||
			(at.Status == "done") != (i == len(lines)-1) || i > 0 && text == lines[i-1] {
			t.Errorf("watch --json, line %d of %d: %v\n%s", i+1, len(lines), err, text)
		}
	}
	if len(lines) < 2 {
		t.Errorf("watch --json shows no change:\n%s", out)
	}
}

// largest is the largest file below a folder.
func largest(t *testing.T, dir string) (name string) {
	t.Helper()
	size := int64(-1)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			name, size = path, info.Size()
		}
		return err
	})
	if err != nil || name == "" {
		t.Fatalf("no file in %s: %v", dir, err)
	}
	return name
}

// damage changes a byte at the beginning of a file.
func damage(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 100); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, 100); err != nil {
		t.Fatal(err)
	}
}
