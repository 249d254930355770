package whole_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"itool/ops/whole"
)

// A file whose writer fails is not written at all.
func ExampleFile() {
	name := filepath.Join(os.TempDir(), "example-of-whole.txt")
	err := whole.File(name, func(w io.Writer) error {
		fmt.Fprint(w, "half of the te")
		return errors.New("the disk is full")
	})
	_, missing := os.Stat(name)
	fmt.Println(err, errors.Is(missing, os.ErrNotExist))
	// Output: the disk is full true
}
