package embed_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/broker"
	"itool/broker/embed"
)

// TestQuietRecovery: an index that a kill has left behind its stream is mended without a warning, and the stream is
// whole.
func TestQuietRecovery(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embed.Config{Dir: dir, InProcessOnly: true})
	b := connect(t, s)
	if err := b.CreateRun(t.Context(), "r1", 0); err != nil {
		t.Fatal(err)
	}
	record := func(key string) broker.Address { return broker.Address{Run: "r1", Record: "task", Key: key} }
	publish := func(key string) {
		t.Helper()
		if _, err := b.Publish(t.Context(), record(key), nil, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	publish("before")
	b.Close()
	s.Shutdown() // writes the index
	indexes, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "RUN_r1", "msgs", "index.db"))
	if err != nil || len(indexes) != 1 {
		t.Fatalf("found %v, %v", indexes, err)
	}
	old, err := os.ReadFile(indexes[0])
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, embed.Config{Dir: dir, InProcessOnly: true})
	b = connect(t, s)
	publish("after")
	b.Close()
	s.Shutdown()
	if err := os.WriteFile(indexes[0], old, 0o600); err != nil { // as a kill leaves it
		t.Fatal(err)
	}
	var log bytes.Buffer
	quiet := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s = start(t, embed.Config{Dir: dir, InProcessOnly: true, Log: quiet})
	if ok, err := connect(t, s).Has(t.Context(), record("after")); !ok || err != nil {
		t.Errorf("the last record: %v, %v, want it to exist", ok, err)
	}
	s.Shutdown()
	if !strings.Contains(log.String(), "Stream state") || strings.Contains(log.String(), "level=WARN") {
		t.Errorf("want what was mended, but no warning:\n%s", log.String())
	}
}
