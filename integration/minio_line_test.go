package integration

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"itool/integration/rig"
	"itool/storage"
	"itool/storage/minio"
)

// TestLineOnMinIO: a run with its files on MinIO gives the same policies as a run on disk. The
// keys of MinIO, which come from the environment, are neither printed nor stored.
func TestLineOnMinIO(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice, about 15 seconds; the full test run does it")
	}
	endpoint, access, secret := rig.MinIO(t)
	t.Setenv("ITOOL_MINIO_ACCESS_KEY", access)
	t.Setenv("ITOOL_MINIO_SECRET_KEY", secret)
	t.Setenv("ITOOL_STORE", "")
	onDisk := policies(t, inOneProcess(t, oneRound))

	spec := "minio://" + endpoint + "/runs/some/prefix"
	k := up(t, "--store", spec)
	said := map[string]string{}
	say := func(args ...string) {
		t.Helper()
		out, errs := k.itool(append([]string{"--verbose"}, args...)...)
		said[strings.Join(args, " ")] = out + errs
	}
	worker := k.work("all")
	published, errs := k.publish(oneRound)
	said["publish"] = published + errs
	k.end()
	got := policies(t, k.site.Courier)
	if fmt.Sprint(got) != fmt.Sprint(onDisk) {
		t.Errorf("policies on MinIO\n%v differ from those on disk\n%v", got, onDisk)
	}
	if _, err := os.Stat(filepath.Join(k.site.Dir, "store")); err == nil {
		t.Error("up made a store in its folder, although another was given")
	}

	say("watch", name)
	say("report", name, "--html", "report.html")
	say("report", name, "--json")
	say("failed", name)
	say("runs")
	say("doctor")
	say("export", name, "--out", "adapter")
	// The folder of up also names the store.
	out, errs, code := rig.Itool(t, k.site.Dir, "report", name, "--dir", ".")
	if said["report by folder"] = out + errs; code != 0 || !strings.Contains(out, "run "+name+" · done") {
		t.Errorf("report by the folder: exit code %d\n%s%s", code, out, errs)
	}
	worker.Stop()
	k.site.Stop()
	said["work"], said["up"] = worker.Said(), k.site.Said()
	if !strings.Contains(said["up"], "\nstore  "+spec+"\n") {
		t.Errorf("up does not name the store %s:\n%s", spec, said["up"])
	}

	t.Setenv("ITOOL_MINIO_SECRET_KEY", secret+"x")
	out, errs, code = rig.Itool(t, k.site.Dir, append([]string{"doctor"}, k.where...)...)
	if said["doctor with a wrong key"] = out + errs; code == 0 || !strings.Contains(out, "check access key") {
		t.Errorf("doctor with a wrong key: exit code %d\n%s%s", code, out, errs)
	}

	for what, text := range said {
		leaks(t, "what "+what+" prints", []byte(text), access, secret)
	}
	for file, content := range files(t, k.site.Dir) { // broker, report, exported adapter
		leaks(t, file, content, access, secret)
	}
	store, err := minio.Open(t.Context(), minio.Config{
		Endpoint: endpoint, Bucket: "runs", Prefix: "some/prefix",
		AccessKey: minio.Secret(access), SecretKey: minio.Secret(secret),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for key, content := range objects(t, store) {
		leaks(t, "object "+key, content, access, secret)
	}
}

func leaks(t *testing.T, where string, content []byte, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(content, []byte(s)) {
			t.Errorf("a secret is in %s", where)
		}
	}
}

// files are the contents of all files in a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(out), err)
	}
	return out
}

// objects are the contents of all objects in a store, decompressed.
func objects(t *testing.T, s storage.Store) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err == nil && strings.HasSuffix(info.Key, ".zst") {
			content, err = unpack(content)
		}
		if err != nil {
			t.Fatalf("%s: %v", info.Key, err)
		}
		r.Close()
		out[info.Key] = content
	}
	if len(out) == 0 {
		t.Fatal("the store on MinIO is empty")
	}
	return out
}

func unpack(packed []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(packed, nil)
}
