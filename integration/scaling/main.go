// Command scaling shows how workers follow the depth of a queue: it publishes items in bursts, lets a pool
// (ops/scale) start and end workers for them, and draws what was waiting and who was there.
//
//	go run ./integration/scaling -o ops/guide/scaling.svg
//
// Broker, queue, worker loop and pool are the real ones, in this process. Only the stage is not: its items
// sleep, so that the picture shows the decisions and not the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"itool/ops/scale"
)

func main() {
	out := flag.String("o", "scaling.svg", "file for the picture")
	flag.Parse()
	w := picture()
	trace, err := w.Run(context.Background())
	if err == nil {
		err = os.WriteFile(*out, trace.SVG(w.Limits), 0o644) //nolint:gosec // a picture for everybody
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d items, %d deliveries, %d workers at most, %s in all\n",
		trace.Items, trace.Deliveries, trace.MostWorkers(), trace.Last().Round(time.Second))
}

// picture is the workload of the picture in the guide.
func picture() Workload {
	return Workload{
		Limits: scale.Limits{Max: 8, Slots: 1, Quiet: 3 * time.Second},
		Bursts: []Burst{
			{At: time.Second, Items: 120}, {At: 11 * time.Second, Items: 30}, {At: 14 * time.Second, Items: 3},
			{At: 20 * time.Second, Items: 20, Empty: true},
		},
		Item: 400 * time.Millisecond,
	}
}
