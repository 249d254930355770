package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"itool/stages/policy"
	"itool/stages/policy/model"
)

// adapterFiles are the files of a PEFT adapter.
var adapterFiles = []string{"adapter_config.json", "adapter_model.safetensors"}

// adapter is a policy's adapter. Its name is made of its content: a server that knows the name has these weights,
// and a new round has a new name.
type adapter struct {
	name  string
	files [][]byte // adapterFiles
	zero  bool     // it changes nothing
}

// readAdapter reads the adapter of a policy's folder; nil if it has none.
func readAdapter(fsys fs.FS, cfg model.Config) (*adapter, error) {
	a, sum := &adapter{}, sha256.New()
	for _, name := range adapterFiles {
		text, err := fs.ReadFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) && name == adapterFiles[0] {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(text))
		sum.Write(text)
		a.files = append(a.files, text)
	}
	weights, err := model.ReadAdapter(fsys, cfg)
	if err != nil {
		return nil, err
	}
	a.name, a.zero = "itool-"+hex.EncodeToString(sum.Sum(nil))[:24], isZero(weights)
	return a, nil
}

// isZero tells whether B·A is 0 everywhere, as before the first step of training.
func isZero(a *model.Adapter) bool {
	for _, layer := range a.Layers {
		for _, lora := range layer {
			if lora != nil && slices.ContainsFunc(lora.B, func(x float32) bool { return x != 0 }) {
				return false
			}
		}
	}
	return true
}

// load writes the adapter where the server finds it, and has it loaded.
func (s *served) load(ctx context.Context, a *address) error {
	dir := s.pool.Adapters
	if dir == "" {
		return wrong("no folder for adapters that it can read, too: start workers with --engine-adapters DIR")
	}
	if err := s.adapter.write(dir); err != nil {
		return &policy.ServerError{What: "--engine-adapters", Err: err}
	}
	folder := path.Join(s.pool.There, s.adapter.name)
	if s.name == Itool {
		folder = s.adapter.name // below its own --adapters
	}
	if err := s.kind.load(ctx, a, s.adapter.name, folder); err != nil {
		return err
	}
	for _, old := range a.keep(s.adapter.name) {
		// A server may hold few adapters. A worker that still uses this one has it loaded again.
		if err := s.kind.unload(ctx, a, old); err != nil {
			s.pool.Log.Info("engine", "address", a.url, "adapter", old, "not unloaded", err)
		}
	}
	return nil
}

// maxLoaded is how many adapters a worker leaves at a server: that of this round, of the one before, and of as many
// rounds of another run.
const maxLoaded = 4

// keep notes an adapter that was loaded, and returns those to unload.
func (a *address) keep(name string) (old []string) {
	a.info.Lock()
	defer a.info.Unlock()
	a.loaded = append(slices.DeleteFunc(a.loaded, func(n string) bool { return n == name }), name)
	if n := len(a.loaded) - maxLoaded; n > 0 {
		old, a.loaded = slices.Clone(a.loaded[:n]), slices.Clone(a.loaded[n:])
	}
	return old
}

// write puts the files into a folder of their own, whole or not at all. Another worker may do so at the same time.
func (a *adapter) write(dir string) error {
	to := filepath.Join(dir, a.name)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(dir, a.name+".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil { // the server may be another user
		return err
	}
	for i, name := range adapterFiles {
		if err := os.WriteFile(filepath.Join(tmp, name), a.files[i], 0o644); err != nil {
			return err
		}
	}
	err = os.Rename(tmp, to)
	if _, there := os.Stat(to); err != nil && there == nil {
		return nil
	}
	return err
}
