// Package policytest makes small policies in memory, for tests of other packages: two layers of width 32
// with random weights, a tokenizer of bytes with control tokens, and the default chat template. One opens
// in milliseconds. The package also has the golden checkpoints (golden.go), which tests compare with
// PyTorch.
//
//	p := policytest.Open(t, 1)
package policytest

import (
	"bytes"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// ContextLength is the context length of a tiny policy in tokens, which are bytes or control tokens.
const ContextLength = 4096

// Tiny returns a model folder in memory. The same seed gives the same bytes. The model's answers are
// reproducible noise.
func Tiny(seed uint64) fs.FS {
	return Shaped(seed, model.Config{
		Family: model.Llama, HiddenSize: 32, IntermediateSize: 64, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 8,
		MaxPositions: ContextLength, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
}

// Demo is Tiny with the shape of the demo's model, for benchmarks: 2.75 M parameters.
func Demo(seed uint64) fs.FS {
	return Shaped(seed, model.Config{
		Family: model.Llama, HiddenSize: 192, IntermediateSize: 512, NumLayers: 6, NumHeads: 6, NumKVHeads: 2,
		HeadDim: 32, VocabSize: 512, MaxPositions: ContextLength, RopeTheta: 10000, RMSNormEps: 1e-5,
		TieEmbeddings: true,
	})
}

// Shaped is Tiny with another shape. The vocabulary is at least as large as the tokenizer's. Shaped sets
// cfg.BOS and cfg.EOS.
func Shaped(seed uint64, cfg model.Config) fs.FS {
	special := template.DefaultSpecial()
	tokens, err := tokenizer.Train(func(func(string) bool) {}, 256+len(special), special)
	must(err)
	files := fstest.MapFS{
		tokenizer.File: {Data: tokens},
		template.File:  {Data: []byte(template.Default)},
		template.ConfigFile: {Data: []byte(`{"bos_token": "` + template.DefaultBOS +
			`", "add_bos_token": true, "eos_token": "` + template.DefaultEnd + `"}`)},
	}
	tok, err := tokenizer.Open(files)
	must(err)
	bos, _ := tok.ID(template.DefaultBOS)
	end, _ := tok.ID(template.DefaultEnd)
	cfg.VocabSize = max(cfg.VocabSize, tok.Size())
	cfg.BOS, cfg.EOS = []int32{bos}, []int32{end}
	m := model.New(cfg, seed, ref.New())
	// With the usual standard deviation of 0.02 all tokens would be about equally likely, and tests would
	// not notice a wrong context.
	for i := range m.Layers {
		for _, l := range m.Layers[i].Linears() {
			scale(l.W, 10)
		}
	}
	scale(m.Embed, 15)
	must(m.Save(create(files), safetensors.F32))
	return files
}

// create returns a function that creates files in a folder.
func create(in fstest.MapFS) func(name string) (io.WriteCloser, error) {
	return func(name string) (io.WriteCloser, error) { return &file{name: name, in: in}, nil }
}

// Open opens a tiny policy on the best device of this machine.
func Open(t testing.TB, seed uint64) *policy.Policy { return OpenOn(t, seed, nil) }

// OpenOn opens a tiny policy on a device.
func OpenOn(t testing.TB, seed uint64, d kernel.Device) *policy.Policy {
	t.Helper()
	p, err := policy.Open(Tiny(seed), policy.Options{Device: d})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scale(w []float32, by float32) {
	for i := range w {
		w[i] *= by
	}
}

// must panics on an error: all inputs are made here, so an error is a bug.
func must(err error) {
	if err != nil {
		panic("policytest: " + err.Error())
	}
}

// file is a file that is being written. It appears in its folder when it is closed.
type file struct {
	bytes.Buffer
	name string
	in   fstest.MapFS
}

func (f *file) Close() error {
	f.in[f.name] = &fstest.MapFile{Data: f.Bytes()}
	return nil
}
