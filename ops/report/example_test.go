package report_test

import (
	"fmt"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

// Findings says in sentences what a run gained. A report normally comes from Gather.
func ExampleReport_Findings() {
	calls := func(share float64) *report.Accuracy {
		return &report.Accuracy{Summary: stats.Summary{Calls: stats.Interval{Mean: share, N: 400}}}
	}
	gain := stats.Interval{Mean: 0.05, Low: 0.01, High: 0.09, N: 400}
	r := &report.Report{
		Run: "r1", Status: "done",
		Policies: []report.Policy{
			{Round: 0, Name: "warm-up", Status: "trained", Accuracy: calls(0.60)},
			{Round: 1, Name: "round 1", Status: "trained", Accuracy: calls(0.65)},
		},
		Effect: &report.Effect{Rounds: &stats.Difference{Interval: gain}},
	}
	for _, sentence := range r.Findings() {
		fmt.Println(sentence)
	}
	// Output:
	// exact match of calls went from 60.0 % (warm-up) to 65.0 % (round 1)
	// rounds after the warm-up: +5.0 points, 95 % interval +1.0 to +9.0
}
