package search_test

import (
	"testing"

	"itool/stages/expand/search"
)

// BenchmarkVisit measures descents and backups through a tree with nothing left to
// draw, that is the search alone. A visit is one node of the path.
func BenchmarkVisit(b *testing.B) {
	p := search.Default()
	p.Iterations, p.Patience = 50_000, 0
	visits := 0
	for b.Loop() {
		visits = 0
		for _, n := range mustSearch(b, call().oracle(), p).Nodes {
			visits += n.N
		}
	}
	perVisit := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(visits)
	b.ReportMetric(perVisit, "ns/visit")
	b.ReportMetric(1e9/perVisit, "visits/s")
}

// BenchmarkTree measures the default search of one answer, with a made-up oracle.
func BenchmarkTree(b *testing.B) {
	p := search.Default()
	for b.Loop() {
		p.Seed++
		mustSearch(b, call().oracle(), p)
	}
}

// Visits allocate nothing: 25 times the iterations need the same allocations.
func TestVisitAllocatesNothing(t *testing.T) {
	allocations := func(iterations int) float64 {
		p := search.Default()
		p.Iterations, p.Patience = iterations, 0
		return testing.AllocsPerRun(3, func() { mustSearch(t, fork().oracle(), p) })
	}
	if few, many := allocations(200), allocations(5000); few != many {
		t.Errorf("%v allocations in 200 iterations, %v in 5000", few, many)
	}
}
