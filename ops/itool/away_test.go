package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunsWithoutStore: a store that does not answer hides no run. The list says what they wait for.
func TestRunsWithoutStore(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, t.TempDir(), 8), writeBase(t, t.TempDir(), nil)
	up, _ := upIn(t, dir)
	defer stop(t, up)
	publish := append([]string{"publish", file, "--base", base, "--name", "r1"}, small...)
	expect(t, dir, 0, "published run r1", publish...)
	waitFor(t, func() bool { _, out, _ := itool(t, dir, "runs"); return strings.Contains(out, "read the dataset") })
	address, err := os.ReadFile(filepath.Join(dir, upDir, "address"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ITOOL_MINIO_ACCESS_KEY", "access")
	t.Setenv("ITOOL_MINIO_SECRET_KEY", "secret-key")
	where := []string{"--broker", strings.TrimSpace(string(address)), "--store", "minio://127.0.0.1:1/runs"}
	code, out, errs := itool(t, dir, append([]string{"runs"}, where...)...)
	if code != 0 || !strings.Contains(out, "r1 ") || !strings.Contains(out, "waiting: store: ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := itool(t, dir, append([]string{"report", "r1"}, where...)...); code == 0 {
		t.Errorf("report without a store: exit code 0\n%s%s", out, errs)
	}
}
