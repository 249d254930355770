package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"itool/ops/telemetry"
	"itool/ops/telemetry/telemetrytest"
	"itool/ops/worker"
)

func open(t *testing.T) *telemetry.Tracer {
	t.Helper()
	tr, err := telemetry.Open(t.Context(), "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const foreign = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTriesUnderAForeignTrace: spans continue the trace of another program, each try is one, and what failed says so.
func TestTriesUnderAForeignTrace(t *testing.T) {
	r := telemetrytest.Collect(t)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	tr := open(t)
	published, end := tr.Publish(t.Context(), "r1", foreign)
	end(nil)
	at := worker.Try{Run: "r1", Stage: "expand", Round: 2, Key: "k7", Delivery: 1, Worker: "w"}
	_, first := tr.Begin(t.Context(), published, at)
	first(worker.OutcomeFailed, errors.New("no model at nats://bob:hunter2@host:4222"))
	at.Delivery = 2
	carried, second := tr.Begin(t.Context(), published, at)
	second(worker.OutcomeDone, nil)
	at.Stage = "filter"
	_, third := tr.Begin(t.Context(), carried, at)
	third(worker.OutcomeWaiting, errors.New("waiting: store: away"))
	tr.Close()

	spans := r.Spans()
	want := []struct{ name, parent, outcome string }{
		{"publish", foreign[36:52], ""}, {"expand", published[36:52], "failed"},
		{"expand", published[36:52], "done"}, {"filter", carried[36:52], "waiting"},
	}
	if len(spans) != len(want) {
		t.Fatalf("got %+v, want %d spans", spans, len(want))
	}
	for i, s := range spans {
		if s.Name != want[i].name || s.Parent != want[i].parent || s.Trace != foreign[3:35] ||
			s.Attributes["itool.outcome"] != want[i].outcome || s.Failed != (want[i].outcome == "failed") {
			t.Errorf("span %d: got %+v, want %+v", i, s, want[i])
		}
	}
	if failed := spans[1]; strings.Contains(failed.Error, "hunter2") || !strings.Contains(failed.Error, "no model") {
		t.Errorf("the failed try says %q", failed.Error)
	}
	for key, value := range map[string]string{
		"itool.run": "r1", "itool.stage": "expand", "itool.round": "2", "itool.key": "k7", "itool.delivery": "2",
		"itool.worker": "w", "service.name": "itool", "service.version": "v1", "deployment.environment": "test",
	} {
		if got := spans[2].Attributes[key]; got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
}

// TestJunkIsNoParent: a traceparent that cannot be read begins a new trace.
func TestJunkIsNoParent(t *testing.T) {
	r := telemetrytest.Collect(t)
	tr := open(t)
	var got []string
	zero := "00-" + strings.Repeat("0", 32) + foreign[35:]
	for _, parent := range []string{"", "junk", foreign[:30], strings.ToUpper(foreign), zero} {
		carried, end := tr.Begin(t.Context(), parent, worker.Try{Stage: "score"})
		end(worker.OutcomeDone, nil)
		if len(carried) != len(foreign) || strings.Contains(carried, foreign[3:35]) || slices.Contains(got, carried) {
			t.Errorf("parent %q gives %q", parent, carried)
		}
		got = append(got, carried)
	}
	tr.Close()
	for _, s := range r.Spans() {
		if s.Parent != "" {
			t.Errorf("a span under %s", s.Parent)
		}
	}
}

// TestOff: without an endpoint nothing is traced, and a foreign traceparent passes on.
func TestOff(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	tr := open(t)
	if tr != nil {
		t.Fatal("there is a tracer")
	}
	for parent, want := range map[string]string{foreign: foreign, "junk": "", "": ""} {
		got, end := tr.Publish(t.Context(), "r", parent)
		end(nil)
		if got != want {
			t.Errorf("parent %q: got %q, want %q", parent, got, want)
		}
	}
	tr.Close()
	telemetrytest.Collect(t)
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if open(t) != nil {
		t.Error("there is a tracer in spite of OTEL_SDK_DISABLED")
	}
	t.Setenv("OTEL_SDK_DISABLED", "")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err := telemetry.Open(t.Context(), "v1", slog.Default())
	if err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("another protocol: %v", err)
	}
}

// TestACollectorThatIsAway costs spans and no work: neither Begin nor Close waits for it.
func TestACollectorThatIsAway(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	tr := open(t)
	for range 5000 { // more than the queue holds
		_, end := tr.Begin(t.Context(), "", worker.Try{Stage: "score"})
		end(worker.OutcomeDone, nil)
	}
	tr.Close()
}

// BenchmarkTry is what tracing costs a try. Without an endpoint it is a comparison with nil.
func BenchmarkTry(b *testing.B) {
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	tr, err := telemetry.Open(context.Background(), "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	b.ReportAllocs()
	for b.Loop() {
		_, end := tr.Begin(context.Background(), foreign, worker.Try{Run: "r", Stage: "expand", Key: "k"})
		end(worker.OutcomeDone, nil)
	}
}
