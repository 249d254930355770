package line_test

import (
	"fmt"
	"slices"
	"testing"

	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
)

// Trees that are searched and not yet filtered are seen in the view of their round.
func TestLookCountsTheStagesOfARound(t *testing.T) {
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), "r", 64<<20); err != nil {
		t.Fatal(err)
	}
	put := func(record, key string, b schemas.Batch, err error) {
		t.Helper()
		b.Header.Run, b.Header.Key = "r", key
		if err == nil {
			_, err = c.Publish(t.Context(), record, b, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := make([]schemas.Manifest, 5)
	for i := range keys {
		keys[i].Key = fmt.Sprint("e", i)
	}
	b, err := schemas.Encode(schemas.Header{}, keys)
	put(schemas.RecordManifest, schemas.RecordPair, b, err)
	for i, key := range keys[:3] {
		b, err := schemas.Encode(schemas.Header{}, []schemas.Candidate{})
		put(schemas.RecordCandidate, key.Key, b, err)
		if i == 0 {
			b, err := schemas.Encode(schemas.Header{}, []schemas.Pair{})
			put(schemas.RecordPair, key.Key, b, err)
		}
	}
	v, err := line.Rows(nil).Look(t.Context(), c, "r")
	if err != nil || len(v.Rounds) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	r := v.Rounds[0]
	want := []line.Step{{Stage: "expand", Done: 3}, {Stage: "filter", Done: 1}}
	if r.Done != 1 || r.Total != 5 || !slices.Equal(r.Steps, want) {
		t.Errorf("got %+v, want 1 of 5 done and %v", r, want)
	}
	if s, ok := r.Slowest(); !ok || s != want[0] {
		t.Errorf("the slowest stage is %v, want %v", s, want[0])
	}
}
