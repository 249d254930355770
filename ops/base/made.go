package base

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"itool/ops/courier"
	"itool/ops/export"
	"itool/ops/importer"
	"itool/ops/report"
	"itool/ops/site"
	"itool/ops/whole"
	"itool/stages/policy"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/template"
	"itool/storage/checkpoint"
)

// madeVersion is part of the names of what is made. It changes when the same file or policy would become
// another folder.
const madeVersion = "v1"

// place is the folder for what is made of the thing with this digest.
func (f Finder) place(kind, digest string) (string, error) {
	cache := f.Cache
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no folder for what is made of it: %w; say --cache DIR", err)
		}
		cache = filepath.Join(user, "itool")
	}
	return filepath.Join(cache, kind+"-"+madeVersion, digest), nil
}

func (f Finder) say(format string, args ...any) {
	if f.Say != nil {
		f.Say(format, args...)
	}
}

// file imports a GGUF file.
func (f Finder) file(ctx context.Context, name string) (string, error) {
	switch is, err := isGGUF(name); {
	case err != nil:
		return "", err
	case !is:
		return "", errors.New("it is a file, and no GGUF file: name the folder that has the model's config.json")
	}
	digest, err := fileDigest(ctx, name)
	if err != nil {
		return "", err
	}
	dir, err := f.place("gguf", digest)
	if err != nil {
		return "", err
	}
	err = f.once(dir, func() error {
		done, err := importer.GGUF{File: name, Out: dir, Dtype: safetensors.BF16, Device: f.Device}.Write(ctx)
		if err == nil {
			f.say("%s is imported: %s, %.4g M parameters; the folder is %s", name, done.Architecture,
				float64(done.Parameters)/1e6, dir)
		}
		return err
	})
	if err == nil && !has(dir, template.File) {
		err = fmt.Errorf("it has no chat template: itool import %s --out DIR --template FILE adds one; "+
			"then name DIR", name)
	}
	return dir, err
}

// once makes dir unless it is there, or another process makes it first.
func (f Finder) once(dir string, make func() error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	err := make()
	if err == nil {
		return nil
	}
	if _, there := os.Stat(dir); there == nil {
		return nil
	}
	return err
}

func fileDigest(ctx context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(sum.Sum(nil)), nil
		case err != nil:
			return "", err
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
}

// ofFolder is a policy of a run in a folder of runs; run may be empty if the folder has only one.
func (f Finder) ofFolder(ctx context.Context, dir, run string, round int) (string, error) {
	s, err := site.OpenFolder(ctx, dir, site.NoPort, f.Log)
	if err != nil {
		return "", err
	}
	defer s.Close()
	var names []string
	for m, err := range s.Broker.Started(ctx) {
		if err != nil {
			return "", err
		}
		if m.Run == run {
			return f.ofRun(ctx, s.Courier, run, round)
		}
		names = append(names, m.Run)
	}
	switch {
	case len(names) == 0:
		return "", errors.New("the folder has no run yet")
	case run != "":
		return "", fmt.Errorf("there is no run %s; there are: %s", run, strings.Join(names, ", "))
	case len(names) > 1:
		return "", fmt.Errorf("the folder has several runs: name one of them, such as %s",
			filepath.Join(dir, names[0]))
	}
	return f.ofRun(ctx, s.Courier, names[0], round)
}

// ofRun writes a policy of a run as a whole model.
func (f Finder) ofRun(ctx context.Context, c *courier.Courier, run string, round int) (string, error) {
	r, err := report.Gather(ctx, c, run)
	if err != nil {
		return "", err
	}
	p := r.Final()
	if round != last {
		p = r.PolicyOf(round)
	}
	if p == nil {
		return "", fmt.Errorf("run %s has no such policy yet: see itool report %s", run, run)
	}
	dir, err := f.place("policies", p.Digest)
	if err != nil {
		return "", err
	}
	err = f.once(dir, func() error { return f.whole(ctx, c, run, *p, dir) })
	if err == nil {
		f.say("the base is run %s's %s (policy %.12s), as a whole model in %s", run, p.Name, p.Digest, dir)
	}
	return dir, err
}

// whole writes a policy with its adapter merged, or the base of a run as it is.
func (f Finder) whole(ctx context.Context, c *courier.Courier, run string, p report.Policy, dir string) error {
	fsys, _, err := checkpoint.Open(ctx, c.Store, courier.Checkpoints, p.Digest)
	if err != nil {
		return err
	}
	if _, err := fs.Stat(fsys, export.AdapterConfig); errors.Is(err, fs.ErrNotExist) {
		return whole.Folder(dir, false, func(tmp string) error { return os.CopyFS(tmp, fsys) })
	}
	e, err := policy.NewEngine(policy.Options{Device: f.Device})
	if err != nil {
		return err
	}
	m := export.Merge{
		Run: run, Policy: p, Out: dir, Device: f.Device,
		// The run's base has its type for the sake of memory; a base that is not what was trained is of no use.
		Dtypes: []safetensors.Dtype{"", safetensors.F16, safetensors.F32},
	}
	if _, err = m.Write(ctx, c, e); errors.Is(err, export.ErrCoarse) { // not even float32 shows a change
		err = fmt.Errorf("%s has learnt nothing: it is the same model as the run's base, %s@-1", p.Name, run)
	}
	return err
}
