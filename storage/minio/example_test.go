package minio_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"itool/storage/minio"
)

// Store an object in a bucket and read it. The server here is the fake of the tests; for a real
// one, give its host and port as Endpoint.
func Example() {
	dir, err := os.MkdirTemp("", "s3-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, stop := newFake(dir)
	defer stop()
	ctx := context.Background()

	s, err := minio.Open(ctx, minio.Config{
		Endpoint: server.endpoint, Bucket: "itool", Create: true,
		AccessKey: "the access key", SecretKey: "the secret key",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(ctx, "runs/r1/report.txt", strings.NewReader("the report"), -1); err != nil {
		log.Fatal(err)
	}
	r, info, err := s.Get(ctx, "runs/r1/report.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	fmt.Println(info.Key, info.Size, string(text), err)
	// Output:
	// runs/r1/report.txt 10 the report <nil>
}
