package progress_test

import (
	"fmt"
	"strings"
	"time"

	"itool/ops/line"
	"itool/ops/progress"
)

// The rate and the time to go come from two looks at a run, ten seconds apart.
func ExampleTracker() {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	round := line.RoundView{Record: "pair", Title: "search with", OfPolicy: true, Total: 100, Done: 10}
	t := progress.NewTracker("r1")
	t.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, start)
	round.Done = 30
	t.See(line.View{Status: &line.Status{}, Rounds: []line.RoundView{round}}, start.Add(10*time.Second))

	fmt.Println(strings.Join(t.Table(start.Add(10*time.Second)), "\n"))
	// Output:
	// r1  10s
	//   search with warm-up    ███████░░░░░░░░░░░░░░░░░     30/100    2/s ETA 35s
}
