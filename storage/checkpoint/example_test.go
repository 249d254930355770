package checkpoint_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"

	"itool/storage/checkpoint"
	"itool/storage/disk"
)

// Write a checkpoint with one file, and read the file through the digest of its manifest.
func Example() {
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, err := disk.Open(dir)
	if err != nil {
		log.Fatal(err)
	}

	save := func(create func(string) (io.WriteCloser, error)) error {
		w, err := create("adapter_config.json")
		if err != nil {
			return err
		}
		fmt.Fprint(w, `{"r": 16}`)
		return w.Close()
	}
	m, err := checkpoint.Write(ctx, store, "runs/r1/policy", nil, save)
	if err != nil {
		log.Fatal(err)
	}

	fsys, _, err := checkpoint.Open(ctx, store, "runs/r1/policy", m.Digest())
	if err != nil {
		log.Fatal(err)
	}
	config, err := fs.ReadFile(fsys, "adapter_config.json")
	fmt.Println(string(config), err)
	// Output: {"r": 16} <nil>
}
