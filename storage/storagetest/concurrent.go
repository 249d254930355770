package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"itool/storage"
)

// cancelAfter is a reader of zeros. After n bytes it cancels the context, and goes on: a store
// that does not stop reads on until the reader fails.
type cancelAfter struct {
	n      int
	cancel context.CancelFunc
}

func (c *cancelAfter) Read(p []byte) (int, error) {
	n := min(len(p), 4096)
	if c.n -= n; c.n < 0 {
		c.cancel()
	}
	if c.n < -64<<20 {
		return 0, errors.New("the store read 64 MiB after the context was cancelled")
	}
	return n, nil
}

// testCancel: a put whose context is cancelled returns the context's error and leaves no object.
func testCancel(t *testing.T, s storage.Store) {
	type putFunc = func(context.Context, string, io.Reader, int64) (storage.Info, error)
	for _, n := range []int{0, 10_000, 3 << 20} {
		for how, put := range map[string]putFunc{"put": s.Put, "absent": s.PutIfAbsent} {
			for _, size := range []int64{-1, 1 << 30} {
				key := fmt.Sprintf("cancel/%s-%d-%d", how, n, max(size, 0))
				ctx, cancel := context.WithCancel(t.Context())
				if _, err := put(ctx, key, &cancelAfter{n, cancel}, size); !errors.Is(err, context.Canceled) {
					t.Errorf("%s cancelled after %d bytes: %v, want context.Canceled", how, n, err)
				}
				wantAbsent(t, s, key)
			}
		}
	}

	testCancelledMethods(t, s)
	testCancelledReader(t, s)
}

// testCancelledMethods: a cancelled overwrite keeps the old object, and every method returns the
// error of a cancelled context.
func testCancelledMethods(t *testing.T, s storage.Store) {
	// A cancelled overwrite keeps the old object.
	const key = "cancel/old"
	put(t, s, key, []byte("old"))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Put(ctx, key, &cancelAfter{2 << 20, cancel}, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("overwrite: %v, want context.Canceled", err)
	}
	wantContent(t, s, key, []byte("old"))

	// With a cancelled context, every method returns the context's error.
	_, putErr := s.Put(ctx, key, strings.NewReader("new"), 3)
	_, absErr := s.PutIfAbsent(ctx, key+"2", strings.NewReader("new"), 3)
	_, _, getErr := s.Get(ctx, key)
	_, statErr := s.Stat(ctx, key)
	errs := map[string]error{
		"put": putErr, "put if absent": absErr, "get": getErr, "stat": statErr, "delete": s.Delete(ctx, key),
	}
	for _, err := range s.List(ctx, "cancel/") {
		errs["list"] = err
	}
	for op, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v, want context.Canceled", op, err)
		}
	}
	wantContent(t, s, key, []byte("old"))
}

// testCancelledReader: an open reader fails when its context is cancelled.
func testCancelledReader(t *testing.T, s storage.Store) {
	put(t, s, "cancel/large", pattern(4<<20, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _, err := s.Get(ctx, "cancel/large")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("reading after cancel: %d bytes, %v, want context.Canceled", n, err)
	}
}

// testPutIfAbsentRace: of several writers of one key exactly one succeeds. The others get ErrExists
// and the Info of the object that exists.
func testPutIfAbsentRace(t *testing.T, s storage.Store) {
	const writers = 16
	for round := range 5 {
		key := fmt.Sprintf("race/%d/key", round)
		var wins atomic.Int64
		var winner atomic.Int64
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				p := pattern(20_000+w, byte(w))
				info, err := s.PutIfAbsent(t.Context(), key, bytes.NewReader(p), int64(len(p)))
				switch {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(w))
				case !errors.Is(err, storage.ErrExists):
					t.Errorf("writer %d: %v", w, err)
				default:
					// A loser can read the winner's object at once.
					if got, err := get(t.Context(), s, key); err != nil || digest(got) != info.SHA256 {
						t.Errorf("loser %d: read %d bytes, %v, want sha256 %s", w, len(got), err, info.SHA256)
					}
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d of %d writers won, want 1", wins.Load(), writers)
		}
		w := winner.Load()
		wantContent(t, s, key, pattern(20_000+int(w), byte(w)))
	}
}

// testReadersAndWriters overwrites one key from several goroutines: every read returns one
// complete version.
func testReadersAndWriters(t *testing.T, s storage.Store) {
	const key = "rw/key"
	put(t, s, key, pattern(50_000, 0))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 15 {
				p := pattern(50_000+1000*w+i, byte(w))
				if _, err := s.Put(t.Context(), key, bytes.NewReader(p), -1); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				got, err := get(t.Context(), s, key)
				if err != nil {
					t.Errorf("reader: %v", err)
				} else if len(got) > 0 && !bytes.Equal(got, pattern(len(got), got[0])) {
					t.Errorf("reader: the %d bytes are a mix of versions", len(got))
				}
			}
		})
	}
	wg.Wait()
}

// testConcurrentPutAndDelete puts and deletes objects of one folder from several
// goroutines, so that a store with folders creates and deletes the folder under them.
func testConcurrentPutAndDelete(t *testing.T, s storage.Store) {
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("churn/a/b/%d-%d", w, i)
				if _, err := s.Put(t.Context(), key, strings.NewReader(key), -1); err != nil {
					t.Errorf("put: %v", err)
				}
				if got, err := get(t.Context(), s, key); err != nil || string(got) != key {
					t.Errorf("get %s: %q, %v", key, got, err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for info, err := range s.List(t.Context(), "churn/") {
		t.Errorf("an object is left after all were deleted: %+v, %v", info, err)
	}
}

// testLarge puts and gets 16 MiB as streams, and checks how much memory the store allocates.
func testLarge(t *testing.T, s storage.Store) {
	const size, maxAllocated = 16 << 20, 12 << 20 // bytes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in := pattern(1<<20, 9)
	var parts []io.Reader
	for range size >> 20 {
		parts = append(parts, bytes.NewReader(in))
	}
	info, err := s.Put(t.Context(), "large/a", io.MultiReader(parts...), -1)
	if err != nil || info.Size != size {
		t.Fatalf("put: %+v, %v", info, err)
	}
	r, _, err := s.Get(t.Context(), "large/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := make([]byte, 1<<20)
	for i := range size >> 20 {
		if _, err := io.ReadFull(r, out); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("MiB %d: %v", i, err)
		}
	}
	if n, err := r.Read(out); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v, want io.EOF", n, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > maxAllocated {
		t.Errorf("allocated %d bytes for an object of %d, want at most %d", got, size, maxAllocated)
	}
}
