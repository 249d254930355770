package format_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"itool/stages/split/format"
)

func gzipped(t testing.TB, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, data string, opts ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(data), nil))
}

// columns writes conversations of one turn as a Parquet file.
func columns(t testing.TB, contents ...string) string {
	t.Helper()
	type message struct {
		Role    string `parquet:"role"`
		Content string `parquet:"content"`
	}
	type row struct {
		Messages []message `parquet:"messages,list"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	for _, c := range contents {
		if _, err := w.Write([]row{{[]message{{"user", c}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// rowsOf opens data and returns what was found, its rows as text, and the first error.
func rowsOf(t *testing.T, data string) (found string, rows []string, err error) {
	t.Helper()
	f, err := format.Open(strings.NewReader(data), int64(len(data)))
	if err != nil {
		return "", nil, err
	}
	for raw, err := range f.Rows(t.Context()) {
		if err != nil {
			return f.String(), rows, err
		}
		rows = append(rows, fmt.Sprintf("%d:%d %s", raw.Number, raw.Line, raw.Bytes))
	}
	return f.String(), rows, nil
}

// TestContainers: each container is found by its bytes and gives the same rows.
func TestContainers(t *testing.T) {
	const a, b = `{"messages": [{"role": "user", "content": "a"}]}`, `{"messages": [], "note": "]}{["}`
	for _, c := range []struct{ name, data, found, first, second string }{
		{"lines", a + "\n\n" + b, "openai, JSON lines", "0:1 " + a, "1:3 " + b},
		{"array", "[" + a + ",\n" + b + "]", "openai, a JSON array", "0:1 " + a, "1:2 " + b},
		{"array under data", `{"data": [` + a + ",\n" + b + "]}", `openai, a JSON array under "data"`, "0:1 " + a,
			"1:2 " + b},
		{"keys before and behind", "{\"version\": \"1\", \"n\": {\"data\": [1]},\n \"rows\" :\n[ " + a + ", " + b +
			"],\n \"info\": {\"a\": [\"}\"]}, \"x\": 1 }\n", `openai, a JSON array under "rows"`, "0:3 " + a, "1:3 " +
			b},
		{"under a key of any name", `{"my own": [` + a + "," + b + "]}", `openai, a JSON array under "my own"`,
			"0:1 " + a, "1:1 " + b},
		{"byte order mark", "\xef\xbb\xbf{\"data\": [" + a + "," + b + "]}", `openai, a JSON array under "data"`,
			"0:1 " + a, "1:1 " + b},
		{"lines in gzip", gzipped(t, a+"\n"+b+"\n"), "openai, JSON lines in gzip", "0:1 " + a, "1:2 " + b},
		{"two gzip members", gzipped(t, a+"\n") + gzipped(t, b+"\n"), "openai, JSON lines in gzip", "0:1 " + a,
			"1:2 " + b},
		{"array in zstd", zstded(t, "["+a+","+b+"]"), "openai, a JSON array in zstd", "0:1 " + a, "1:1 " + b},
		{"two zstd frames", zstded(t, a+"\n") + zstded(t, b+"\n"), "openai, JSON lines in zstd", "0:1 " + a, "1:2 " +
			b},
		{"Parquet", columns(t, "a", "b"), "openai, Parquet", "0:0 " + a, strings.ReplaceAll("1:0 "+a, `"a"`, `"b"`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, rows, err := rowsOf(t, c.data)
			if err != nil || found != c.found || len(rows) != 2 || rows[0] != c.first || rows[1] != c.second {
				t.Errorf("found %s, rows %q, err %v; want %s, %q, %q", found, rows, err, c.found, c.first, c.second)
			}
		})
	}
}

// TestLongCell: a row of a Parquet file that is too long is dropped, also the first one.
func TestLongCell(t *testing.T) {
	found, rows, err := rowsOf(t, columns(t, strings.Repeat("x", 1<<20), "b"))
	if err != nil || found != "openai, Parquet" || len(rows) != 2 || rows[0] != "0:0 " || len(rows[1]) < 10 {
		t.Errorf("found %s, rows %.100q, err %v", found, rows, err)
	}
}

// TestWrongFiles: what cannot be read as a whole is named, also when it shows only later.
func TestWrongFiles(t *testing.T) {
	const row = `{"messages": [{"role": "user", "content": "x"}]}` + "\n"
	packed, frame := gzipped(t, strings.Repeat(row, 1000)), zstded(t, strings.Repeat(row, 1000))
	large := strings.Repeat(row, 40_000) // in several zstd blocks
	damaged := []byte(zstded(t, large, zstd.WithEncoderCRC(true)))
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "the file is empty"},
		{"blanks", " \n\t", "the file is empty"},
		{"empty in gzip", gzipped(t, ""), "the file is empty"},
		{"empty in zstd", zstded(t, " ", zstd.WithZeroFrames(true)), "the file is empty"},
		{"an empty array under a key", `{"data": []}`, "the file is empty"},
		{"gzip, cut off", packed[:len(packed)-20], "the gzip data ends too early"},
		{"gzip, two bytes", packed[:2], "the gzip data ends too early"},
		{"gzip with junk behind", packed + "junk and more junk", "behind the gzip data stands something else"},
		{"gzip, damaged", packed[:len(packed)-6] + "xxxxxx", "the gzip data is damaged"},
		{"zstd, cut off", frame[:len(frame)-5], "the zstd data ends too early"},
		{"zstd with junk behind", frame + "junk and more junk", "behind the zstd data stands something else"},
		{"zstd, damaged", string(damaged), "the zstd data is damaged"},
		{"packed twice", gzipped(t, frame), "packed twice, the second time with zstd: unpack it once"},
		{"tar in gzip", gzipped(t, "rows.jsonl"+strings.Repeat("\x00", 247)+"ustar\x0000"+strings.Repeat("\x00", 300)),
			"a tar archive"},
		{"Parquet, cut off", columns(t, "a")[:300], "the Parquet file has no footer: it is cut off"},
		{"Parquet without rows", columns(t), "the file is empty"},
		{"Parquet in gzip", gzipped(t, columns(t, "a")), "a packed Parquet file: unpack it"},
		{"Parquet with bytes that are no text", columns(t, "\xff"), "no row of it can be read: row 0: " +
			"messages.content: " +
			"a text that is no UTF-8"},
		{"zip", "PK\x03\x04 and so on", "a zip file"},
		{"bzip2", "BZh91AY", "a bzip2 file: unpack it first"},
		{"xz", "\xfd7zXZ\x00", "an xz file: unpack it first"},
		{"Arrow", "ARROW1\x00\x00", "an Arrow file: write it as Parquet or JSON lines"},
		{"commas behind lines", strings.ReplaceAll(row+row, "\n", ",\n"), `behind the first row, on its line, ` +
			`stands ","`},
		{"two rows on a line", strings.TrimSpace(row) + " " + row, `behind the first row, on its line, stands "{"`},
		{"a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"},
		{"a web page", "\n<!DOCTYPE html><html>", "a web page"},
		{"one object over several lines", "{\n \"messages\": [\n  " + `{"role": "user", "content": "x"}` + "]\n}",
			"the first row spans several lines: write one row a line (jq -c . FILE)"},
		{"a long object over several lines", "{\n \"messages\": [\n" + strings.Repeat(" \n", 40_000) + "]}\n",
			"the first row spans several lines"},
		{"prose", "Hello", "it begins with 'H'"},
		{"two arrays of rows", `{"train": [` + row + `], "test": [` + row + `]}`, `under "train" and under "test"`},
		{"array under a key, cut off", `{"data": [` + row, "the file ends within the array"},
		{"cut off behind the array", `{"data": [` + row + `], "version": "1`,
			`the file ends behind the array under "data"`},
		{"more behind the object", `{"data": [` + row + `]} {}`, "behind the array stands '{'"},
		{"no comma behind the array", `{"data": [` + row + `]: 3}`, "stands ':'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rows, err := rowsOf(t, c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d rows, err = %v, want %q", len(rows), err, c.want)
			}
		})
	}
	fails := iotest.ErrReader(errors.New("the disk is gone"))
	if _, err := format.Open(readerAt{fails}, 100); err == nil || !strings.Contains(err.Error(), "disk is gone") {
		t.Errorf("a failing reader: err = %v", err)
	}
}

type readerAt struct{ r io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.r.Read(p) }

// TestOnDisk: what is no file, and a file that is written to while it is read.
func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	if _, err := format.OpenFile(dir); err == nil || !strings.Contains(err.Error(), "it is a folder") {
		t.Errorf("a folder: err = %v", err)
	}
	if _, err := format.OpenFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: err = %v", err)
	}
	name := filepath.Join(dir, "rows")
	if err := os.WriteFile(name, []byte(openaiRow), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := format.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Unchanged(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(name, []byte(openaiRow+"\n"+openaiRow), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Unchanged(); err == nil || !strings.Contains(err.Error(), "it changed while it was read") {
		t.Errorf("a changed file: err = %v", err)
	}
}

// longLine is a row of size bytes in one line and a good row behind it, made when it is read.
type longLine struct{ size int64 }

func (l longLine) ReadAt(p []byte, off int64) (int, error) {
	const start, tail = `{"messages": "`, "\"}\n" + `{"messages": [{"role": "user", "content": "x"}]}`
	n := 0
	for n < len(p) && off < l.size+int64(len(tail)) {
		if middle := min(int64(len(p)-n), l.size-off); off >= int64(len(start)) && middle > 1 {
			clear(p[n : n+int(middle)])
			n, off = n+int(middle), off+middle
			continue
		}
		switch {
		case off < int64(len(start)):
			p[n] = start[off]
		case off < l.size:
			p[n] = 0
		default:
			p[n] = tail[off-l.size]
		}
		n, off = n+1, off+1
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestLongLine: a line of 2 GB costs no more memory than any other, is named with its place,
// and the row behind it is read.
func TestLongLine(t *testing.T) {
	size := int64(2 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	l := longLine{size}
	tail := int64(len("\"}\n" + `{"messages": [{"role": "user", "content": "x"}]}`))
	grown := peakGrowth(func() {
		f, err := format.Open(l, size+tail)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for raw, err := range f.Rows(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			row := format.Parse(raw, f.Format)
			got = append(got, fmt.Sprint(row.Number, row.Line, row.Err))
		}
		want := "[0 1 row 0 (line 1): longer than 1048576 bytes 1 2 <nil>]"
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
	if grown > 16<<20 {
		t.Errorf("a line of %d bytes took %d bytes of memory", size, grown)
	}
}

// peakGrowth returns the bytes that f allocates altogether: a bound on its peak that does not
// depend on when the collector runs.
func peakGrowth(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombs: a small packed file that unpacks to much is refused early and in little memory.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 512 MiB")
	}
	var bomb bytes.Buffer
	w, err := zstd.NewWriter(&bomb, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	const row = `{"messages": [{"role": "user", "content": "x"}]}` + "\n"
	block := bytes.Repeat([]byte(row), 1<<20/len(row))
	for range 600 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The frame's header claims a window of 1 GiB, which a decoder would have to keep.
	wide := append([]byte("\x28\xb5\x2f\xfd\x00\xa0"), bomb.Bytes()[6:]...)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"many rows", bomb.Bytes(), "no dataset is packed so tightly"},
		{"a wide window", wide, "a window of more than 128 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			grown := peakGrowth(func() {
				if _, _, err := countRaw(t, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("err = %v, want %q", err, c.want)
				}
			})
			if grown > 64<<20 {
				t.Errorf("%d packed bytes took %d bytes of memory", len(c.data), grown)
			}
		})
	}
}

func countRaw(t *testing.T, data []byte) (f *format.File, rows int, err error) {
	t.Helper()
	if f, err = format.Open(bytes.NewReader(data), int64(len(data))); err != nil {
		return nil, 0, err
	}
	for _, err := range f.Rows(t.Context()) {
		if err != nil {
			return f, rows, err
		}
		rows++
	}
	return f, rows, nil
}
