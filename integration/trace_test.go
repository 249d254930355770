package integration

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/ops/telemetry/telemetrytest"
)

// TestOneTraceFromPublishToPolicy: all of a run is in the trace of the program that publishes it, each item under
// what woke it, and tracing changes no byte of a result.
func TestOneTraceFromPublishToPolicy(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice, about 15 seconds; the full test run does it")
	}
	records := []string{"example", "score", "selection", "candidate", "pair", "policy"}
	plain := bodies(t, inOneProcess(t, oneRound), records...)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	t.Setenv("TRACEPARENT", parent)
	r := telemetrytest.Collect(t)
	if diff := cmp.Diff(plain, bodies(t, inOneProcess(t, oneRound), records...)); diff != "" {
		t.Errorf("tracing has changed results (- without, + with):\n%s", diff)
	}
	byID, stages := map[string]telemetrytest.Span{}, map[string]int{}
	for _, s := range r.Spans() {
		byID[s.ID] = s
		stages[s.Name]++
		if s.Trace != parent[3:35] || s.Failed {
			t.Errorf("got %+v, want it in trace %s and without error", s, parent[3:35])
		}
	}
	want := []string{"expand", "filter", "publish", "score", "select", "split", "update", "warmup"}
	if got := slices.Sorted(maps.Keys(stages)); !slices.Equal(got, want) {
		t.Fatalf("spans of %v, want %v", got, want)
	}
	for _, s := range byID {
		above, key := byID[s.Parent].Name, byID[s.Parent].Attributes["itool.key"]
		switch {
		case s.Name == "publish" && s.Parent == parent[36:52]:
		case s.Name == "filter" && above == "expand" && key == s.Attributes["itool.key"]:
		case s.Name != "publish" && s.Name != "filter" && above == "publish":
		default:
			t.Errorf("%s %s is under %q", s.Name, s.Attributes["itool.key"], above)
		}
	}
}
