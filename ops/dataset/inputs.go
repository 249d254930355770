package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"itool/stages/split"
)

// Inputs reads the files as a command line names them: FILE, or FILE:WEIGHT. It returns the
// files for a run, those for validation behind the others, and writes weights and validation
// files into cfg, by their names. A file whose own name ends like a weight is that file.
func Inputs(args, validation []string, cfg *split.Config) (files []string, err error) {
	names := map[string]string{} // path by name
	take := func(path string) (name string, err error) {
		name = filepath.Base(path)
		if _, err := os.Stat(path); err != nil {
			var at *fs.PathError
			if errors.As(err, &at) {
				err = at.Err
			}
			return "", fmt.Errorf("dataset %s: %w: check the path", path, err)
		}
		if other, taken := names[name]; taken && (cfg.Weights[name] != 0 || slices.Contains(cfg.ValidationFiles,
			name)) {
			return "", fmt.Errorf("dataset %s: %s has the same name, and settings name files by it: rename one", path,
				other)
		}
		names[name] = path
		files = append(files, path)
		return name, nil
	}
	for _, arg := range args {
		path, weight, err := cutWeight(arg)
		if err != nil {
			return nil, err
		}
		name, err := take(path)
		if err != nil {
			return nil, err
		}
		if weight != 0 {
			// The map may be that of the defaults: it is not written to.
			all := map[string]float64{name: weight}
			for k, v := range cfg.Weights {
				if k != name {
					all[k] = v
				}
			}
			cfg.Weights = all
		}
	}
	for _, path := range validation {
		cfg.ValidationFiles = append(slices.Clip(cfg.ValidationFiles), filepath.Base(path))
		if _, err := take(path); err != nil {
			return nil, err
		}
	}
	return files, cfg.Validate()
}

// WithoutWeight is the file of FILE or FILE:WEIGHT.
func WithoutWeight(arg string) string {
	if path, _, err := cutWeight(arg); err == nil {
		return path
	}
	return arg
}

// cutWeight takes the weight off FILE:WEIGHT; 0 is none.
func cutWeight(arg string) (path string, weight float64, err error) {
	at := strings.LastIndexByte(arg, ':')
	if _, err := os.Stat(arg); err == nil || at < 0 {
		return arg, 0, nil
	}
	weight, err = strconv.ParseFloat(arg[at+1:], 64)
	if err != nil {
		return arg, 0, nil //nolint:nilerr // no weight: opening the file says that it does not exist
	}
	if !(weight > 0) {
		return "", 0, fmt.Errorf("dataset %s: a weight is above 0", arg)
	}
	return arg[:at], weight, nil
}
