package peers

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
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// TestLlamaCppReadsOurGGUF: llama.cpp loads the GGUF files that the engine writes for each model
// family, computes the same log-probabilities, and decodes the same tokens greedily.
func TestLlamaCppReadsOurGGUF(t *testing.T) {
	needs(t, "llama_cpp, numpy")
	type answer struct {
		LogPs  []float64
		Greedy []int32
		Cut    [][]int32
	}
	dir := t.TempDir()
	var asks []map[string]any
	var ours []*policy.Policy
	var names []string
	add := func(name string, p *policy.Policy, o gguf.Options, prompt, answer []int32, texts []string) {
		f, err := os.Create(filepath.Join(dir, name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(gguf.Write(f, p, o), f.Close()); err != nil {
			t.Fatal(name, err)
		}
		asks = append(asks, map[string]any{"file": name + ".gguf", "prompt": prompt, "answer": answer, "texts": texts})
		ours, names = append(ours, p), append(names, name)
	}
	for _, g := range policytest.Goldens(t) {
		adapted, base := g.Folder(true), g.Folder(false)
		if g.Name == "smollm3" { // llama.cpp rotates other layers than those of this one
			base = policytest.Shaped(1, model.Config{
				Family: model.SmolLM3, HiddenSize: 32, IntermediateSize: 48, NumLayers: 5, NumHeads: 4, NumKVHeads: 2,
				HeadDim: 8, VocabSize: 288, MaxPositions: 512, RopeTheta: 5e6, RMSNormEps: 1e-5, TieEmbeddings: true,
				NoRope: []bool{false, false, false, true, false},
			})
			adapted = base
		}
		for kind, fsys := range map[string]fs.FS{
			"adapted": adapted, "bf16": policytest.BF16(t, base), "fp16": policytest.As(t, base, safetensors.F16),
		} {
			p, err := policy.Open(fsys, policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			add(g.Name+"-"+kind, p, gguf.Options{NoTokenizer: true}, g.Examples[0].Prompt, g.Examples[1].Answer, nil)
		}
	}
	texts := []string{
		"[get_weather(city='Paris', days=12345)]", "  don't\n\n stop, 'Ωmega' 日本\t_x ", "<|im_start|>", "a  b   c\r\n",
	}
	cutters := map[string]*tokenizer.Tokenizer{}
	for _, style := range []string{"llama3_style", "qwen2_style"} {
		data, err := os.ReadFile("../../../shared/data/tokenizers/" + style + ".json")
		if err != nil {
			t.Logf("%s: %v: no text is split with it", style, err)
			continue
		}
		p, tok := withTokenizer(t, data)
		cutters[style] = tok
		add(style, p, gguf.Options{Name: "t"}, []int32{5, 6, 7}, []int32{8, 9}, texts)
	}
	writeJSON(t, filepath.Join(dir, "asks.json"), asks)
	var theirs []answer
	run(t, &theirs, "llama.py", dir)
	for i, p := range ours {
		a := asks[i]
		prompt, want := a["prompt"].([]int32), a["answer"].([]int32)
		logps, err := p.LogProbs(context.Background(), []policy.Sequence{{Prompt: prompt, Answer: want}})
		if err != nil {
			t.Fatal(err)
		}
		// If weights have 16 bits, llama.cpp also rounds activations to their type.
		tolerance := map[string]float64{"float32": 1e-4, "bfloat16": 3e-2, "float16": 4e-3}[p.Model().DType]
		for j, l := range logps[0] {
			if d := math.Abs(float64(l) - theirs[i].LogPs[j]); d > tolerance*(1+math.Abs(float64(l))) {
				t.Errorf("%s: token %d: they say %v, we %v", names[i], j, theirs[i].LogPs[j], l)
			}
		}
		session, err := p.NewSession(prompt)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := session.Draw(context.Background(), []policy.Request{{From: session.Root(), MaxTokens: len(want)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := draws[0].Tokens; !slices.Equal(got, theirs[i].Greedy[:len(got)]) { // ours ends with the turn
			t.Errorf("%s: they decode %v, we %v", names[i], theirs[i].Greedy, got)
		}
		for j, cut := range theirs[i].Cut {
			if got := cutters[names[i]].Encode(texts[j]); !slices.Equal(got, cut) {
				t.Errorf("%s: %q: they split %v, we %v", names[i], texts[j], cut, got)
			}
		}
	}
}

// TestLlamaCppRoundsAsWeDo: llama.cpp converts our file to Q8_0 with the same bytes that we write
// in eight bits, and its log-probabilities are close to those of the engine in eight bits.
func TestLlamaCppRoundsAsWeDo(t *testing.T) {
	needs(t, "llama_cpp, numpy, gguf")
	dir := t.TempDir()
	fsys := policytest.Shaped(7, model.Config{
		Family: model.Qwen2, HiddenSize: 96, IntermediateSize: 160, NumLayers: 2,
		NumHeads: 3, NumKVHeads: 1, HeadDim: 32, VocabSize: 320, MaxPositions: 512,
		RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
	p, err := policy.Open(fsys, policy.Options{Form: model.Int8})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]gguf.Options{
		"plain": {NoTokenizer: true},
		"int8":  {NoTokenizer: true, Int8: true},
	} {
		f, err := os.Create(filepath.Join(dir, name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(gguf.Write(f, plain, o), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var same struct{ Matrices, Different int }
	run(t, &same, "int8.py", filepath.Join(dir, "plain.gguf"), filepath.Join(dir, "int8.gguf"))
	if same.Matrices != 15 || same.Different != 0 {
		t.Errorf("%d of %d matrices differ from llama.cpp's own rounding", same.Different, same.Matrices)
	}
	prompt, want := []int32{5, 6, 7, 8, 9, 10}, []int32{11, 12, 13, 14}
	writeJSON(t, filepath.Join(dir, "asks.json"), []map[string]any{
		{"file": "int8.gguf", "prompt": prompt, "answer": want, "texts": nil},
	})
	var theirs []struct{ LogPs []float64 }
	run(t, &theirs, "llama.py", dir)
	logps, err := p.LogProbs(context.Background(), []policy.Sequence{{Prompt: prompt, Answer: want}})
	if err != nil {
		t.Fatal(err)
	}
	// llama.cpp also rounds activations to eight bits. The error of that is as large as the error
	// of rounding the weights.
	for j, l := range logps[0] {
		if d := math.Abs(float64(l) - theirs[0].LogPs[j]); d > 0.2 {
			t.Errorf("token %d: they say %v, we %v", j, theirs[0].LogPs[j], l)
		}
	}
}

// withTokenizer returns a tiny model with the given tokenizer.
func withTokenizer(t *testing.T, data []byte) (*policy.Policy, *tokenizer.Tokenizer) {
	t.Helper()
	tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	special := template.DefaultSpecial()
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	added, _ := file["added_tokens"].([]any)
	for i, s := range special {
		added = append(added, map[string]any{
			"id": tok.Size() + i, "content": s, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
		})
	}
	file["added_tokens"] = added
	if data, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	tiny := policytest.Shaped(1, model.Config{
		Family: model.Llama, HiddenSize: 32, IntermediateSize: 64, NumLayers: 2,
		NumHeads: 4, NumKVHeads: 2, HeadDim: 8, VocabSize: tok.Size() + len(special) + 3, MaxPositions: 512,
		RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
	err = fs.WalkDir(tiny, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tiny, name)
		files[name] = &fstest.MapFile{Data: bytes.Clone(content)}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files[tokenizer.File] = &fstest.MapFile{Data: data}
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = tokenizer.Open(files); err != nil {
		t.Fatal(err)
	}
	return p, tok
}
