package line_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/split/format"
	"itool/storage"
)

// conversations are rows of JSON lines, each of another city.
func conversations(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"messages": [{"role": "user", "content": "City %d?"}, `+
			`{"role": "assistant", "content": "Yes."}]}`+
			"\n", i)
	}
	return b.Bytes()
}

func packGzip(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func request(rows int, files ...string) line.Request {
	return line.Request{
		Run: "r", Config: "{}", Digest: "d", ShardRows: rows, Base: policytest.Tiny(1), Created: time.Now(),
		Files: files,
	}
}

// TestFiles: each shard is an object of its own that holds its rows and no others, and the same
// request stores the same.
func TestFiles(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "plain.jsonl"), filepath.Join(dir, "packed")
	for name, data := range map[string][]byte{plain: conversations(7), packed: packGzip(t, conversations(5))} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run, err := line.Prepare(t.Context(), c, engine, request(3, plain, packed))
	if err != nil {
		t.Fatal(err)
	}
	var shards []schemas.Shard
	if err := json.Unmarshal([]byte(run.Dataset), &shards); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range shards {
		r, _, err := c.Store.Get(t.Context(), s.File)
		if err != nil {
			t.Fatal(err)
		}
		first, rows := int(s.First), int(s.Rows)
		var cities []string
		for row, err := range format.ReadShard(t.Context(), r, format.Format(s.Format), s.SHA256, first, rows) {
			if err != nil {
				t.Fatal(err)
			}
			cities = append(cities, strings.Trim(row.Messages[0].Content, "City?"))
		}
		r.Close()
		got = append(got, fmt.Sprintf("%s %s %d+%d:%s", s.Key, s.Name, first, rows, strings.Join(cities, "")))
	}
	want := "s0000000 plain.jsonl 0+3: 0 1 2\ns0000001 plain.jsonl 3+3: 3 4 5\ns0000002 plain.jsonl 6+1: 6\n" +
		"s0100000 packed 0+3: 0 1 2\ns0100001 packed 3+2: 3 4"
	if all := strings.Join(got, "\n"); all != want {
		t.Errorf("got\n%s\nwant\n%s", all, want)
	}
	again, err := line.Prepare(t.Context(), c, engine, request(3, plain, packed))
	if err != nil || again.Dataset != run.Dataset {
		t.Errorf("published again: err %v, other shards: %v", err, again.Dataset != run.Dataset)
	}
}

// TestWrongDatasets: a file that is broken anywhere is named, and nothing of the request is
// stored, of the good file before it neither.
func TestWrongDatasets(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	good := filepath.Join(dir, "good.jsonl")
	if err := os.WriteFile(good, conversations(10), 0o600); err != nil {
		t.Fatal(err)
	}
	packed := packGzip(t, conversations(5000))
	for _, w := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"cut off", packed[:len(packed)-30], "(line "},
		{"junk behind", append(bytes.Clone(packed), "junk and more junk"...), "stands something else"},
		{"array cut off", []byte("[" + string(conversations(1))), "the file ends within the array"},
		{"prose", []byte("Hello"), "it begins with 'H'"},
		{"Parquet, cut off", append([]byte("PAR1"), packed...), "the Parquet file has no footer"},
		{"a folder", nil, "it is a folder"},
		{"missing", nil, "no such file"},
	} {
		t.Run(w.name, func(t *testing.T) {
			bad := filepath.Join(dir, "bad")
			switch w.name {
			case "a folder":
				bad = dir
			case "missing":
				bad = filepath.Join(dir, "none")
			default:
				if err := os.WriteFile(bad, w.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := line.Prepare(t.Context(), c, engine, request(3, good, bad))
			if err == nil || !strings.Contains(err.Error(), "dataset "+bad+": ") || !strings.Contains(err.Error(),
				w.want) {
				t.Errorf("err = %v, want dataset %s: … %s", err, bad, w.want)
			}
			for info, err := range c.Store.List(t.Context(), "") {
				if info.Key != storage.IdentityKey {
					t.Errorf("%s was stored, err %v", info.Key, err)
				}
			}
		})
	}
}
