package serve

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// requestID is the header with the request's name in the log.
const requestID = "X-Request-Id"

// statusGone is what the log and the metrics show for a client that left before its answer. nginx has it, too.
const statusGone = 499

// exchange is a request and its answer: the ResponseWriter of a handler, with what the log and the metrics say.
type exchange struct {
	http.ResponseWriter
	request *http.Request

	id      string
	route   string // the pattern; "": it was refused before
	began   time.Time
	clock   func() time.Time
	status  int // 0: nothing was written yet
	code    code
	stream  bool
	choices int
	usage   usage
	first   atomic.Int64 // nanoseconds from began to the first token; 0: none
}

// begin opens the record of a request.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, request: r, id: s.random.name("req_"), began: s.Clock(), clock: s.Clock}
	x.Header().Set(requestID, x.id)
	s.metrics.running.Inc()
	return x
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts as status 200 if none was written.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(p)
}

// gone notes that the client left.
func (x *exchange) gone() { x.status = statusGone }

// token notes the time of the first token.
func (x *exchange) token() {
	if x.first.Load() == 0 {
		x.first.CompareAndSwap(0, max(1, int64(x.clock().Sub(x.began))))
	}
}

// reply answers with JSON.
func (x *exchange) reply(v any) error {
	x.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(x).Encode(v); err != nil {
		x.gone()
	}
	return nil
}

// finish closes the record: a line in the log, and the metrics. Neither has texts, keys or addresses.
func (s *Server) finish(x *exchange) {
	took := x.clock().Sub(x.began)
	s.metrics.observe(x, took)
	s.Requested.Info("request", "id", x.id, "method", x.request.Method, "path", short(x.request.URL.Path),
		"status", x.status, "code", x.code, "stream", x.stream, "choices", x.choices, "prompt_tokens", x.usage.Prompt,
		"cached_tokens", x.usage.Details.Cached, "completion_tokens", x.usage.Completion,
		"first_token_ms", x.first.Load()/1e6, "ms", took.Milliseconds())
}

// metrics are what Prometheus reads.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	running  prometheus.Gauge
	tokens   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	first    prometheus.Histogram
}

func newMetrics() *metrics {
	seconds := []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "itool_serve_requests_total", Help: "Requests by route and HTTP status; 499: the client left.",
		}, []string{"route", "status"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "itool_serve_requests_running", Help: "Requests that wait or are answered now.",
		}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "itool_serve_tokens_total",
			Help: "Tokens of prompts, of these cached (known from other prompts), and of answers (completion).",
		}, []string{"kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "itool_serve_request_seconds", Help: "Time to the end of an answer, by route.", Buckets: seconds,
		}, []string{"route"}),
		first: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "itool_serve_first_token_seconds", Help: "Time to the first token of an answer.", Buckets: seconds,
		}),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.running, m.tokens, m.duration, m.first)
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) show(x *exchange) error {
	m.handler.ServeHTTP(x, x.request)
	return nil
}

func (m *metrics) observe(x *exchange, took time.Duration) {
	m.running.Dec()
	route := x.route
	if route == "" || route == "/" { // not the path: a client could make any number of series
		route = "other"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(x.status)).Inc()
	m.tokens.WithLabelValues("prompt").Add(float64(x.usage.Prompt))
	m.tokens.WithLabelValues("cached").Add(float64(x.usage.Details.Cached))
	m.tokens.WithLabelValues("completion").Add(float64(x.usage.Completion))
	m.duration.WithLabelValues(route).Observe(took.Seconds())
	if first := x.first.Load(); first > 0 {
		m.first.Observe(float64(first) / 1e9)
	}
}
