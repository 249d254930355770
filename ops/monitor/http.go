package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Left is the answer of /scale/<stage>.
type Left struct {
	Stage    string `json:"stage"`
	Value    int    `json:"value"` // pending and in flight: what a scaler divides by the items of a worker
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
}

// Handler answers the four paths.
func (m *Monitor) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", m.ready)
	mux.HandleFunc("GET /scale/{stage}", m.scale)
	return mux
}

// ready is no reason to restart the process: a broker that is away makes it fail.
func (m *Monitor) ready(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.fresh() {
		http.Error(w, "the queues were not read within "+staleAfter.String(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (m *Monitor) scale(w http.ResponseWriter, r *http.Request) {
	stage := r.PathValue("stage")
	if !slices.Contains(m.Stages, stage) {
		http.Error(w, "there is no such stage; there are: "+strings.Join(m.Stages, ", "), http.StatusNotFound)
		return
	}
	m.mu.Lock()
	d, fresh := m.depth[stage], m.fresh()
	m.mu.Unlock()
	if !fresh { // a scaler then keeps what it has
		http.Error(w, "the queues were not read within "+staleAfter.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Left{stage, d.Waiting + d.InWork, d.Waiting, d.InWork}) // the asker may have left
}

// Serve answers requests until ctx ends.
func (m *Monitor) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler: m.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
