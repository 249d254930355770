//go:build !unix

package safetensors

import "io/fs"

// load reads the file.
func load(fsys fs.FS, name string) (data []byte, unmap func([]byte), err error) {
	data, err = fs.ReadFile(fsys, name)
	return data, nil, err
}

func release([]byte) {}
