package embed_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"itool/broker"
	"itool/broker/embed"
)

// Start a server on a free port. This process connects without a socket; others use the URL.
func Example() {
	dir, err := os.MkdirTemp("", "embed")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := embed.Start(embed.Config{Dir: dir, Port: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Shutdown()
	fmt.Println("on this machine:", strings.HasPrefix(s.URL(), "nats://127.0.0.1:"))

	b, err := broker.Connect(context.Background(), broker.Config{InProcess: s})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	fmt.Println("largest message:", b.MaxMessageBytes()>>20, "MiB")
	// Output:
	// on this machine: true
	// largest message: 8 MiB
}
