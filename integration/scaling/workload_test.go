package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"itool/integration/results"
	"itool/ops/scale"
)

// TestFromZeroAndBack: the queue grows twice; the workers come at once, are never more than allowed, leave when
// it was quiet, and no item is delivered twice.
func TestFromZeroAndBack(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for workers to come and go, some seconds; the full test run does it")
	}
	w := Workload{
		Limits: scale.Limits{Max: 4, Slots: 2, Quiet: 300 * time.Millisecond},
		Bursts: []Burst{{At: 300 * time.Millisecond, Items: 40}, {At: 4 * time.Second, Items: 3, Empty: true}},
		Item:   200 * time.Millisecond,
	}
	trace, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if trace.Deliveries != 43 || trace.Items != 43 {
		t.Errorf("%d items were delivered %d times", trace.Items, trace.Deliveries)
	}
	if most := trace.MostWorkers(); most != 4 {
		t.Errorf("%d workers at most, want 4", most)
	}
	rises, before := 0, 0
	for _, p := range trace.Points {
		if n := p.Active + p.Draining; n > 0 && before == 0 {
			rises++
		}
		before = p.Active + p.Draining
		if p.Active+p.Draining+p.Start > 4 {
			t.Errorf("too many workers: %+v", p)
		}
	}
	if rises != 2 || before != 0 {
		t.Errorf("the workers came %d times from zero and %d stayed; want 2 and none", rises, before)
	}
	picture := string(trace.SVG(w.Limits))
	for d := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, picture)
		}
	}
}

// TestFromZeroPicture draws the autoscaler's decisions for the guide and counts them.
func TestFromZeroPicture(t *testing.T) {
	if !results.Wanted() {
		t.Skip("takes a minute: task results runs it. TestFromZeroAndBack is its small form")
	}
	r := results.Begin("Scaling: from zero and back")
	w := picture()
	trace, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if trace.Deliveries != uint64(trace.Items) {
		t.Errorf("%d items were delivered %d times", trace.Items, trace.Deliveries)
	}
	started, drained := 0, 0
	for _, p := range trace.Points {
		started, drained = started+p.Start, drained+p.Drain
	}
	file := "../../ops/guide/scaling.svg"
	if err := os.WriteFile(file, trace.SVG(w.Limits), 0o644); err != nil { //nolint:gosec // a picture for everybody
		t.Fatal(err)
	}
	err = r.Write("![Depth of the queue and workers over time](../ops/guide/scaling.svg)\n\n" + results.Table(
		[]string{"items in four bursts", "deliveries", "workers at most", "started", "let go", "at the end"},
		[]string{fmt.Sprint(trace.Items), fmt.Sprint(trace.Deliveries), fmt.Sprint(trace.MostWorkers()),
			fmt.Sprint(started), fmt.Sprint(drained), fmt.Sprint(trace.Points[len(trace.Points)-1].Active)}))
	if err != nil {
		t.Error(err)
	}
}
