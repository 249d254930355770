package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDeployConfig: the files of all roles are written, only their owner reads them, no password is
// made without being asked for, and nothing is overwritten.
func TestDeployConfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "access")
	code, out, errs := itool(t, t.TempDir(), "deploy-config", dir, "--bucket", "b", "--prefix", "team")
	if code != 0 || !strings.Contains(out, "12 policies") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for name, want := range map[string]string{
		"auth.conf":      "user: expand, password: $ITOOL_NATS_PASSWORD_EXPAND",
		"passwords.env":  "\nITOOL_NATS_PASSWORD_EXPAND=\n",
		"s3/update.json": `"arn:aws:s3:::b/team/checkpoints/*"`,
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %s in it", name, err, want)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", name, info.Mode().Perm())
		}
	}
	if code, _, errs := itool(t, t.TempDir(), "deploy-config", dir); code == 0 ||
		!strings.Contains(errs, "new folder") {
		t.Errorf("a second time: exit code %d, %s", code, errs)
	}
	if code, _, errs := itool(t, t.TempDir(), "deploy-config", dir+"2", "--bucket", "b*"); code != 2 ||
		!strings.Contains(errs, "--bucket b*") {
		t.Errorf("a bucket of many: exit code %d, %s", code, errs)
	}
	dir += "3"
	if code, _, errs := itool(t, t.TempDir(), "deploy-config", dir, "--passwords"); code != 0 {
		t.Fatal(errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "passwords.env"))
	if err != nil || strings.Contains(string(text), "=\n") {
		t.Errorf("--passwords leaves some empty: %v\n%s", err, text)
	}
}
