package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"itool/storage"
	"itool/storage/disk"
)

func Example() {
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	s, err := disk.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	info, err := s.PutIfAbsent(ctx, "runs/r1/report.txt", strings.NewReader("all is well"), -1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Key, info.Size)

	_, err = s.PutIfAbsent(ctx, "runs/r1/report.txt", strings.NewReader("no, it is not"), -1)
	fmt.Println(errors.Is(err, storage.ErrExists))

	r, _, err := s.Get(ctx, "runs/r1/report.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	fmt.Println(string(text), err)
	// Output:
	// runs/r1/report.txt 11
	// true
	// all is well <nil>
}
