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

// Store a report, fail to store it a second time, and read it.
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
	info, err := s.PutIfAbsent(ctx, "runs/r1/report.txt", strings.NewReader("the report"), -1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Key, info.Size)

	_, err = s.PutIfAbsent(ctx, "runs/r1/report.txt", strings.NewReader("another report"), -1)
	fmt.Println("exists:", errors.Is(err, storage.ErrExists))

	r, _, err := s.Get(ctx, "runs/r1/report.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	fmt.Println(string(text), err)
	// Output:
	// runs/r1/report.txt 10
	// exists: true
	// the report <nil>
}
