package site_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/site"
	"itool/storage"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestHasRunsOfAForeignFolder: a folder named broker is not enough; opening would write into what is not ours.
func TestHasRunsOfAForeignFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "broker"), 0o700); err != nil {
		t.Fatal(err)
	}
	if site.HasRuns(dir) {
		t.Error("a folder with another program's broker has runs")
	}
}

// TestOpenFolder: while one site serves a folder, a second look joins it and a second
// server is refused; afterwards the folder can be served again.
func TestOpenFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	if site.HasRuns(dir) {
		t.Error("an empty folder has runs")
	}
	first, err := site.OpenFolder(t.Context(), dir, site.AnyPort, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if !site.HasRuns(dir) || first.URL() == "" || first.Dir != dir {
		t.Errorf("has runs %v, URL %q, folder %q", site.HasRuns(dir), first.URL(), first.Dir)
	}
	look, err := site.OpenFolder(t.Context(), dir, site.NoPort, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if look.URL() != "" {
		t.Errorf("the second look serves %s itself", look.URL())
	}
	if _, err := look.Broker.Runs(t.Context()); err != nil {
		t.Error(err)
	}
	look.Close()
	if _, err := site.OpenFolder(t.Context(), dir, site.AnyPort, quiet()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second server: got %v, want fs.ErrExist", err)
	}
	first.Close()
	again, err := site.OpenFolder(t.Context(), dir, site.NoPort, quiet())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestUsage: addresses that cannot be read are the user's to correct, and keys in an
// address are never repeated.
func TestUsage(t *testing.T) {
	store := "disk:" + t.TempDir()
	if _, err := site.CreateStore(t.Context(), store, site.StoreLogin{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ broker, store, want string }{
		{"nowhere", store, "nats://127.0.0.1:4222"},
		{"nats://127.0.0.1:1", "ftp://x", "neither disk:PATH nor minio://"},
		{"nats://127.0.0.1:1", "minio://mykey:mysecret@127.0.0.1:1/b", "SCHEME://127.0.0.1:1/b"},
	} {
		_, err := site.Open(t.Context(), site.Connection{Broker: c.broker, Store: c.store}, quiet())
		var usage *site.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s, %s: got %v, want a usage error", c.broker, c.store, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "mysecret") {
			t.Errorf("%s, %s: got %v, want a usage error with %q", c.broker, c.store, err, c.want)
		}
	}
}

// TestChooseStore: a folder remembers another store than its own until it has runs; then
// the store stays.
func TestChooseStore(t *testing.T) {
	dir := t.TempDir()
	wish := "disk:" + filepath.Join(t.TempDir(), "elsewhere")
	for _, w := range []string{wish, "", wish} {
		if got, err := site.ChooseStore(t.Context(), dir, w, site.StoreLogin{}); got != wish || err != nil {
			t.Errorf("wish %q: got %q, %v, want %q", w, got, err, wish)
		}
	}
	s, err := site.OpenFolder(t.Context(), dir, site.NoPort, quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = site.ChooseStore(t.Context(), dir, "disk:"+filepath.Join(dir, "third"), site.StoreLogin{})
	if err == nil || !strings.Contains(err.Error(), "have their files in "+wish) {
		t.Errorf("another store after the first run: got %v", err)
	}
}

// TestOpenStoreCreatesNothing: a mistyped path is an error that names the remedy. A program that may
// create a store gives it an identity, once.
func TestOpenStoreCreatesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mistyped")
	_, err := site.OpenStore(t.Context(), "disk:"+dir, site.StoreLogin{})
	if err == nil || !strings.Contains(err.Error(), "check the path") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	var identities []string
	for range 2 {
		s, err := site.CreateStore(t.Context(), "disk:"+dir, site.StoreLogin{})
		if err != nil {
			t.Fatal(err)
		}
		id, err := storage.Identity(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		identities = append(identities, id)
	}
	if identities[0] != identities[1] || len(identities[0]) != 32 {
		t.Errorf("identities %q, want one of 32 characters", identities)
	}
	if _, err := site.OpenStore(t.Context(), "disk:"+dir, site.StoreLogin{}); err != nil {
		t.Error(err)
	}
}
