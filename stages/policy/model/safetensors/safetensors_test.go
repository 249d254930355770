package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/safetensors"
)

func file(header string, data ...byte) fstest.MapFS {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return fstest.MapFS{"w": {Data: append(append(raw, header...), data...)}}
}

func TestDtypes(t *testing.T) {
	tests := []struct {
		dtype string
		bits  []byte
		want  float32
	}{
		{"F32", []byte{0, 0, 0xc0, 0xbf}, -1.5},
		{"BF16", []byte{0xc0, 0xbf}, -1.5},
		{"F16", []byte{0x00, 0xbe}, -1.5},
		{"F16", []byte{0xff, 0x7b}, 65504},
		{"F16", []byte{0x01, 0x00}, 1.0 / (1 << 24)}, // smallest subnormal
		{"F16", []byte{0x00, 0x80}, float32(math.Copysign(0, -1))},
	}
	for _, tt := range tests {
		end := string(rune('0' + len(tt.bits)))
		f, err := safetensors.Read(file(`{"x":{"dtype":"`+tt.dtype+`","shape":[1],"data_offsets":[0,`+end+`]}}`,
			tt.bits...), "w")
		if err != nil {
			t.Fatal(tt.dtype, err)
		}
		got, err := f.Float32("x", 1)
		if err != nil || math.Float32bits(got[0]) != math.Float32bits(tt.want) {
			t.Errorf("%s %x: got %v %v, want %v", tt.dtype, tt.bits, got, err, tt.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"no JSON", `{`, "header"},
		{"no object", `[]`, "header"},
		{"unknown dtype", `{"x":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}`, `tensor "x": unknown dtype`},
		{"negative shape", `{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, `tensor "x"`},
		{"overflowing shape", `{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`,
			"overflows"},
		{"past the end", `{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "cut short"},
		{"backwards", `{"x":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}`, "not a range"},
		{"size and shape", `{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "needs 8 bytes"},
		{"gap", `{"x":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}`, "gap of 2 bytes"},
		{"overlap", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F16","shape":[1],` +
			`"data_offsets":[2,4]}}`, "overlaps"},
		{"bytes left", `{"x":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, "behind the last tensor"},
		{"extra field", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"z":1}}`, "unknown field"},
		{"field in capitals", `{"x":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`,
			`tensor "x": unknown field "DTYPE"`},
		{"field twice", `{"x":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,4]}}`,
			`tensor "x": "shape" is listed twice`},
		{"tensor twice", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"I32","shape":[1],` +
			`"data_offsets":[0,4]}}`, `"x" is listed twice`},
		{"tensor twice, once in escapes", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},` +
			`"\u0078":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}`, `"x" is listed twice`},
		{"metadata twice",
			`{"__metadata__":{},"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
			`"__metadata__" is listed twice`},
		{"key of metadata twice",
			`{"__metadata__":{"a":"b","a":"c"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
			`__metadata__: "a" is listed twice`},
		{"metadata that is no text", `{"__metadata__":{"a":1},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
			"__metadata__"},
		{"no tensor but a list", `{"x":[]}`, `tensor "x"`},
		{"null", `null`, "header"},
		{"more behind", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} {}`, "behind its end"},
		{"not closed", `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, "header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := safetensors.Read(file(tt.header, 0, 0, 0, 0), "w")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "w: ") {
				t.Errorf("got %v, want an error of file w with %q", err, tt.want)
			}
		})
	}
	long := fstest.MapFS{"w": {Data: []byte{255, 255, 255, 255, 255, 255, 255, 127}}}
	if _, err := safetensors.Read(long, "w"); err == nil {
		t.Error("a header of 2⁶³ bytes was accepted")
	}
}

func TestFloat32Refuses(t *testing.T) {
	f, err := safetensors.Read(file(`{"n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"i":{"dtype":"I32",`+
		`"shape":[1],"data_offsets":[4,8]}}`,
		0, 0, 0x80, 0x7f, 0, 0, 0, 0), "w")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tensor string
		shape  []int
		want   string
	}{
		{"gone", []int{1}, `"gone" is missing`}, {"n", []int{1, 1}, "has shape [1]"}, {"n", []int{1}, "+Inf"},
		{"i", []int{1}, "I32 is not supported"},
	} {
		if _, err := f.Float32(tt.tensor, tt.shape...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %v: got %v, want %q", tt.tensor, tt.shape, err, tt.want)
		}
	}
}

// TestMapped: Mapped gives the values of Float32. It copies nothing if the values are aligned, which they
// are not behind a header of odd length.
func TestMapped(t *testing.T) {
	for name, bits := range map[string][]byte{
		"BF16": {0xc0, 0xbf, 0, 0}, "F16": {0x00, 0xbe, 0xff, 0x7b}, "F32": {0, 0, 0xc0, 0xbf, 0, 0, 0x80, 0x3f},
	} {
		for pad := range 4 {
			header := fmt.Sprintf(`{"x":{"dtype":%q,"shape":[1,2],"data_offsets":[0,%d]}}`, name, len(bits)) +
				"   "[:pad]
			f, err := safetensors.Read(file(header, bits...), "w")
			if err != nil {
				t.Fatal(err)
			}
			want, err := f.Float32("x", 1, 2)
			if err != nil {
				t.Fatal(err)
			}
			w, err := f.Mapped("x", 1, 2)
			if err != nil {
				t.Fatal(err)
			}
			if got := kernel.Widened(w); !slices.Equal(got, want) {
				t.Errorf("%s, header of %d: %v, want %v", name, len(header), got, want)
			}
			if dense, ok := w.(*kernel.Dense); ok && (dense.Owner != nil) != (len(header)%4 == 0) {
				t.Errorf("header of %d: a copy: %v", len(header), dense.Owner == nil)
			}
			if _, err := f.Mapped("x", 2, 1); err == nil || !strings.Contains(err.Error(), "has shape [1 2]") {
				t.Errorf("another shape: %v", err)
			}
		}
	}
}

func TestHalfTooLarge(t *testing.T) {
	err := safetensors.Write(io.Discard, []safetensors.Tensor{{Name: "x", Shape: []int{2},
		Data: []float32{65519, 65520}}}, safetensors.F16, nil)
	if err == nil || !strings.Contains(err.Error(),
		`tensor "x": element 1 is 65520, but float16 reaches only 65,504`) {
		t.Errorf("got %v", err)
	}
}

func TestWriteRead(t *testing.T) {
	ts := []safetensors.Tensor{{Name: "b", Shape: []int{2, 2}, Data: []float32{1, -2, 3.5, 0}},
		{Name: "a", Shape: []int{0}}}
	var one, two bytes.Buffer
	if err := safetensors.Write(&one, ts, safetensors.F32, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ts)
	if err := safetensors.Write(&two, ts, safetensors.F32, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the order of the tensors changed the bytes")
	}
	f, err := safetensors.Read(fstest.MapFS{"w": {Data: one.Bytes()}}, "w")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Float32("b", 2, 2)
	if err != nil || !slices.Equal(got, ts[1].Data) || f.Metadata["format"] != "pt" {
		t.Errorf("got %v %v %v", got, f.Metadata, err)
	}
	for name, bad := range map[string][]safetensors.Tensor{"size": {{Name: "x", Shape: []int{3}}},
		"twice": {{Name: "x", Data: []float32{1}}, {Name: "x", Data: []float32{1}}}} {
		if err := safetensors.Write(&one, bad, safetensors.F32, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	var good bytes.Buffer
	safetensors.Write(&good, []safetensors.Tensor{{Name: "x", Shape: []int{2}, Data: []float32{1, 2}},
		{Name: "y", Shape: []int{1, 1}, Data: []float32{3}}}, safetensors.BF16, nil)
	f.Add(good.Bytes())
	f.Add(file(`{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 1, 2, 3, 4)["w"].Data)
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := safetensors.Read(fstest.MapFS{"w": {Data: raw}}, "w")
		if err != nil {
			return
		}
		for _, name := range w.Names() {
			shape, _ := w.Shape(name)
			if data, err := w.Float32(name, shape...); err == nil && 2*len(data) > len(raw) {
				t.Errorf("%q: %d values out of %d bytes", name, len(data), len(raw))
			}
			if len(shape) != 2 {
				continue
			}
			data, err := w.Float32(name, shape...)
			mapped, mappedErr := w.Mapped(name, shape[0], shape[1])
			if (err == nil) != (mappedErr == nil) || err == nil && !slices.Equal(kernel.Widened(mapped), data) {
				t.Errorf("%q: %v as float32, %v mapped", name, err, mappedErr)
			}
		}
	})
}

// TestStream: a tensor that is written piece by piece is in its own type; one that writes too little or
// too much is an error with its name.
func TestStream(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"ab", "cd"}, ""}, {[]string{"ab"}, "2 bytes were written for shape [2] of BF16"},
		{[]string{"abcd", "e"}, "5 bytes were written"},
	} {
		var b bytes.Buffer
		err := safetensors.Write(&b, []safetensors.Tensor{
			{Name: "x", Shape: []int{2}, Dtype: safetensors.BF16, Stream: func(w io.Writer) error {
				for _, p := range c.pieces {
					if _, err := io.WriteString(w, p); err != nil {
						return err
					}
				}
				return nil
			}},
		}, safetensors.F32, nil)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"x"`) {
				t.Errorf("%q: got %v, want an error with %q", c.pieces, err, c.want)
			}
			continue
		}
		f, err := safetensors.Read(fstest.MapFS{"w": {Data: b.Bytes()}}, "w")
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := f.Bytes("x", safetensors.BF16, 2); err != nil || string(raw) != "abcd" {
			t.Errorf("got %q, %v", raw, err)
		}
	}
}
