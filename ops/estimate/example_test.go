package estimate_test

import (
	"os"

	"itool/ops/config"
	"itool/ops/estimate"
	"itool/ops/report"
)

// A pilot trained on 90 of 900 rows for ten seconds: the run will train for ten times as
// long.
func ExampleScale() {
	full := config.Default()
	full.Line.Rounds = 0                    // only the warm-up
	share := estimate.Share(90, 1000, full) // a tenth of the 1000 rows is for validation
	pilot := &report.Report{Seconds: []report.StageTime{{Stage: "warmup", Items: 1, Seconds: 10}}}

	e := estimate.Scale(pilot, full, share, 2)
	e.Pilot = estimate.Pilot{Share: share, Rows: 90, Seconds: 12}
	_ = e.Text(os.Stdout, false)
	// Output:
	// pilot: 90 rows trained on (10 % of them), one round, 12s
	//
	//    stage  pilot   ×  the run
	//   warmup    10s  10    1m40s
	//      all               1m40s
}
