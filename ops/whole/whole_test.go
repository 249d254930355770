package whole_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/whole"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func fillWith(name string) func(string) error {
	return func(tmp string) error { return os.WriteFile(filepath.Join(tmp, name), nil, 0o600) }
}

// names lists a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

// TestFile: an error keeps the old content and leaves no other file behind.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	broken := errors.New("broken")
	if err := whole.File(file, text("one")); err != nil {
		t.Fatal(err)
	}
	err := whole.File(file, func(w io.Writer) error { return errors.Join(text("tw")(w), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of fill", err)
	}
	if got, err := os.ReadFile(file); string(got) != "one" || names(t, dir) != "f" {
		t.Errorf("after an error: %q, %v; the folder holds %s", got, err, names(t, dir))
	}
	if err := whole.File(file, text("two")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); string(got) != "two" {
		t.Errorf("got %q, %v, want two", got, err)
	}
	err = whole.File(filepath.Join(dir, "none", "f"), text(""))
	if err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("in a folder that is missing: got %v", err)
	}
}

// TestFolder: a folder appears complete, and another one gives way only with replace.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "a", "b")
	broken := errors.New("broken")
	err := whole.Folder(folder, false, func(tmp string) error { return errors.Join(fillWith("x")(tmp), broken) })
	if !errors.Is(err, broken) || names(t, filepath.Join(dir, "a")) != "" {
		t.Errorf("got %v; the folder above holds %q", err, names(t, filepath.Join(dir, "a")))
	}
	if err := whole.Folder(folder, false, fillWith("one")); err != nil {
		t.Fatal(err)
	}
	if err := whole.Folder(folder, false, fillWith("two")); err == nil || names(t, folder) != "one" {
		t.Errorf("a folder that was there: got %v; it holds %q", err, names(t, folder))
	}
	if err := whole.Folder(folder, true, fillWith("two")); err != nil || names(t, folder) != "two" {
		t.Errorf("replace: got %v; it holds %q", err, names(t, folder))
	}
}
