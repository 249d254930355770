package nf4_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/nf4"
	"itool/stages/policy/model/safetensors"
)

// golden holds matrices and what bitsandbytes made of them: integration/peers/golden.py.
func golden(t testing.TB) *safetensors.File {
	t.Helper()
	f, err := safetensors.Read(os.DirFS("testdata"), "nf4.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// whole is a checkpoint of one file.
func whole(f *safetensors.File) nf4.Files {
	return func(name string) *safetensors.File {
		if f.Dtype(name) == "" {
			return nil
		}
		return f
	}
}

var matrices = map[string]string{ // their types
	"even": "bfloat16", "ragged": "float16", "odd": "float32", "long": "float32",
	"bounds": "float32", "zeros": "bfloat16",
}

func values(t testing.TB, f *safetensors.File, name string) *kernel.Dense {
	t.Helper()
	shape, _ := f.Shape(name)
	data, err := f.Float32(name, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return &kernel.Dense{N: shape[0], K: shape[1], Data: data}
}

// TestRead: weights that bitsandbytes wrote have the values that bitsandbytes gives, bit by bit.
func TestRead(t *testing.T) {
	f := golden(t)
	for name := range matrices {
		want := values(t, f, name+".dequantised")
		w, err := whole(f).Read(name+".weight", want.N, want.K)
		if err != nil {
			t.Fatal(name, err)
		}
		if got := kernel.Widened(w); !slices.Equal(got, want.Data) {
			t.Errorf("%s: got %v…, want %v…", name, got[:8], want.Data[:8])
		}
		for row := range want.N { // from every row on
			got := make([]float32, want.K)
			if w.Rows(got, row, row+1); !slices.Equal(got, want.Data[row*want.K:(row+1)*want.K]) {
				t.Fatalf("%s: row %d", name, row)
			}
		}
	}
}

// written quantizes a matrix and writes it to a file.
func written(t testing.TB, w kernel.Weight, dtype string) (*safetensors.File, []byte) {
	t.Helper()
	n, k := w.Shape()
	ts := nf4.Tensors("x.weight", n, k, dtype, func() (*nf4.Weight, error) { return nf4.Quantize(w, dtype) })
	var file bytes.Buffer
	if err := safetensors.Write(&file, ts, safetensors.BF16, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Read(fstest.MapFS{"w": {Data: file.Bytes()}}, "w")
	if err != nil {
		t.Fatal(err)
	}
	return f, file.Bytes()
}

// TestQuantize: codes, scales and tables equal those of bitsandbytes. The offset may differ in its last
// bit: it is the mean of the scales, which bitsandbytes sums in float32 and we in float64.
func TestQuantize(t *testing.T) {
	f := golden(t)
	for name, dtype := range matrices {
		w := values(t, f, name)
		ours, _ := written(t, w, dtype)
		for _, suffix := range []string{"", ".absmax", ".quant_map", ".nested_quant_map"} {
			dtype := f.Dtype(name + ".weight" + suffix)
			shape, _ := f.Shape(name + ".weight" + suffix)
			want, err := f.Bytes(name+".weight"+suffix, dtype, shape...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ours.Bytes("x.weight"+suffix, dtype, shape...)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s%s: got %v…, want %v…", name, suffix, got[:min(16, len(got))], want[:min(16, len(want))])
			}
		}
		offset := func(f *safetensors.File, name string) float32 {
			shape, _ := f.Shape(name)
			text, err := f.Bytes(name, safetensors.U8, shape...)
			if err != nil {
				t.Fatal(err)
			}
			var s struct {
				Offset float64 `json:"nested_offset"`
			}
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			return float32(s.Offset)
		}
		const state = ".weight.quant_state.bitsandbytes__nf4"
		got, want := offset(ours, "x"+state), offset(f, name+state)
		if d := int64(math.Float32bits(got)) - int64(math.Float32bits(want)); d < -1 || d > 1 {
			t.Errorf("%s: offset %v, want %v", name, got, want)
		}
		a, b := values1(t, ours, "x.weight.nested_absmax"), values1(t, f, name+".weight.nested_absmax")
		if len(a) != len(b) || !near(a, b) {
			t.Errorf("%s: nested_absmax %v, want %v", name, a, b)
		}
	}
}

func values1(t testing.TB, f *safetensors.File, name string) []float32 {
	shape, _ := f.Shape(name)
	v, err := f.Float32(name, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Abs(float64(x-y)) <= 1e-6*math.Abs(float64(y))
	})
}

// TestRoundTrip: a written weight is read unchanged, and its error is at most half the widest gap of the
// codebook plus the error of a scale in eight bits.
func TestRoundTrip(t *testing.T) {
	f := golden(t)
	for name, dtype := range matrices {
		w := values(t, f, name)
		q, err := nf4.Quantize(w, dtype)
		if err != nil {
			t.Fatal(err)
		}
		file, _ := written(t, w, dtype)
		back, err := whole(file).Read("x.weight", w.N, w.K)
		if err != nil {
			t.Fatal(err)
		}
		got := kernel.Widened(q)
		if !slices.Equal(kernel.Widened(back), got) {
			t.Errorf("%s: changed in the file", name)
		}
		if name != "even" { // the others have scales that are equal in eight bits
			continue
		}
		for at := 0; at < len(got); at += 64 {
			var top float64
			for _, v := range w.Data[at : at+64] {
				top = max(top, math.Abs(float64(v)))
			}
			for i, v := range w.Data[at : at+64] {
				if d := math.Abs(float64(got[at+i] - v)); d > 0.19*top {
					t.Fatalf("%s: value %d: %v became %v, in a block up to %v", name, at+i, v, got[at+i], top)
				}
			}
		}
	}
	if _, err := nf4.Quantize(&kernel.Dense{N: 1, K: 1, Data: []float32{1}}, "int8"); err == nil {
		t.Error("int8 was taken for a type to quantise from")
	}
}

// TestSize: a weight has 4.127 bits.
func TestSize(t *testing.T) {
	const n, k = 512, 1024
	q, err := nf4.Quantize(&kernel.Dense{N: n, K: k, Data: make([]float32, n*k)}, "bfloat16")
	if err != nil {
		t.Fatal(err)
	}
	if bits := 8 * float64(q.Bytes()-4*256) / (n * k); bits < 4.126 || bits > 4.128 {
		t.Errorf("%.4f bits a weight", bits)
	}
}

// TestReadRefuses: for a wrong file the error names tensor and field.
func TestReadRefuses(t *testing.T) {
	w := &kernel.Dense{N: 8, K: 64, Data: make([]float32, 512)}
	for i := range w.Data {
		w.Data[i] = float32(i%7) - 3
	}
	_, good := written(t, w, "bfloat16")
	for _, c := range []struct{ old, new, want string }{
		{`"quant_type":"nf4"`, `"quant_type":"fp4"`, `quant_type "fp4"`},
		{`"blocksize":64,"d`, `"blocksize":32,"d`, "blocksize 32"},
		{`"shape":[8,64]`, `"shape":[4,64]`, "shape [4 64]"},
		{`"dtype":"bfloat16"`, `"dtype":"int8"    `, `dtype "int8"`},
		{`"nested_blocksize":256`, `"nested_blocksize":128`, "nested_blocksize 128"},
		{`"nested_dtype":"float32"`, `"nested_dtype":"float64"`, `nested_dtype "float64"`},
		{`"nested_offset":`, `"nested_offset":9e99,"x":`, "not finite"},
		{`{"quant_type":"nf4"`, `["quant_type":"nf4"`, "invalid character"},
		{"x.weight.absmax", "x.weight.absmin", "is missing"},
		{"\x00\x00\x80\xbf", "\x00\x00\x00\xbf", "another code"},
	} {
		raw := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if len(raw) != len(good) { // keep the length of the JSON
			raw = slices.Concat(raw[:len(good)-256], bytes.TrimRight(raw[len(good)-256:], " "),
				bytes.Repeat([]byte(" "), 256))[:len(good)]
		}
		f, err := safetensors.Read(fstest.MapFS{"w": {Data: raw}}, "w")
		if err == nil {
			_, err = whole(f).Read("x.weight", 8, 64)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.new, err, c.want)
		}
	}
	f, _ := written(t, w, "bfloat16")
	if _, err := whole(f).Read("x.weight", 64, 8); err == nil ||
		!strings.Contains(err.Error(), "config.json asks for [64 8]") {
		t.Errorf("another shape: %v", err)
	}
}

// TestMissing: a weight without one of its companions still counts as quantized, and the error names the
// missing tensor.
func TestMissing(t *testing.T) {
	f, _ := written(t, &kernel.Dense{N: 8, K: 64, Data: make([]float32, 512)}, "bfloat16")
	for _, name := range nf4.Companions("x.weight") {
		without := nf4.Files(func(tensor string) *safetensors.File {
			if tensor == name {
				return nil
			}
			return whole(f)(tensor)
		})
		if !without.Has("x.weight") {
			t.Errorf("without %s the weight is not taken for one in four bits", name)
		}
		if _, err := without.Read("x.weight", 8, 64); err == nil || !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("without %s: got %v", name, err)
		}
	}
}

// TestTensorsFail: an error while a weight is made stops the writing.
func TestTensorsFail(t *testing.T) {
	broken := errors.New("broken")
	ts := nf4.Tensors("x.weight", 8, 64, "bfloat16", func() (*nf4.Weight, error) { return nil, broken })
	if err := safetensors.Write(&bytes.Buffer{}, ts, safetensors.BF16, nil); !errors.Is(err, broken) ||
		!strings.Contains(err.Error(), "x.weight") {
		t.Errorf("got %v", err)
	}
	wrong := nf4.Tensors("x.weight", 8, 64, "bfloat16", func() (*nf4.Weight, error) {
		return nf4.Quantize(&kernel.Dense{N: 4, K: 64, Data: make([]float32, 256)}, "bfloat16")
	})
	if err := safetensors.Write(&bytes.Buffer{}, wrong, safetensors.BF16, nil); err == nil {
		t.Error("bytes of another shape were written")
	}
}

// FuzzRead: no file makes Read panic, and a weight that Read returns can be converted.
func FuzzRead(f *testing.F) {
	w := &kernel.Dense{N: 2, K: 64, Data: make([]float32, 128)}
	_, good := written(f, w, "bfloat16")
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := safetensors.Read(fstest.MapFS{"w": {Data: raw}}, "w")
		if err != nil {
			return
		}
		if q, err := whole(file).Read("x.weight", 2, 64); err == nil {
			kernel.Widened(q)
		}
	})
}

func BenchmarkRows(b *testing.B) {
	const n, k = 256, 1024
	w := &kernel.Dense{N: n, K: k, Data: make([]float32, n*k)}
	for i := range w.Data {
		w.Data[i] = float32(i%101)/50 - 1
	}
	q, err := nf4.Quantize(w, "bfloat16")
	if err != nil {
		b.Fatal(err)
	}
	bf := &kernel.BF16{N: n, K: k, Data: make([]byte, 2*n*k)}
	for i, v := range w.Data {
		binary.LittleEndian.PutUint16(bf.Data[2*i:], uint16(math.Float32bits(v)>>16))
	}
	dst := make([]float32, n*k)
	for name, w := range map[string]kernel.Weight{"nf4": q, "bf16": bf} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.Rows(dst, 0, n)
			}
			b.ReportMetric(float64(b.N)*n*k/b.Elapsed().Seconds()/1e9, "Gweights/s")
		})
	}
	b.Run("quantize", func(b *testing.B) {
		for b.Loop() {
			if _, err := nf4.Quantize(w, "bfloat16"); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*n*k/b.Elapsed().Seconds()/1e9, "Gweights/s")
	})
}
