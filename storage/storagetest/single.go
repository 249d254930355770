package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"itool/storage"
)

func testPutGetStatDelete(t *testing.T, s storage.Store) {
	for _, key := range []string{
		"basic/a", "basic/deep/er/still/x.json", "basic/A=1_b-c.d", "basic/..hidden",
		"basic/" + strings.Repeat("n", 255),
	} {
		p := []byte("content of " + key)
		info := put(t, s, key, p)
		wantContent(t, s, key, p)
		if got, err := s.Stat(t.Context(), key); err != nil || got != info {
			t.Errorf("stat %s: %+v, %v, want %+v", key, got, err, info)
		}
		for range 2 { // the second time the object does not exist: no error
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("delete %s: %v", key, err)
			}
		}
		wantAbsent(t, s, key)
	}
}

func testOverwrite(t *testing.T, s storage.Store) {
	const key = "overwrite/a"
	put(t, s, key, pattern(100_000, 1))
	r, _, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, s, key, []byte("short"))
	wantContent(t, s, key, []byte("short"))
	old, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(old, pattern(100_000, 1)) {
		t.Errorf("a reader opened before the overwrite returned %d other bytes", len(old))
	}
}

func testPutIfAbsent(t *testing.T, s storage.Store) {
	const key = "absent/a"
	first := []byte("first")
	info, err := s.PutIfAbsent(t.Context(), key, bytes.NewReader(first), -1)
	if w := (storage.Info{Key: key, Size: 5, SHA256: digest(first)}); err != nil || info != w {
		t.Fatalf("first: %+v, %v, want %+v", info, err, w)
	}
	again, err := s.PutIfAbsent(t.Context(), key, strings.NewReader("second"), 6)
	if !errors.Is(err, storage.ErrExists) || !errors.Is(err, fs.ErrExist) || again != info {
		t.Errorf("second: %+v, %v, want ErrExists with %+v", again, err, info)
	}
	wantContent(t, s, key, first)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutIfAbsent(t.Context(), key, strings.NewReader("third"), 5); err != nil {
		t.Errorf("after delete: %v", err)
	}
	wantContent(t, s, key, []byte("third"))
}

// testPutAgain: an object that is put if absent, and is there, counts as put now, and stays as it was.
func testPutAgain(t *testing.T, s storage.Store) {
	const key = "again/a"
	info := put(t, s, key, []byte("first"))
	listed := func() time.Time {
		t.Helper()
		for i, err := range s.List(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			return i.Modified
		}
		t.Fatalf("%s is not listed", key)
		return time.Time{}
	}
	before := listed()
	for deadline := time.Now().Add(10 * time.Second); !listed().After(before); {
		if time.Now().After(deadline) {
			t.Fatalf("still listed as put at %v, ten seconds later", before)
		}
		_, err := s.PutIfAbsent(t.Context(), key, strings.NewReader("second"), 6)
		if !errors.Is(err, storage.ErrExists) {
			t.Fatalf("put if absent: %v, want ErrExists", err)
		}
		time.Sleep(10 * time.Millisecond) // a server may keep whole seconds
	}
	wantContent(t, s, key, []byte("first"))
	if now, err := s.Stat(t.Context(), key); err != nil || now != info {
		t.Errorf("stat: %+v, %v, want %+v", now, err, info)
	}
}

func testMissing(t *testing.T, s storage.Store) {
	put(t, s, "missing/there", nil)
	for _, key := range []string{"missing/a", "missing/a/b", "missing", "missing/there/below"} {
		_, _, err := s.Get(t.Context(), key)
		if !errors.Is(err, storage.ErrNotExist) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("get %s: %v, want ErrNotExist", key, err)
		}
		if err != nil && !strings.Contains(err.Error(), key) {
			t.Errorf("get %s: the error does not name the key: %v", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("stat %s: %v, want ErrNotExist", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v, want nil", key, err)
		}
	}
	wantContent(t, s, "missing/there", nil)
}

func testBadKeys(t *testing.T, s storage.Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a b", "a\\b", "a\x00b", "a\nb", "ä", "a:b",
		"a*", "a\xff", strings.Repeat("n", 256), strings.Repeat("nn/", 171) + "n",
	} {
		_, putErr := s.Put(t.Context(), key, strings.NewReader("x"), 1)
		_, absErr := s.PutIfAbsent(t.Context(), key, strings.NewReader("x"), 1)
		_, _, getErr := s.Get(t.Context(), key)
		_, statErr := s.Stat(t.Context(), key)
		for op, err := range map[string]error{
			"put": putErr, "put if absent": absErr, "get": getErr, "stat": statErr,
			"delete": s.Delete(t.Context(), key),
		} {
			if !errors.Is(err, storage.ErrBadKey) {
				t.Errorf("%s %.40q: %v, want ErrBadKey", op, key, err)
			}
		}
	}
	for _, prefix := range []string{"/", "../", "a//", "a b", "./x"} {
		for info, err := range s.List(t.Context(), prefix) {
			if !errors.Is(err, storage.ErrBadKey) {
				t.Errorf("list %q: %+v, %v, want ErrBadKey", prefix, info, err)
			}
		}
	}
	longest := strings.Repeat("nnn/", 127) + "nnnn" // 512 bytes
	put(t, s, longest, []byte("x"))
	wantContent(t, s, longest, []byte("x"))
	if err := s.Delete(t.Context(), longest); err != nil {
		t.Fatal(err)
	}
}

func testSizes(t *testing.T, s storage.Store) {
	for _, size := range []int{0, 1, 4095, 4096, 128 << 10, 1<<20 + 1, 6 << 20} {
		for how, announced := range map[string]int64{"known": int64(size), "unknown": -1} {
			key := fmt.Sprintf("sizes/%d-%s", size, how)
			p := pattern(size, 3)
			// A plain reader: a store must not depend on Seek.
			r := struct{ io.Reader }{bytes.NewReader(p)}
			if _, err := s.Put(t.Context(), key, r, announced); err != nil {
				t.Fatalf("put %s: %v", key, err)
			}
			wantContent(t, s, key, p)
		}
	}
}

func testWrongSize(t *testing.T, s storage.Store) {
	for how, put := range map[string]func(key string, r io.Reader, size int64) error{
		"put": func(key string, r io.Reader, n int64) error {
			_, err := s.Put(t.Context(), key, r, n)
			return err
		},
		"absent": func(key string, r io.Reader, n int64) error {
			_, err := s.PutIfAbsent(t.Context(), key, r, n)
			return err
		},
	} {
		for _, announced := range []int64{0, 9, 11, 1 << 40} {
			key := fmt.Sprintf("wrongsize/%s-%d", how, announced)
			for _, r := range []io.Reader{
				strings.NewReader("ten bytes!"), iotest.OneByteReader(strings.NewReader("ten bytes!")),
			} {
				if err := put(key, r, announced); err == nil {
					t.Errorf("%s: 10 bytes announced as %d: no error", how, announced)
				}
				wantAbsent(t, s, key)
			}
		}
	}
}

func testReaderFails(t *testing.T, s storage.Store) {
	boom := errors.New("boom")
	for _, size := range []int{0, 10, 2 << 20} {
		r := io.MultiReader(bytes.NewReader(pattern(size, 1)), iotest.ErrReader(boom))
		key := fmt.Sprintf("readerfails/%d", size)
		if _, err := s.Put(t.Context(), key, r, -1); !errors.Is(err, boom) {
			t.Errorf("put after %d bytes: %v, want the reader's error", size, err)
		}
		wantAbsent(t, s, key)
	}
}

// testKeyBelowKey: a store may refuse a key that is the beginning of another object's key,
// or that begins with one, or accept both. It must never lose the first object.
func testKeyBelowKey(t *testing.T, s storage.Store) {
	for name, keys := range map[string][2]string{
		"below": {"prefix/below/a", "prefix/below/a/b/c"},
		"above": {"prefix/above/a/b/c", "prefix/above/a"},
	} {
		put(t, s, keys[0], []byte("first"))
		_, err := s.Put(t.Context(), keys[1], strings.NewReader("second"), 6)
		_, absErr := s.PutIfAbsent(t.Context(), keys[1], strings.NewReader("second"), 6)
		switch {
		case err != nil && (!errors.Is(err, storage.ErrBadKey) || !errors.Is(absErr, storage.ErrBadKey)):
			t.Errorf("%s: refused with %v and %v, want ErrBadKey from both", name, err, absErr)
		case err == nil:
			wantContent(t, s, keys[1], []byte("second"))
		}
		wantContent(t, s, keys[0], []byte("first"))
		// When the first object is deleted, its folders must not block the other key.
		if err := s.Delete(t.Context(), keys[0]); err != nil {
			t.Fatal(err)
		}
		put(t, s, keys[1], []byte("third"))
		wantContent(t, s, keys[1], []byte("third"))
	}
}

func testList(t *testing.T, s storage.Store) {
	keys := []string{
		"list/a-b", "list/a.c", "list/a/1", "list/a/2/x", "list/a/2-x", "list/a0", "list/B", "list/z/z/z",
		"list/z-", "list/=", "list/_", "list2/a", "lisp/a",
	}
	for i, key := range keys {
		put(t, s, key, make([]byte, i))
	}
	for _, prefix := range []string{
		"list/", "list", "list/a", "list/a/", "list/a/2", "list/a/2/", "list/z/z/z", "list/none", "list/none/",
		"list/a0/", "list/..", "l", "",
	} {
		var got, wanted []string
		for info, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("list %q: %v", prefix, err)
			}
			if i := slices.Index(keys, info.Key); i >= 0 {
				got = append(got, info.Key)
				if info.Size != int64(i) || info.SHA256 != "" {
					t.Errorf("list %q: %+v, want size %d and no digest", prefix, info, i)
				}
			}
		}
		for _, key := range slices.Sorted(slices.Values(keys)) {
			if strings.HasPrefix(key, prefix) {
				wanted = append(wanted, key)
			}
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("list %q:\n got %q\nwant %q", prefix, got, wanted)
		}
	}
}

// testListStops: the caller may end the loop over List early.
func testListStops(t *testing.T, s storage.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("stops/%d/x", i), nil)
	}
	n := 0
	for range s.List(t.Context(), "stops/") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("the loop ran %d times, want 2", n)
	}
}
