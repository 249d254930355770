package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestVersion: the line and the JSON say the release, Go and the kernel level; the flag
// agrees.
func TestVersion(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"version", "--kernels", "go"}, ", kernels cpu/go\n"},
		{[]string{"--version"}, "itool " + release + ", "},
	} {
		code, out, errs := itool(t, dir, c.args...)
		if code != 0 || !strings.HasPrefix(out, "itool "+release+", ") || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, got %q, want %q in it\n%s", c.args, code, out, c.want, errs)
		}
	}
	code, out, errs := itool(t, dir, "version", "--json", "--kernels", "go")
	var b build
	if err := json.Unmarshal([]byte(out), &b); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if b.Version != release || b.Kernels != "cpu/go" || !strings.HasPrefix(b.Go, "go1.") || b.Platform == "" {
		t.Errorf("got %+v", b)
	}
}

// TestBuild: the line shows the commit only when it is known.
func TestBuild(t *testing.T) {
	b := build{Version: "1.2.3", Go: "go1.26", Platform: "linux/arm64"}
	if got, want := b.String(), "itool 1.2.3, go1.26, linux/arm64"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Revision, b.Modified, b.Kernels = "0123456789abcdef", true, "cpu/neon"
	want := "itool 1.2.3, revision 0123456789ab (modified), go1.26, linux/arm64, kernels cpu/neon"
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
