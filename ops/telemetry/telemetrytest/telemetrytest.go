// Package telemetrytest receives spans as a collector of OpenTelemetry does, for tests.
//
//	r := telemetrytest.Collect(t)   // programs that are started from here on send their spans to it
//	…
//	for _, s := range r.Spans() { … }
package telemetrytest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span that arrived. Trace, ID and Parent are in hex, "" for none.
type Span struct {
	Name              string
	Trace, ID, Parent string
	Attributes        map[string]string // of the span and of its resource
	Failed            bool
	Error             string
}

// Receiver keeps what arrives.
type Receiver struct {
	mu    sync.Mutex
	spans []Span
}

// Collect starts a receiver and names it in the environment, as a user does. It ends with the test.
func Collect(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		var m collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &m)
		}
		if err != nil || q.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", q.URL.Path, err)
		}
		r.take(&m)
	}))
	t.Cleanup(s.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	return r
}

// Spans returns those that have arrived, in that order.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

func (r *Receiver) take(m *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				r.spans = append(r.spans, spanOf(s, rs.Resource.GetAttributes()))
			}
		}
	}
}

func spanOf(s *trace.Span, resource []*common.KeyValue) Span {
	out := Span{
		Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
		Parent: hex.EncodeToString(s.ParentSpanId), Attributes: map[string]string{},
		Failed: s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR, Error: s.Status.GetMessage(),
	}
	for _, a := range slices.Concat(resource, s.Attributes) {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out.Attributes[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out.Attributes[a.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return out
}
