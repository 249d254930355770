package gguf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// file parses a GGUF file by its specification. integration/peers tests, where llama.cpp is installed,
// that llama.cpp reads one and gives the same answers.
type file struct {
	t       testing.TB
	data    []byte
	at      int
	meta    map[string]any
	tensors map[string]tensor
}

type tensor struct {
	dims []uint64
	kind uint32
	data []byte
}

func (f *file) u32() uint32 { f.at += 4; return binary.LittleEndian.Uint32(f.data[f.at-4:]) }
func (f *file) u64() uint64 { f.at += 8; return binary.LittleEndian.Uint64(f.data[f.at-8:]) }

func (f *file) str() string {
	n := int(f.u64())
	f.at += n
	return string(f.data[f.at-n : f.at])
}

func (f *file) value(kind uint32) any {
	switch kind {
	case 4:
		return f.u32()
	case 5:
		return int32(f.u32())
	case 6:
		return math.Float32frombits(f.u32())
	case 7:
		f.at++
		return f.data[f.at-1] == 1
	case 8:
		return f.str()
	case 9:
		kind, n := f.u32(), f.u64()
		all := make([]any, n)
		for i := range all {
			all[i] = f.value(kind)
		}
		return all
	}
	f.t.Fatalf("type %d", kind)
	return nil
}

func read(t testing.TB, data []byte) *file {
	f := &file{t: t, data: data, meta: map[string]any{}, tensors: map[string]tensor{}}
	if string(data[:4]) != "GGUF" {
		t.Fatal("no magic")
	}
	f.at = 4
	if v := f.u32(); v != 3 {
		t.Fatalf("version %d", v)
	}
	tensors, pairs := f.u64(), f.u64()
	for range pairs {
		name := f.str()
		f.meta[name] = f.value(f.u32())
	}
	offsets := map[string]uint64{}
	for range tensors {
		name := f.str()
		var x tensor
		for range f.u32() {
			x.dims = append(x.dims, f.u64())
		}
		x.kind = f.u32()
		offsets[name] = f.u64()
		f.tensors[name] = x
	}
	start := (f.at + 31) / 32 * 32
	var end int
	for name, x := range f.tensors {
		size := map[uint32]int{0: 4, 1: 2, 2: 18, 8: 34, 30: 2}[x.kind]
		for _, d := range x.dims {
			size *= int(d)
		}
		if x.kind == 2 || x.kind == 8 {
			size /= 32
		}
		at := start + int(offsets[name])
		if offsets[name]%32 != 0 || size == 0 || at+size > len(data) {
			t.Fatalf("%s: %v at %d of %d", name, x, at, len(data))
		}
		x.data = data[at : at+size]
		end = max(end, (at+size+31)/32*32)
		f.tensors[name] = x
	}
	if end != len(data) {
		t.Errorf("%d bytes, the tensors end at %d", len(data), end)
	}
	return f
}

func (x tensor) floats() []float32 {
	var all []float32
	for i := 0; i < len(x.data); i += 4 {
		if x.kind == 1 {
			all = append(all, kernel.FromHalf(binary.LittleEndian.Uint16(x.data[i:])),
				kernel.FromHalf(binary.LittleEndian.Uint16(x.data[i+2:])))
			continue
		}
		if x.kind == 30 {
			all = append(all, math.Float32frombits(uint32(binary.LittleEndian.Uint16(x.data[i:]))<<16),
				math.Float32frombits(uint32(binary.LittleEndian.Uint16(x.data[i+2:]))<<16))
			continue
		}
		all = append(all, math.Float32frombits(binary.LittleEndian.Uint32(x.data[i:])))
	}
	return all
}

// int8s are the values of a tensor in Q8_0: a half, then 32 codes.
func (x tensor) int8s() []float32 {
	var all []float32
	for b := x.data; len(b) > 0; b = b[34:] {
		scale := kernel.FromHalf(binary.LittleEndian.Uint16(b))
		for _, c := range b[2:34] {
			all = append(all, scale*float32(int8(c)))
		}
	}
	return all
}

func written(t *testing.T, p *policy.Policy, o gguf.Options) *file {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, p, o); err != nil {
		t.Fatal(err)
	}
	return read(t, b.Bytes())
}

// TestWrite: the file has every tensor of every family, merged, once, and with llama.cpp's name.
func TestWrite(t *testing.T) {
	for name, p := range exportable(t) {
		f, m := written(t, p, gguf.Options{NoTokenizer: true, Name: "x"}), p.Model().Merged()
		arch := f.meta["general.architecture"].(string)
		if f.meta[arch+".attention.head_count_kv"] != uint32(m.NumKVHeads) || f.meta["general.name"] != "x" {
			t.Errorf("%s: %v", name, f.meta)
		}
		if _, has := f.tensors["output.weight"]; has == m.TieEmbeddings {
			t.Errorf("%s: a head beside the embedding: %v", name, has)
		}
		if _, has := f.tensors["rope_freqs.weight"]; has != (m.RopeScaling != nil) {
			t.Errorf("%s: factors of the angles: %v", name, has)
		}
		want := map[string]uint32{"bfloat16": 30, "float16": 1}[m.DType]
		down := f.tensors["blk.1.ffn_down.weight"]
		if down.kind != want || !slices.Equal(down.dims, []uint64{uint64(m.IntermediateSize), uint64(m.HiddenSize)}) {
			t.Errorf("%s: %v of kind %d", name, down.dims, down.kind)
		}
		if err := furthest(down.floats(), kernel.Widened(m.Layers[1].Down.Weight())); err > 1.0/256 {
			t.Errorf("%s: ffn_down is off by %v", name, err)
		}
		// Row r of a head of q: in a Qwen nothing changes, in the others the two halves alternate.
		q, was := f.tensors["blk.0.attn_q.weight"].floats(), kernel.Widened(m.Layers[0].Q.Weight())
		c, d := m.HiddenSize, m.HeadDim
		for r := range m.NumHeads * d {
			from := r
			if m.Family != model.Qwen2 && m.Family != model.Qwen3 {
				from = r/d*d + r%d/2 + r%2*(d/2)
			}
			if err := furthest(q[r*c:(r+1)*c], was[from*c:(from+1)*c]); err > 1.0/256 {
				t.Fatalf("%s: row %d of q is off by %v", name, r, err)
			}
		}
		n := 2 + len(m.Layers)*9
		if !m.TieEmbeddings {
			n++
		}
		if m.RopeScaling != nil {
			n++
		}
		n += map[model.Family]int{model.Qwen2: 3, model.Qwen3: 2}[m.Family] * len(m.Layers)
		if len(f.tensors) != n {
			t.Errorf("%s: %d tensors, want %d", name, len(f.tensors), n)
		}
	}
}

func furthest(a, b []float32) (far float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		far = max(far, math.Abs(float64(a[i]-b[i]))/max(1, math.Abs(float64(b[i]))))
	}
	return far
}

// TestTokenizerRefused: with a tokenizer that it does not support, llama.cpp would silently split texts
// differently.
func TestTokenizerRefused(t *testing.T) {
	if err := gguf.Write(&bytes.Buffer{}, policytest.Open(t, 1), gguf.Options{}); !errors.Is(err, gguf.ErrTokenizer) {
		t.Errorf("got %v", err)
	}
}

type full struct{ left int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestWriteFails: a full disk is an error at every place in the file.
func TestWriteFails(t *testing.T) {
	p := policytest.Open(t, 1)
	for left := 0; left < 300_000; left += 50_000 {
		var b bytes.Buffer
		if err := gguf.Write(&b, p, gguf.Options{NoTokenizer: true}); err != nil {
			t.Fatal(err)
		}
		if left >= b.Len() {
			break
		}
		if err := gguf.Write(&full{left}, p, gguf.Options{NoTokenizer: true}); !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
}

// TestInt8: matrices whose rows are whole blocks are in eight bits, the others in the usual type.
func TestInt8(t *testing.T) {
	fsys := policytest.Shaped(1, model.Config{
		Family: model.Llama, HiddenSize: 32, IntermediateSize: 80, NumLayers: 1, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 16, VocabSize: 300,
		MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
	p, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, m := written(t, p, gguf.Options{NoTokenizer: true, Int8: true}), p.Model()
	if f.meta["general.file_type"] != uint32(7) || f.tensors["output_norm.weight"].kind != 0 ||
		f.tensors["blk.0.ffn_down.weight"].kind != 0 {
		t.Errorf("file type %v, kinds %v and %v", f.meta["general.file_type"], f.tensors["output_norm.weight"].kind,
			f.tensors["blk.0.ffn_down.weight"].kind)
	}
	for name, w := range map[string]kernel.Weight{"token_embd.weight": m.EmbedWeight(),
		"blk.0.ffn_up.weight": m.Layers[0].Up.Weight()} {
		eight, err := kernel.ToInt8(w)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.tensors[name].int8s(), kernel.Widened(eight)) {
			t.Errorf("%s: other values than kernel.ToInt8's", name)
		}
	}
	m.Layers[0].Up.W[5] = float32(math.Inf(1))
	if err := gguf.Write(&bytes.Buffer{}, p, gguf.Options{NoTokenizer: true, Int8: true}); err == nil ||
		!strings.Contains(err.Error(), "blk.0.ffn_up.weight, rows 0 to 63: row 0, values 0 to 31") {
		t.Errorf("an infinite weight: %v", err)
	}
}

// withTokenizer returns a tiny policy's files after a change to its tokenizer.json.
func withTokenizer(t *testing.T, change func(tok map[string]any)) fstest.MapFS {
	files := fstest.MapFS{}
	tiny := policytest.Shaped(1, model.Config{
		Family: model.Qwen2, HiddenSize: 32, IntermediateSize: 64, NumLayers: 1, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 8, VocabSize: 300,
		MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
		"chat_template.jinja"} {
		data, err := fs.ReadFile(tiny, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	var tok map[string]any
	if err := json.Unmarshal(files["tokenizer.json"].Data, &tok); err != nil {
		t.Fatal(err)
	}
	change(tok)
	text, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	files["tokenizer.json"].Data = text
	return files
}

// pieces is a pre-tokenizer that cuts by expressions, one after the other.
func pieces(expressions ...string) map[string]any {
	var steps []any
	for _, e := range expressions {
		steps = append(steps, map[string]any{"type": "Split", "pattern": map[string]any{"Regex": e},
			"behavior": "Isolated", "invert": false})
	}
	return map[string]any{"type": "Sequence", "pretokenizers": append(steps, map[string]any{"type": "ByteLevel",
		"add_prefix_space": false, "trim_offsets": true, "use_regex": false})}
}

// TestTokenizerPre: a file names the way to cut texts if llama.cpp has a rule for it. Its expressions for
// GPT-4o and Tekken are nearly the models' own: see TestDeparts.
func TestTokenizerPre(t *testing.T) {
	level := func(space bool) map[string]any {
		return map[string]any{"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true}
	}
	digits := map[string]any{"type": "Digits", "individual_digits": true}
	for _, c := range []struct {
		name         string
		steps        any
		ignoreMerges bool
		want         string // empty: refused
	}{
		{"Llama 3", pieces(tokenizer.Llama), true, "llama-bpe"},
		{"Llama 3's expression with merges", pieces(tokenizer.Llama), false, "dbrx"},
		{"Qwen's expression without merges", pieces(tokenizer.Qwen), true, ""},
		{"Qwen 3.5", pieces(tokenizer.Qwen35), false, "qwen35"},
		{"GPT-2", level(false), false, "gpt-2"},
		{"GPT-2 with a space before", level(true), false, ""},
		{"SmolLM", map[string]any{"type": "Sequence", "pretokenizers": []any{digits, level(false)}}, false, "smollm"},
		{"DeepSeek V3", pieces(tokenizer.DeepSeekDigits, tokenizer.DeepSeekHan, tokenizer.DeepSeekWords), false,
			"deepseek-v3"},
		{"GPT-4o", pieces(tokenizer.O200k), false, "gpt-4o"},
		{"Tekken", pieces(tokenizer.Tekken), true, "tekken"},
		{"DeepSeek Coder", pieces("[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`), false,
			"deepseek-coder"},
		{"Viking", pieces(` ?[^(\s|.,!?…。，、।۔،)]+`, `\p{N}`), false, "viking"},
		{"another expression", pieces(`\p{L}+|\s`), false, ""},
	} {
		p, err := policy.Open(withTokenizer(t, func(tok map[string]any) {
			tok["pre_tokenizer"] = c.steps
			tok["model"].(map[string]any)["ignore_merges"] = c.ignoreMerges
		}), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if err := gguf.Write(&bytes.Buffer{}, p, gguf.Options{}); !errors.Is(err, gguf.ErrTokenizer) {
				t.Errorf("%s: got %v", c.name, err)
			}
		} else if got := written(t, p, gguf.Options{}).meta["tokenizer.ggml.pre"]; got != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}

// TestDeparts: llama.cpp's expressions for GPT-4o and Tekken cut as the models' own, except that a capital beyond
// ASCII behind a small letter begins no word there, and that marks belong to none.
func TestDeparts(t *testing.T) {
	texts := []string{"getWeather(city=\"Paris\", days=12)\n  HTTPServer's café", "caféÉcole", "नमस्ते"}
	for _, c := range []struct {
		name, expression string
		ignoreMerges     bool
		want             gguf.Departure
	}{
		{"Llama", tokenizer.Llama, true, gguf.Departure{Rule: "llama-bpe"}},
		{"GPT-4o", tokenizer.O200k, false, gguf.Departure{Rule: "gpt-4o", Nearly: true, Texts: 2}},
		{"Tekken", tokenizer.Tekken, true, gguf.Departure{Rule: "tekken", Nearly: true, Texts: 2}},
	} {
		p, err := policy.Open(withTokenizer(t, func(tok map[string]any) {
			tok["pre_tokenizer"] = pieces(c.expression)
			tok["model"].(map[string]any)["ignore_merges"] = c.ignoreMerges
		}), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := gguf.Departs(p, texts)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := gguf.Departs(policytest.Open(t, 1), nil); !errors.Is(err, gguf.ErrTokenizer) {
		t.Errorf("a tokenizer without a rule: %v", err)
	}
}

// TestTokenizer: vocabulary, kinds, merges and template of a tokenizer that llama.cpp supports. Rows of
// the embedding without a token get a padding token.
func TestTokenizer(t *testing.T) {
	files := withTokenizer(t, func(tok map[string]any) { tok["pre_tokenizer"] = pieces(tokenizer.Qwen) })
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, parts := written(t, p, gguf.Options{}), p.Tokenizer()
	tokens, kinds := f.meta["tokenizer.ggml.tokens"].([]any), f.meta["tokenizer.ggml.token_type"].([]any)
	if f.meta["tokenizer.ggml.pre"] != "qwen2" || len(tokens) != 300 || len(kinds) != 300 ||
		len(f.meta["tokenizer.ggml.merges"].([]any)) != len(parts.Merges) {
		t.Errorf("%v: %d tokens, %d kinds", f.meta["tokenizer.ggml.pre"], len(tokens), len(kinds))
	}
	bos := p.BOS()
	if f.meta["tokenizer.ggml.bos_token_id"] != uint32(bos) || kinds[bos] != int32(3) ||
		tokens[bos] != parts.Tokens[bos] {
		t.Errorf("bos %v: %v of kind %v", bos, tokens[bos], kinds[bos])
	}
	// llama.cpp must add a BOS exactly if Raw does.
	files["tokenizer_config.json"].Data = bytes.Replace(files["tokenizer_config.json"].Data,
		[]byte("true"), []byte("false"), 1)
	if none, err := policy.Open(files, policy.Options{}); err != nil {
		t.Fatal(err)
	} else if got := written(t, none, gguf.Options{}).meta["tokenizer.ggml.add_bos_token"]; got != false ||
		f.meta["tokenizer.ggml.add_bos_token"] != true {
		t.Errorf("add_bos_token is %v without one, %v with one", got, f.meta["tokenizer.ggml.add_bos_token"])
	}
	if tokens[299] != "[PAD299]" || kinds[299] != int32(5) || f.meta["tokenizer.chat_template"] != p.Template() {
		t.Errorf("the last token is %v of kind %v", tokens[299], kinds[299])
	}
	if id := p.Raw(" ")[1]; tokens[id] != "Ġ" || kinds[id] != int32(1) {
		t.Errorf("a space is %v of kind %v", tokens[id], kinds[id])
	}
}
