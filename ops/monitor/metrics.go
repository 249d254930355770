package monitor

import (
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics. Several keepers may run and all say the same: take the maximum of them, not the sum.
var (
	up = describe("itool_monitor_up", "1 if the queues were read within the last half minute.")
	// runs
	runsLive  = describe("itool_runs", "Runs that go on.")
	stalled   = describe("itool_run_stalled", "1 if the run waits for a person.", "run")
	waitsRun  = describe("itool_run_waiting", "Things that the keeper knows the run waits for.", "run", "cause")
	foreign   = describe("itool_run_foreign_messages", "Messages in open rounds that are no items.", "run")
	refused   = describe("itool_run_refused_results", "Results in open rounds that were none.", "run")
	waitsWork = describe("itool_workers_waiting", "Different reasons for which workers wait.", "run", "stage", "cause")
	// queues
	pending    = describe("itool_items_pending", "Items that wait for a worker.", "run", "stage")
	inFlight   = describe("itool_items_in_flight", "Items in work, and items that come again soon.", "run", "stage")
	oldest     = describe("itool_oldest_item_seconds", "Age of the oldest item that is not done.", "run", "stage")
	deliveries = describe("itool_deliveries_total", "Deliveries of items, repeated ones too.", "run", "stage")
	// rounds
	items    = describe("itool_round_items", "Items of the round.", "run", "stage", "round")
	answered = describe("itool_round_answered_total", "Items with a result.", "run", "stage", "round")
	lost     = describe("itool_round_failed_total", "Items that were given up.", "run", "stage", "round")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var _ prometheus.Collector = (*Monitor)(nil)

// Describe sends nothing: which series there are depends on the runs.
func (m *Monitor) Describe(chan<- *prometheus.Desc) {}

// Collect sends what was collected last.
func (m *Monitor) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(up, number(m.fresh()))
	gauge(runsLive, float64(m.live))
	for _, q := range m.queues {
		gauge(pending, float64(q.Pending), q.run, q.stage)
		gauge(inFlight, float64(q.InFlight), q.run, q.stage)
		gauge(oldest, q.oldest.Seconds(), q.run, q.stage)
		count(deliveries, float64(q.Deliveries), q.run, q.stage)
	}
	for w, n := range m.waits {
		gauge(waitsWork, float64(n), w.run, w.stage, w.what)
	}
	names := slices.Sorted(maps.Keys(m.observed))
	for _, run := range names[:min(len(names), m.maxRuns())] {
		o := m.observed[run]
		gauge(stalled, number(o.Status.Stalled != ""), run)
		gauge(foreign, float64(o.Status.Foreign), run)
		gauge(refused, float64(o.Status.Refused), run)
		causes := map[string]int{}
		for _, reason := range o.Status.Waiting {
			causes[Cause(reason)]++
		}
		for cause, n := range causes {
			gauge(waitsRun, float64(n), run, cause)
		}
		for _, s := range o.Stages {
			round := strconv.Itoa(s.Round)
			gauge(items, float64(s.Items), run, s.Stage, round)
			count(answered, float64(s.Answered), run, s.Stage, round)
			count(lost, float64(s.Lost), run, s.Stage, round)
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
