package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUpStore: up serves the store that it is given, prints it, and its folder remembers
// it. Keys come from the environment only and are never shown.
func TestUpStore(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	up := func(args ...string) (out string) {
		t.Helper()
		c := command(t, dir, append([]string{"up", "--dir", "site", "--port", fmt.Sprint(freePort(t))}, args...)...)
		var b bytes.Buffer
		c.Stdout, c.Stderr = &b, &b
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// Wait for the address: before it is written, the next command would serve the folder itself.
		waitFor(t, func() bool { return exists(filepath.Join(dir, "site", "address")) })
		if code, _, errs := itool(t, dir, "runs", "--dir", "site"); code != 0 {
			t.Errorf("runs: exit code %d\n%s", code, errs)
		}
		stop(t, c)
		return b.String()
	}
	want := "\nstore  disk:" + filepath.Join(dir, "elsewhere") + "\n"
	for _, c := range []struct {
		name string
		args []string
	}{
		{"a relative path", []string{"--store", "disk:elsewhere"}},
		{"the folder remembers it", nil},
		{"the same again", []string{"--store", "disk:" + filepath.Join(dir, "elsewhere")}},
	} {
		if out := up(c.args...); !strings.Contains(out, want) {
			t.Errorf("%s: up says\n%s\nwant %q", c.name, out, want)
		}
	}
	if exists(filepath.Join(dir, "site", "store")) {
		t.Error("up made a store of its own, though another was given")
	}

	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{
			"another store than the runs'", []string{"--dir", "site", "--store", "disk:third"}, exitError,
			"have their files in disk:" + filepath.Join(dir, "elsewhere"),
		},
		{"no store", []string{"--dir", "new", "--store", "ftp://x"}, exitUsage, "neither disk:PATH nor minio://"},
		{
			"MinIO without keys", []string{"--dir", "new", "--store", "minio://127.0.0.1:1/b"}, exitError,
			"ITOOL_MINIO_ACCESS_KEY",
		},
		{
			"keys in the address", []string{"--dir", "new", "--store", "minio://mykey:mysecret@127.0.0.1:1/b"},
			exitUsage, "--store has keys in its address: write SCHEME://127.0.0.1:1/b",
		},
		{
			"keys in an address that cannot be read",
			[]string{"--dir", "new", "--store", "minio://mykey:mysecret%@127.0.0.1:1/b"},
			exitUsage, "--store has keys in its address",
		},
		{
			"keys and another scheme", []string{"--dir", "new", "--store", "s3://mykey:mysecret@127.0.0.1:1/b"},
			exitUsage, "--store has keys in its address",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := itool(t, dir, append([]string{"up", "--port", fmt.Sprint(freePort(t))}, c.args...)...)
			if code != c.code || !strings.Contains(errs, c.want) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, c.code, c.want, out, errs)
			}
			if strings.Contains(out+errs, "mykey") || strings.Contains(out+errs, "mysecret") {
				t.Errorf("the keys are shown:\n%s%s", out, errs)
			}
			if exists(filepath.Join(dir, "new")) {
				t.Error("up left a folder behind")
			}
		})
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func stop(t testing.TB, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%s after SIGTERM: %v", c.Args[1], err)
	}
}
