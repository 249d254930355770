package export

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"itool/ops/whole"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// Quantize writes the model in folder from into the new folder to, with the linear maps of
// its layers in four bits (NF4), and opens what it wrote. It returns the sizes of the
// weights in bytes. A model that has four bits or an adapter already is an error.
func Quantize(from, to string, device kernel.Device) (before, after int64, err error) {
	fsys := os.DirFS(from)
	p, err := policy.Open(fsys, policy.Options{Device: device, Form: model.Mapped})
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", from, err)
	}
	m := p.Model()
	switch {
	case m.NF4:
		return 0, 0, fmt.Errorf("%s: is quantised already: give it to run as --base", from)
	case m.Adapter != nil:
		return 0, 0, fmt.Errorf("%s: holds an adapter: quantise the base, and train or continue the adapter on that",
			from)
	}
	err = whole.Folder(to, false, func(tmp string) error {
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(tmp, name)) }
		if err := m.SaveNF4(create); err != nil {
			return err
		}
		if err := copyModelFiles(fsys, tmp); err != nil {
			return err
		}
		if _, err := policy.Open(os.DirFS(tmp), policy.Options{Device: device}); err != nil {
			return fmt.Errorf("the quantised model does not open: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	if before, err = weightBytes(from); err != nil {
		return 0, 0, err
	}
	after, err = weightBytes(to)
	return before, after, err
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
