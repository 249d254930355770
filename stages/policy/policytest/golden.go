package policytest

import (
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

//go:embed testdata
var testdata embed.FS

// Golden is a tiny random checkpoint and what PyTorch, transformers, PEFT and TRL
// compute with it, in float64: integration/peers/golden.py makes them.
type Golden struct {
	Name     string
	Examples []struct {
		Prompt []int32 `json:"prompt"`
		Answer []int32 `json:"answer"`
	}
	Pairs []struct {
		Prompt, Chosen, Rejected []int32
		RefChosen                float64 `json:"ref_chosen"`
		RefRejected              float64 `json:"ref_rejected"`
	}
	Beta   map[string]float64 // by loss
	Gamma  float64
	Losses map[string]float64
	Steps  Steps // of sft
	SimPO  Steps `json:"simpo_steps"`
	// BF16 says how far PyTorch itself is from float64 in bf16, by how it computes and of
	// what: of "logprobs" a share of their norm, of a loss's gradients the mean share.
	BF16     map[string]map[string]float64
	Versions map[string]string // of the programs that made it

	dir     fs.FS
	tensors *safetensors.File
}

// Steps are optimiser steps of a schedule of Total, and what they found.
type Steps struct {
	Steps, Total, Batch int
	Rate, Decay, Clip   float64
	Losses, Norms       []float64
}

// Goldens are the golden checkpoints: one of each family at least.
func Goldens(t testing.TB) []*Golden {
	t.Helper()
	entries, err := testdata.ReadDir("testdata")
	if err != nil || len(entries) == 0 {
		t.Fatalf("no golden checkpoints: %v", err)
	}
	var all []*Golden
	for _, e := range entries {
		g := &Golden{Name: e.Name()}
		g.dir, err = fs.Sub(testdata, "testdata/"+e.Name())
		must(err)
		text, err := fs.ReadFile(g.dir, "golden.json")
		must(err)
		must(json.Unmarshal(text, g))
		g.tensors, err = safetensors.Read(g.dir, "golden.safetensors")
		must(err)
		all = append(all, g)
	}
	return all
}

// Folder is the checkpoint, whole: with a tokenizer, a template, and the adapter if
// that is wanted.
func (g *Golden) Folder(adapter bool) fs.FS {
	return folder{g.dir, Tiny(1), adapter}
}

// Tensor is one of the tensors that golden.py lists.
func (g *Golden) Tensor(t testing.TB, name string) []float32 {
	t.Helper()
	shape, ok := g.tensors.Shape(name)
	if !ok {
		t.Fatalf("%s: there is no golden tensor %q", g.Name, name)
	}
	data, err := g.tensors.Float32(name, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// folder is a checkpoint with the tokenizer and the template of another.
type folder struct {
	checkpoint, tokens fs.FS
	adapter            bool
}

func (f folder) Open(name string) (fs.File, error) {
	switch name {
	case "adapter_config.json":
		if !f.adapter {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
	case "model.safetensors": // the other's must not stand in for shards
		return f.checkpoint.Open(name)
	}
	file, err := f.checkpoint.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f.tokens.Open(name)
	}
	return file, err
}

// BF16 is a checkpoint with its weights rounded to bf16, as most are published.
func BF16(t testing.TB, fsys fs.FS) fs.FS { return As(t, fsys, safetensors.BF16) }

// As is a checkpoint with its weights in this type.
func As(t testing.TB, fsys fs.FS, dtype safetensors.Dtype) fs.FS {
	t.Helper()
	m, err := model.Open(fsys, ref.New())
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.WithAdapter(nil); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	must(m.Save(func(name string) (io.WriteCloser, error) { return &file{name: name, in: files}, nil }, dtype))
	return over{files, fsys}
}

// over is a folder that lies over another.
type over struct{ top, bottom fs.FS }

func (o over) Open(name string) (fs.File, error) {
	f, err := o.top.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.bottom.Open(name)
	}
	return f, err
}
