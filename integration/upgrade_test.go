package integration

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"itool/integration/rig"
	"itool/ops/line"
	"itool/schemas"
)

// TestUpgrade: a run that an older version began finishes under this one. testdata/upgrade.tar.gz is the folder of
// `itool up` of commit 0caa102: the version before stores had an identity, manifests were compared with results, and
// workers knew pair/v2. Its processes were killed by SIGKILL when two of four trees were searched and another was in
// work. What it computed stays.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("finishes a run in processes, some seconds; the full test run does it")
	}
	dir := filepath.Join(t.TempDir(), "site")
	untar(t, "testdata/upgrade.tar.gz", dir)
	const name = "upgrade"
	site := rig.Up(t, dir, "--ack-wait", "3s")
	before, err := site.Courier.Policy(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	searched, err := site.Broker.Keys(t.Context(), name, schemas.RecordCandidate, 0)
	if err != nil || len(searched) != 2 {
		t.Fatalf("the old version searched %q, %v; want two trees", searched, err)
	}
	rig.Start(t, dir, "work", "all", "--dir", dir, "--ack-wait", "3s", "--slots", "1")
	await(t, "end of the run", func() bool {
		v, err := line.Rows(nil).Look(t.Context(), site.Courier, name)
		return err == nil && v.End != nil
	})
	end, err := site.Courier.End(t.Context(), name)
	if err != nil || end.Status != schemas.StatusDone {
		t.Fatalf("the run ended as %+v, %v", end, err)
	}
	after, err := site.Courier.Policy(t.Context(), name, 0)
	if err != nil || after.Checkpoint != before.Checkpoint {
		t.Errorf("policy 0 was %.12s, is %.12s, %v", before.Checkpoint, after.Checkpoint, err)
	}
	if _, err := site.Courier.Policy(t.Context(), name, 1); err != nil {
		t.Error(err)
	}
	adapter := filepath.Join(dir, "adapter")
	for _, verb := range [][]string{{"report", name}, {"runs"}, {"export", name, "--out", adapter}} {
		if out, errs, code := rig.Itool(t, dir, append(verb, "--dir", dir)...); code != 0 {
			t.Errorf("itool %v: exit code %d\n%s%s", verb, code, out, errs)
		}
	}
}

// untar writes the files of an archive into a new folder that only its owner can read.
func untar(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
