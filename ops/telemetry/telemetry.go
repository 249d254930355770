// Package telemetry sends what becomes of each item as spans of OpenTelemetry, over OTLP/HTTP, so that a run can be
// followed from publish to policy beside everything else that is traced.
//
//	t, err := telemetry.Open(ctx, version, log)   // nil unless OTEL_EXPORTER_OTLP_ENDPOINT is set
//	worker.Tracer = t
//	defer t.Close()
//
// It reads OpenTelemetry's own variables (endpoint, headers, certificates, sampling, service name) and has no setting
// besides. Spans are sent in the background: a collector that is away costs spans, never work. What is traced is
// where an item is and how a try ended, not what is in it.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"itool/broker"
	"itool/ops/worker"
)

// Tracer makes spans. A nil Tracer makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Open returns a tracer if the environment names an endpoint for spans, else nil.
func Open(ctx context.Context, version string, log *slog.Logger) (*Tracer, error) {
	if !asked() {
		return nil, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := os.Getenv(name); p != "" && p != "http/protobuf" {
			return nil, fmt.Errorf("%s: %q: spans are sent as http/protobuf only", name, p)
		}
	}
	// The exporter tells its errors to the whole process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces", "error", broker.Redact(err.Error()))
	}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "itool"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv()) // what the environment says counts
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Tracer{p, p.Tracer("itool")}, nil
}

// asked reports whether the environment wants spans.
func asked() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// closeTime bounds how long Close waits for a collector.
const closeTime = 5 * time.Second

// Close sends what is left.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// Publish begins the span of a run's publishing. parent is a traceparent, such as that of the program that publishes,
// or ""; the result is what the run's records carry. end ends the span. Without a tracer that is parent itself.
func (t *Tracer) Publish(ctx context.Context, run, parent string) (traceparent string, end func(error)) {
	if t == nil {
		return header(under(ctx, parent)), func(error) {} // "" if it is none
	}
	ctx, span := t.tracer.Start(under(ctx, parent), "publish", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String("itool.run", run)))
	return header(ctx), func(err error) {
		fail(span, err)
		span.End()
	}
}

// Begin implements worker.Tracer.
func (t *Tracer) Begin(ctx context.Context, parent string, at worker.Try) (string, func(string, error)) {
	ctx, span := t.tracer.Start(under(ctx, parent), at.Stage, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("itool.run", at.Run), attribute.String("itool.stage", at.Stage),
			attribute.Int("itool.round", at.Round), attribute.String("itool.key", at.Key),
			attribute.Int("itool.delivery", at.Delivery), attribute.String("itool.worker", at.Worker),
		))
	return header(ctx), func(outcome string, err error) {
		span.SetAttributes(attribute.String("itool.outcome", outcome))
		if outcome == worker.OutcomeFailed || outcome == worker.OutcomeRejected {
			fail(span, err)
		} else if err != nil {
			span.SetAttributes(attribute.String("itool.why", text(err)))
		}
		span.End()
	}
}

var _ worker.Tracer = (*Tracer)(nil)

// under is ctx under a span of another process. A traceparent that cannot be read is no parent.
func under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

// header is the traceparent of the span in ctx.
func header(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, text(err))
	}
}

// mostText bounds the text of an error in a span, in bytes.
const mostText = 1000

// text is an error without logins. It can quote a file or a record, so it is bounded.
func text(err error) string {
	s := broker.Redact(err.Error())
	if len(s) > mostText {
		s = s[:mostText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
