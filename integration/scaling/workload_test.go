package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

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
