package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"itool/ops/demo"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
)

// The models of the comparison, as folders and as GGUF files.

// shape is a model of the comparison.
type shape struct {
	name   string
	config model.Config
}

var shapes = []shape{
	{"demo", model.Config{
		Family: model.Llama, HiddenSize: 128, IntermediateSize: 320, NumLayers: 4,
		NumHeads: 4, NumKVHeads: 2, HeadDim: 32, VocabSize: 1024, RopeTheta: 1e4,
	}},
	{"135 M", model.Config{
		Family: model.Llama, HiddenSize: 576, IntermediateSize: 1536, NumLayers: 30,
		NumHeads: 9, NumKVHeads: 3, HeadDim: 64, VocabSize: 49152, RopeTheta: 1e5,
	}},
	{"494 M", model.Config{
		Family: model.Qwen2, HiddenSize: 896, IntermediateSize: 4864, NumLayers: 24,
		NumHeads: 14, NumKVHeads: 2, HeadDim: 64, VocabSize: 151936, RopeTheta: 1e6,
	}},
	{"demo's base, rope_theta doubled", model.Config{}},
}

// base is the only shape with trained weights: a search with random weights finds no fragments.
const base = 3

// checkpoint writes a model in bf16, as safetensors and as GGUF, unless it exists.
func (b *bench) checkpoint(i int) (string, error) {
	dir := filepath.Join(b.dir, strings.ReplaceAll(shapes[i].name, " ", ""))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if i == base {
		if err := longBase(dir); err != nil {
			return "", err
		}
	} else if err := b.random(i, dir); err != nil {
		return "", err
	}
	runtime.GC()
	return dir, b.gguf(dir, filepath.Join(dir, "model.gguf"), false)
}

// gguf writes a folder's model for llama.cpp, unless the file exists.
func (b *bench) gguf(dir, name string, int8 bool) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	p, err := policy.Open(os.DirFS(dir), policy.Options{Device: b.dev, Form: model.Mapped})
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(gguf.Write(f, p, gguf.Options{NoTokenizer: true, Int8: int8}), f.Close())
}

// longBase copies the demo's base and doubles its rope_theta, the usual way to extend a context.
// The base learnt from short prompts; after a prompt of 1,000 tokens its answers would otherwise
// end after a few tokens.
func longBase(dir string) error {
	if err := os.CopyFS(dir, demo.Base()); err != nil {
		return err
	}
	const name, was, is = "config.json", `"rope_theta": 10000,`, `"rope_theta": 20000,`
	text, err := fs.ReadFile(demo.Base(), name)
	if err != nil {
		return err
	}
	if bytes.Count(text, []byte(was)) != 1 {
		return fmt.Errorf("%s of the demo's base does not contain %s", name, was)
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil { // it is read-only
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), bytes.Replace(text, []byte(was), []byte(is), 1), 0o644)
}

// random fills a folder with a shape's model of random weights.
func (b *bench) random(i int, dir string) error {
	c := shapes[i].config
	c.MaxPositions, c.RMSNormEps, c.TieEmbeddings = 4096, 1e-5, true
	files := policytest.Tiny(1) // has a tokenizer and a template
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	tiny, err := policy.Open(files, policy.Options{Device: b.dev})
	if err != nil {
		return err
	}
	c.BOS, c.EOS = tiny.Model().BOS, tiny.Model().EOS
	for _, name := range []string{"config.json", "model.safetensors"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	return model.New(c, 1, b.dev).Save(create, safetensors.BF16)
}

// ids are n tokens, none of which ends a turn.
func ids(p *policy.Policy, n, salt int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32((i*7919 + salt*104729 + 300) % (p.VocabSize() - 300))
		if p.IsEnd(v[i]) {
			v[i] = 299
		}
	}
	return v
}
