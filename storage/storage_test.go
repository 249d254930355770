package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"itool/storage"
)

func TestCheckPrefix(t *testing.T) {
	long := strings.Repeat("n", 255)
	for prefix, ok := range map[string]bool{
		"": true, "a": true, "a/": true, "a/b": true, ".": true, "..": true, "a/..": true, "a/.": true,
		long: true, long + "/": true,
		"/": false, "a//": false, "../": false, "a/../b": false, "a b": false, long + "n": false,
	} {
		if err := storage.CheckPrefix(prefix); (err == nil) != ok {
			t.Errorf("prefix %q: %v, want allowed: %v", prefix, err, ok)
		}
	}
}

func TestVerify(t *testing.T) {
	content := "the content of an object"
	sum := sha256.Sum256([]byte(content))
	info := storage.Info{Key: "k", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	other := info
	other.SHA256 = strings.Repeat("0", 64)
	longer := info
	longer.Size++
	shorter := info
	shorter.Size--
	boom := errors.New("boom")
	cases := []struct {
		name string
		r    io.Reader
		info storage.Info
		want error
	}{
		{"right", strings.NewReader(content), info, nil},
		{"right, byte by byte", iotest.OneByteReader(strings.NewReader(content)), info, nil},
		{"right, io.EOF together with the data", iotest.DataErrReader(strings.NewReader(content)), info, nil},
		{"other digest", strings.NewReader(content), other, storage.ErrCorrupt},
		{"too short", strings.NewReader(content), longer, storage.ErrCorrupt},
		{"too long", strings.NewReader(content), shorter, storage.ErrCorrupt},
		{"no digest", strings.NewReader(content), storage.Info{Key: "k", Size: info.Size}, storage.ErrCorrupt},
		{"empty, wrong", strings.NewReader(""), storage.Info{Key: "k", SHA256: info.SHA256}, storage.ErrCorrupt},
		{"reader fails", io.MultiReader(strings.NewReader("the"), iotest.ErrReader(boom)), info, boom},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := storage.Verify(io.NopCloser(c.r), c.info)
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.want) {
				t.Fatalf("%d bytes, %v, want %v", len(got), err, c.want)
			}
			if _, again := r.Read(make([]byte, 1)); c.want != nil && !errors.Is(again, c.want) {
				t.Errorf("reading after the error: %v, want %v again", again, c.want)
			}
			if c.want == nil && !bytes.Equal(got, []byte(content)) {
				t.Errorf("got %q, want %q", got, content)
			}
			if c.want != nil && int64(len(got)) >= c.info.Size && c.info.Size > 0 {
				t.Errorf("all %d bytes were returned although they are wrong", len(got))
			}
		})
	}
}
