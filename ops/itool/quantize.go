package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"itool/stages/policy"
	"itool/stages/policy/model"
)

// quantizeCmd is `itool quantize`.
type quantizeCmd struct {
	Model string `required:"" type:"existingdir" placeholder:"DIR" help:"Model in Hugging Face format."`
	Out   string `required:"" placeholder:"DIR" help:"New folder to write."`
}

// Run writes the model with its layers' maps in four bits, and opens what it wrote.
func (c *quantizeCmd) Run(_ context.Context, a *app) error {
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	from := os.DirFS(c.Model)
	p, err := policy.Open(from, policy.Options{Device: e.device, Form: model.Mapped})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	m := p.Model()
	switch {
	case m.NF4:
		return fmt.Errorf("%s: is quantised already: give it to run as --base", c.Model)
	case m.Adapter != nil:
		return fmt.Errorf("%s: holds an adapter: quantise the base, and train or continue the adapter on that", c.Model)
	}
	err = newFolder(c.Out, false, func(tmp string) error {
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(tmp, name)) }
		if err := m.SaveNF4(create); err != nil {
			return err
		}
		if err := copyModelFiles(from, tmp); err != nil {
			return err
		}
		if _, err := policy.Open(os.DirFS(tmp), policy.Options{Device: e.device}); err != nil {
			return fmt.Errorf("the quantised model does not open: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	before, errBefore := weightBytes(c.Model)
	after, errAfter := weightBytes(c.Out)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: weights of %.1f MB, %.1f MB before; the linear maps of the layers in NF4, 4.127 bits a weight\n", c.Out, float64(after)/1e6, float64(before)/1e6)
	return nil
}

// weightBytes is the size of a folder's safetensors files.
func weightBytes(dir string) (sum int64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		sum += st.Size()
	}
	return sum, nil
}
