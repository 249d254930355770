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

// Quantize reads the model in folder from and writes it into the new folder to, with the
// linear maps of its layers in four bits (NF4). It opens what it wrote before the folder gets
// its name. before and after are the sizes of the weights in bytes. Errors: a model that is
// in four bits already or has an adapter, and a folder to that exists.
func Quantize(from, to string, device kernel.Device) (before, after int64, err error) {
	fsys := os.DirFS(from)
	p, err := policy.Open(fsys, policy.Options{Device: device, Form: model.Mapped})
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", from, err)
	}
	m := p.Model()
	switch {
	case m.NF4:
		return 0, 0, fmt.Errorf("%s: the model is quantized already: use it as it is, with itool run --base", from)
	case m.Adapter != nil:
		return 0, 0, fmt.Errorf("%s: the model has an adapter: quantize its base, and train the adapter on that", from)
	}
	const replace = false
	err = whole.Folder(to, replace, func(tmp string) error {
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(tmp, name)) }
		if err := m.SaveNF4(create); err != nil {
			return err
		}
		if err := copyModelFiles(fsys, tmp); err != nil {
			return err
		}
		if _, err := policy.Open(os.DirFS(tmp), policy.Options{Device: device}); err != nil {
			return fmt.Errorf("the quantized model does not open: %w", err)
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

// weightBytes is the size of all safetensors files in a folder.
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
