package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRenameModule: the module can move to another path, and another module can then import
// its packages.
func TestRenameModule(t *testing.T) {
	const path = "github.com/someone/itool"
	dir := t.TempDir()
	tree, user := filepath.Join(dir, "tree"), filepath.Join(dir, "user")
	copyTree(t, "..", tree)
	run(t, tree, "bash", "ops/tools/rename-module", path)
	if out := run(t, tree, "go", "list", "-m"); out != path+"\n" {
		t.Errorf("go list -m says %q, want %s", out, path)
	}
	run(t, tree, "go", "list", "-deps", "-test", "./...") // every import exists
	if out := run(t, tree, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted:\n%s", out)
	}

	sums, err := os.ReadFile(filepath.Join(tree, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(user, "go.sum"), string(sums))
	write(t, filepath.Join(user, "main.go"), strings.ReplaceAll(`package main

import (
	"fmt"

	"PATH/schemas/toolcall"
	"PATH/stages/policy/sample"
)

func main() {
	calls, err := toolcall.Pythonic.Read("[add(a=1, b=2)]")
	fmt.Println(len(calls), calls[0].Name, err, sample.Settings{}.Temperature)
}
`, "PATH", path))
	mod, err := os.ReadFile(filepath.Join(tree, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, requirements, _ := strings.Cut(string(mod), "\n")
	write(t, filepath.Join(user, "go.mod"), "module example.com/user\n"+requirements+
		"\nrequire "+path+" v0.0.0\n\nreplace "+path+" => ../tree\n")
	if out := run(t, user, "go", "run", "."); out != "1 add <nil> 0\n" {
		t.Errorf("the other module says %q", out)
	}
}

// run runs a program to its end and returns its standard output. The network is not used.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyTree copies a tree without what git or a run keeps there.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	skip := []string{".git", ".peers", ".cache", ".itool", "itool-runs", "itool-up"}
	err := filepath.WalkDir(from, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skip, d.Name()) {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(from, name)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		to := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
