package policytest

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

//go:embed testdata
var testdata embed.FS

// Golden is a tiny random checkpoint, and what PyTorch, transformers, PEFT and TRL compute with it in
// float64. integration/peers/golden.py makes them.
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
	Beta   map[string]float64 // by name of the loss
	Gamma  float64
	Losses map[string]float64
	Steps  Steps // of sft
	SimPO  Steps `json:"simpo_steps"`
	// BF16 is how far PyTorch itself is from float64 when it computes in bf16: by way of computing, and by
	// quantity. The error of "logprobs" is relative to their norm; that of a loss's gradients is the mean of
	// their relative errors.
	BF16     map[string]map[string]float64
	Versions map[string]string // of the programs that made it

	dir     fs.FS
	tensors *safetensors.File
}

// Steps are the first optimiser steps of a schedule with Total steps, and their losses and gradient norms.
type Steps struct {
	Steps, Total, Batch int
	Rate, Decay, Clip   float64
	Losses, Norms       []float64
}

// Goldens are the golden checkpoints, at least one of each model family.
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

// Folder is the complete folder of a policy: the checkpoint, a tokenizer, a template, and, if adapter is
// set, the PEFT adapter.
func (g *Golden) Folder(adapter bool) fs.FS {
	return folder{g.dir, Tiny(1), adapter}
}

// Tensor returns one of the tensors that golden.py has written.
func (g *Golden) Tensor(t testing.TB, name string) []float32 {
	t.Helper()
	shape, ok := g.tensors.Shape(name)
	if !ok {
		t.Fatalf("%s: no golden tensor %q", g.Name, name)
	}
	data, err := g.tensors.Float32(name, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// folder is a checkpoint with the tokenizer and the template of another folder.
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
	case "model.safetensors": // the other folder's must not replace missing shards
		return f.checkpoint.Open(name)
	}
	file, err := f.checkpoint.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f.tokens.Open(name)
	}
	return file, err
}

// BF16 returns a checkpoint with its weights rounded to bf16, the type in which most are published.
func BF16(t testing.TB, fsys fs.FS) fs.FS { return As(t, fsys, safetensors.BF16) }

// As returns a checkpoint with its weights in a type.
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
	must(m.Save(create(files), dtype))
	return over{files, fsys}
}

// NF4 returns a checkpoint with the linear maps of its layers in four bits.
func NF4(t testing.TB, fsys fs.FS) fs.FS {
	t.Helper()
	m, err := model.Open(fsys, ref.New())
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	must(m.SaveNF4(create(files)))
	return over{files, fsys}
}

// over is a folder whose files hide those of another.
type over struct{ top, bottom fs.FS }

func (o over) Open(name string) (fs.File, error) {
	f, err := o.top.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.bottom.Open(name)
	}
	return f, err
}
