package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"itool/storage"
	"itool/storage/checkpoint"
)

// RunCheckpoint runs the tests of package storage/checkpoint with a store.
func RunCheckpoint(t *testing.T, open Open, damage Damage) {
	for name, opts := range map[string]func(t *testing.T) []checkpoint.Option{
		"plain":  func(*testing.T) []checkpoint.Option { return nil },
		"cached": func(t *testing.T) []checkpoint.Option { return []checkpoint.Option{checkpoint.Cache(t.TempDir())} },
	} {
		t.Run("Open/"+name, func(t *testing.T) { testOpen(t, open(t), opts(t)) })
		t.Run("MissingPart/"+name, func(t *testing.T) { testMissingPart(t, open(t), opts(t)) })
		t.Run("Damaged/"+name, func(t *testing.T) {
			if damage == nil {
				t.Skip("the test of this store cannot damage an object")
			}
			testDamaged(t, open(t), damage, opts(t))
		})
	}
	t.Run("Large", func(t *testing.T) { testLargePart(t, open(t)) })
	t.Run("Inherit", func(t *testing.T) { testInherit(t, open(t)) })
	t.Run("FailedWrite", func(t *testing.T) { testFailedWrite(t, open(t)) })
	t.Run("Import", func(t *testing.T) { testImport(t, open(t)) })
	t.Run("ConcurrentWriters", func(t *testing.T) { testConcurrentWriters(t, open(t)) })
}

// folder returns the files that most tests store: name → content.
func folder() map[string][]byte {
	return map[string][]byte{
		"config.json":               []byte(`{"layers": 2}`),
		"model-00001.safetensors":   pattern(20_000, 1),
		"model-00002.safetensors":   pattern(100, 2),
		"tokenizer/tokenizer.json":  []byte("{}"),
		"tokenizer/extra/empty.txt": {},
		"copy-of-config.json":       []byte(`{"layers": 2}`),
	}
}

type create = func(name string) (io.WriteCloser, error)

func writeAll(files map[string][]byte) func(create) error {
	return func(create create) error {
		for name, content := range files {
			w, err := create(name)
			if err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
		}
		return nil
	}
}

func wantFolder(t *testing.T, fsys fs.FS, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		if got, err := fs.ReadFile(fsys, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v, want %d bytes", name, len(got), err, len(content))
		}
	}
	if err := fstest.TestFS(fsys, slices.Sorted(maps.Keys(files))...); err != nil {
		t.Error(err)
	}
}

func count(t *testing.T, s storage.Store, prefix string) (n int) {
	t.Helper()
	for _, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func testOpen(t *testing.T, s storage.Store, opts []checkpoint.Option) {
	const prefix = "open/cp"
	var digest string
	for range 2 { // the second time, all content already exists
		m, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(folder()))
		if err != nil {
			t.Fatal(err)
		}
		digest = m.Digest()
		parts, manifests := count(t, s, prefix+"/parts/"), count(t, s, prefix+"/manifests/")
		if parts != 5 || manifests != 1 {
			t.Errorf("%d parts and %d manifests, want 5 (two of 6 files are equal) and 1", parts, manifests)
		}
	}
	fsys, m, err := checkpoint.Open(t.Context(), s, prefix, digest, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Parts) != 6 || m.Digest() != digest {
		t.Errorf("manifest %+v, want 6 parts and digest %s", m, digest)
	}
	wantFolder(t, fsys, folder())
	slices.Reverse(m.Parts)
	if m.Digest() != digest {
		t.Errorf("the digest depends on the order of Parts")
	}

	// When its context ends, the file system fails.
	ctx, cancel := context.WithCancel(t.Context())
	fsys, _, err = checkpoint.Open(ctx, s, prefix, digest, opts...)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := fs.ReadFile(fsys, "config.json"); !errors.Is(err, context.Canceled) {
		t.Errorf("reading after cancel: %v, want context.Canceled", err)
	}
}

// testLargePart writes and imports a part that is too large to be buffered in memory.
func testLargePart(t *testing.T, s storage.Store) {
	const prefix = "largepart/cp"
	files := map[string][]byte{"large.bin": pattern(5<<20, 1)}
	m, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(files))
	if err != nil {
		t.Fatal(err)
	}
	fsys, _, err := checkpoint.Open(t.Context(), s, prefix, m.Digest())
	if err != nil {
		t.Fatal(err)
	}
	// The files of a remote store cannot seek, so the import buffers them in a spool.
	again, err := checkpoint.ImportDir(t.Context(), s, prefix+"2", fsys)
	if err != nil || again.Digest() != m.Digest() {
		t.Fatalf("imported: %s, %v, want %s", again.Digest(), err, m.Digest())
	}
	fsys, _, err = checkpoint.Open(t.Context(), s, prefix+"2", m.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(fsys, "large.bin"); err != nil || !bytes.Equal(got, files["large.bin"]) {
		t.Errorf("large.bin: %d bytes, %v, want %d bytes", len(got), err, len(files["large.bin"]))
	}
}

func testMissingPart(t *testing.T, s storage.Store, opts []checkpoint.Option) {
	const prefix = "missingpart/cp"
	m, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(folder()))
	if err != nil {
		t.Fatal(err)
	}
	part := m.Parts[0]
	key := prefix + "/parts/" + part.SHA256
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	fsys, _, err := checkpoint.Open(t.Context(), s, prefix, m.Digest(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fs.ReadFile(fsys, part.Name)
	if !errors.Is(err, storage.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), part.Name) {
		t.Errorf("reading a missing part: %v, want ErrCorrupt naming %s, and not ErrNotExist", err, part.Name)
	}

	// Other bytes of the same size under the part's key.
	if _, err := s.Put(t.Context(), key, bytes.NewReader(pattern(int(part.Size), 9)), -1); err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(fsys, part.Name); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("reading a replaced part: %.40q, %v, want ErrCorrupt", got, err)
	}

	// Writing the checkpoint again repairs the part.
	if _, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(folder())); err != nil {
		t.Fatal(err)
	}
	wantFolder(t, fsys, folder())

	for name, digest := range map[string]string{
		"unknown": strings.Repeat("ab", 32), "not hex": "latest", "a path": "../" + m.Digest(),
		"upper case": strings.ToUpper(m.Digest()),
	} {
		_, _, err := checkpoint.Open(t.Context(), s, prefix, digest, opts...)
		if err == nil || name == "unknown" && !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("open with a digest that is %s: %v, want an error", name, err)
		}
	}
}

func testDamaged(t *testing.T, s storage.Store, damage Damage, opts []checkpoint.Option) {
	const prefix = "damaged/cp"
	m, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(folder()))
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string]bool{}
	for _, p := range m.Parts {
		if p.Size > 0 && !damaged[p.SHA256] {
			damage(t, s, prefix+"/parts/"+p.SHA256)
			damaged[p.SHA256] = true
		}
	}
	fsys, _, err := checkpoint.Open(t.Context(), s, prefix, m.Digest(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parts {
		if got, err := fs.ReadFile(fsys, p.Name); p.Size > 0 && !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("reading damaged %s: %d bytes, %v, want ErrCorrupt", p.Name, len(got), err)
		}
	}
	damage(t, s, prefix+"/manifests/"+m.Digest()+".json")
	if _, _, err := checkpoint.Open(t.Context(), s, prefix, m.Digest(), opts...); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("open with a damaged manifest: %v, want ErrCorrupt", err)
	}
}

func testInherit(t *testing.T, s storage.Store) {
	const prefix = "inherit/cp"
	parent, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(folder()))
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string][]byte{"config.json": []byte("new"), "step-2/moments.bin": pattern(1000, 5)}
	child, err := checkpoint.Write(t.Context(), s, prefix, &parent, writeAll(changes))
	if err != nil {
		t.Fatal(err)
	}
	merged := folder()
	maps.Copy(merged, changes)
	fsys, _, err := checkpoint.Open(t.Context(), s, prefix, child.Digest())
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, fsys, merged)
	if child.Digest() == parent.Digest() {
		t.Error("child and parent have the same digest")
	}

	// Inheriting fails if the parts of the parent do not exist under the prefix.
	const elsewhere = "inherit/other"
	m, err := checkpoint.Write(t.Context(), s, elsewhere, &parent, writeAll(changes))
	if !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("inherit parts that do not exist: %+v, %v, want ErrNotExist", m, err)
	}
	if n := count(t, s, elsewhere+"/manifests/"); n != 0 {
		t.Errorf("%d manifests, want none", n)
	}
}

func testFailedWrite(t *testing.T, s storage.Store) {
	boom := errors.New("boom")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cases := []struct {
		name  string
		want  error  // the error must wrap it, if it is set
		text  string // the error must contain it
		write func(create) error
	}{
		{name: "nothing", text: "no parts", write: func(create) error { return nil }},
		{name: "callback fails", want: boom, write: func(c create) error {
			return errors.Join(writeAll(folder())(c), boom)
		}},
		{name: "not closed", text: "part a was not closed", write: func(c create) error {
			w, _ := c("a")
			_, err := w.Write([]byte("x"))
			return err
		}},
		{name: "twice", text: "part a: created twice", write: func(c create) error {
			c("a")
			_, err := c("a")
			return err
		}},
		{name: "bad name", want: storage.ErrBadKey, write: func(c create) error { _, err := c("../a"); return err }},
		{
			name: "file and folder", text: "part a is also the folder of part a/b",
			write: writeAll(map[string][]byte{"a": nil, "a/b": nil}),
		},
		{name: "write after close", want: os.ErrClosed, write: func(c create) error {
			w, _ := c("a")
			w.Close()
			_, err := w.Write([]byte("x"))
			return err
		}},
		{name: "cancelled", want: context.Canceled, write: func(c create) error {
			w, _ := c("a")
			w.Write(pattern(2<<20, 1))
			cancel()
			w.Write([]byte("the callback ignores the error of this write"))
			w.Close()
			return nil
		}},
	}
	for _, c := range cases { // "cancelled" must be the last
		m, err := checkpoint.Write(ctx, s, "failed/cp", nil, c.write)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %+v, %v, want %v %s", c.name, m, err, c.want, c.text)
		}
	}
	if n := count(t, s, "failed/cp/manifests/"); n != 0 {
		t.Errorf("%d manifests, want none", n)
	}
}

func testImport(t *testing.T, s storage.Store) {
	const prefix = "import/cp"
	from := t.TempDir()
	for name, content := range folder() {
		name = filepath.Join(from, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	err := os.Symlink("config.json", filepath.Join(from, "link.json"))
	if err := errors.Join(err, os.Mkdir(filepath.Join(from, "empty"), 0o755)); err != nil {
		t.Fatal(err)
	}
	m, err := checkpoint.ImportDir(t.Context(), s, prefix, os.DirFS(from))
	if err != nil {
		t.Fatal(err)
	}
	wanted := folder()
	wanted["link.json"] = wanted["config.json"]
	written, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(wanted))
	if err != nil || written.Digest() != m.Digest() {
		t.Errorf("written: %s, %v, imported: %s, want the same", written.Digest(), err, m.Digest())
	}

	for name, fsys := range map[string]fs.FS{
		"no files":         fstest.MapFS{},
		"bad name":         fstest.MapFS{"a b.txt": {}},
		"link to a folder": os.DirFS(linkTo(t, from)),
		"dangling link":    os.DirFS(linkTo(t, filepath.Join(from, "nothing"))),
		"missing folder":   os.DirFS(filepath.Join(from, "nothing")),
	} {
		if m, err := checkpoint.ImportDir(t.Context(), s, "import/refused", fsys); err == nil {
			t.Errorf("import of %s: %+v, want an error", name, m)
		}
	}
	if n := count(t, s, "import/refused/"); n != 0 {
		t.Errorf("%d objects of refused imports, want none", n)
	}
}

// linkTo creates a folder whose only entry is a symbolic link to target.
func linkTo(t *testing.T, target string) string {
	dir := t.TempDir()
	if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// testConcurrentWriters writes checkpoints that share parts from many goroutines: each
// checkpoint can be opened and read.
func testConcurrentWriters(t *testing.T, s storage.Store) {
	const prefix = "writers/cp"
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := fmt.Appendf(nil, "writer %d", i/2) // two writers each have the same content
			files := map[string][]byte{"shared.bin": pattern(200_000, 1), "own.bin": own}
			m, err := checkpoint.Write(t.Context(), s, prefix, nil, writeAll(files))
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
				return
			}
			fsys, _, err := checkpoint.Open(t.Context(), s, prefix, m.Digest())
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
				return
			}
			for name, content := range files {
				if got, err := fs.ReadFile(fsys, name); err != nil || !bytes.Equal(got, content) {
					t.Errorf("writer %d: %s: %d bytes, %v", i, name, len(got), err)
				}
			}
		})
	}
	wg.Wait()
	parts, manifests := count(t, s, prefix+"/parts/"), count(t, s, prefix+"/manifests/")
	if parts != 5 || manifests != 4 {
		t.Errorf("%d parts and %d manifests, want 5 and 4", parts, manifests)
	}
}
