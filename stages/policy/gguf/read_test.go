package gguf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/gguf"
	"itool/stages/policy/model/safetensors"
)

// data is the folder of the test files.
const data = "../../../../shared/data/gguf"

// fixture reads a test file, or skips the test.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, name))
	if err != nil {
		t.Skipf("the test data is not here: %v", err)
	}
	return b
}

func opened(t testing.TB, b []byte) *gguf.File {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tiny are the types of the test files tiny_*.gguf.
var tiny = []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"}

// TestRows: every type widens to the values of Python's gguf, bit by bit, read in any pieces.
func TestRows(t *testing.T) {
	fixture(t, "tiny_f32.gguf")
	for _, name := range tiny {
		f := opened(t, fixture(t, "tiny_"+name+".gguf"))
		want, err := safetensors.Read(os.DirFS(data), "tiny_"+name+".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != len(want.Names()) {
			t.Errorf("%s: %d tensors, want %d", name, len(f.Tensors), len(want.Names()))
		}
		kinds := map[string]bool{}
		for i := range f.Tensors {
			x := &f.Tensors[i]
			kinds[strings.ToLower(x.Type.String())] = true
			values, err := want.Float32(x.Name, x.Shape...)
			if err != nil {
				t.Fatal(err)
			}
			k := x.Shape[len(x.Shape)-1]
			rows := x.Values() / k
			got := make([]float32, x.Values())
			for from := 0; from < rows; from += 5 {
				to := min(rows, from+5)
				if err := f.Rows(x, got[from*k:to*k], from, to); err != nil {
					t.Fatal(err)
				}
			}
			if at := differ(got, values); at >= 0 {
				t.Errorf("%s: %s: value %d is %x, want %x", name, x.Name, at, math.Float32bits(got[at]),
					math.Float32bits(values[at]))
			}
		}
		if !kinds[name] {
			t.Errorf("%s: has only %v", name, kinds)
		}
	}
}

// differ is the index of the first value with other bits, or −1.
func differ(a, b []float32) int {
	for i := range b {
		if len(a) != len(b) || math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}

// TestHostile: a broken file is refused, when it is read or when the model is built, with an error that
// names the place.
func TestHostile(t *testing.T) {
	var index map[string]struct{ Expect string }
	if err := json.Unmarshal(fixture(t, "hostile/index.json"), &index); err != nil {
		t.Fatal(err)
	}
	if len(index) < 38 {
		t.Errorf("only %d files", len(index))
	}
	for name, want := range index {
		b := fixture(t, "hostile/"+name)
		f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		switch {
		case strings.HasPrefix(want.Expect, "accept") && err != nil, want.Expect == "reject" && err == nil:
			t.Errorf("%s: %s, got %v", name, want.Expect, err)
		}
		if err == nil {
			if _, err = f.Checkpoint(); err == nil {
				t.Errorf("%s: became a model", name)
			}
		}
		if !strings.HasPrefix(err.Error(), "gguf: ") {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
	}
}

// header is the start of a file with these numbers of tensors and keys.
func header(tensors, keys uint64) []byte {
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, tensors), keys)
}

func str(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func u32(b []byte, v ...uint32) []byte {
	for _, v := range v {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// TestReadRefuses: what the shared files do not have.
func TestReadRefuses(t *testing.T) {
	tensor := func(name string, kind uint32, at uint64, dims ...uint64) []byte {
		b := u32(str(nil, name), uint32(len(dims)))
		for _, d := range dims {
			b = binary.LittleEndian.AppendUint64(b, d)
		}
		return binary.LittleEndian.AppendUint64(u32(b, kind), at)
	}
	key := func(name string, kinds ...uint32) []byte { return u32(str(header(0, 1), name), kinds...) }
	file := func(n uint64, data int, infos ...[]byte) []byte {
		b := slices.Concat(append([][]byte{header(n, 0)}, infos...)...)
		return append(b, make([]byte, (32-len(b)%32)%32+data)...)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"safetensors", append(binary.LittleEndian.AppendUint64(nil, 2), "{}"...), "does not begin with GGUF"},
		{"big-endian", append([]byte("GGUF"), 0, 0, 0, 3), "big-endian"},
		{"version 9", append([]byte("GGUF"), 9, 0, 0, 0), "version 9"},
		{"array of arrays", append(key("a", 9, 9), make([]byte, 8)...), "arrays of arrays"},
		{"type of a scalar", key("a", 99), `key "a": type 99`},
		{"array longer than the file", binary.LittleEndian.AppendUint64(key("a", 9, 12), 1<<60), "cut short"},
		{"texts longer than the file", binary.LittleEndian.AppendUint64(key("a", 9, 8), 1<<60), "cut short"},
		{"alignment of 48", u32(key("general.alignment", 4), 48), "48 is no power of two"},
		{"data behind the last tensor", file(1, 160, tensor("t", 0, 0, 32)), "behind the last tensor"},
		{"a gap", file(2, 384, tensor("t", 0, 0, 32), tensor("u", 0, 256, 32)), `tensor "u" begins at byte 256`},
		{"five dimensions", file(1, 128, tensor("t", 0, 0, 2, 2, 2, 2, 2)), "5 dimensions"},
		{"an empty dimension", file(1, 0, tensor("t", 0, 0, 0)), "a dimension of 0"},
		{"offset beyond all files", file(1, 128, tensor("t", 0, 1<<63, 32)), "behind the end of any file"},
		{"unknown type of values", file(1, 128, tensor("t", 1000, 0, 32)), "type 1000 of values is unknown"},
		{"many tensors", header(1<<20, 0), "1048576 tensors"},
	} {
		_, err := gguf.Read(bytes.NewReader(c.file), int64(len(c.file)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	good := file(2, 224, tensor("t", 0, 96, 32), tensor("u", 30, 0, 16, 3)) // in any order
	if f := opened(t, good); !slices.Equal(f.Tensors[1].Shape, []int{3, 16}) || f.Tensors[1].Type != gguf.BF16 {
		t.Errorf("got %+v", f.Tensors)
	}
}

// TestReadTruncated: a file that ends at any byte of its header or data is refused.
func TestReadTruncated(t *testing.T) {
	b := fixture(t, "hostile/good.gguf")
	for n := range b[:len(b)-32] {
		if _, err := gguf.Read(bytes.NewReader(b[:n]), int64(n)); err == nil {
			t.Errorf("accepted %d of %d bytes", n, len(b))
		}
	}
}
