package storage_test

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

// Code that uses a Store works with every implementation. Errors are told apart with errors.Is.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var s storage.Store
	if s, err = disk.Open(dir); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, key := range []string{"runs/r2/pairs", "runs/r1/pairs"} {
		if _, err := s.Put(ctx, key, strings.NewReader("content"), -1); err != nil {
			log.Fatal(err)
		}
	}
	for info, err := range s.List(ctx, "runs/") {
		fmt.Println(info.Key, info.Size, err)
	}
	_, err = s.Stat(ctx, "runs/r3/pairs")
	fmt.Println("does not exist:", errors.Is(err, storage.ErrNotExist))
	// Output:
	// runs/r1/pairs 7 <nil>
	// runs/r2/pairs 7 <nil>
	// does not exist: true
}

// An implementer of Store wraps the content in Verify: then damaged content cannot be read to its end.
func ExampleVerify() {
	damaged := io.NopCloser(strings.NewReader("c0ntent"))
	_, err := io.ReadAll(storage.Verify(damaged, storage.Info{Key: "k", Size: 7, SHA256: strings.Repeat("ab", 32)}))
	fmt.Println("corrupt:", errors.Is(err, storage.ErrCorrupt))
	// Output:
	// corrupt: true
}

func ExampleCheckKey() {
	for _, key := range []string{"runs/r1/report.html", "../secret"} {
		fmt.Println(key, "allowed:", storage.CheckKey(key) == nil)
	}
	// Output:
	// runs/r1/report.html allowed: true
	// ../secret allowed: false
}
