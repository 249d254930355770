package progress_test

import (
	"fmt"
	"os"
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

	for _, bar := range t.Frame(start.Add(10 * time.Second)).Bars {
		if bar.State == progress.Working && bar.Note != "" {
			fmt.Println(bar.Name, bar.Count, bar.Note)
		}
	}
	t.Lines(os.Stdout, start.Add(time.Minute))
	// Output:
	//   expand 30/100 2/s
	//   filter 30/100 2/s
	// 12:01:00 r1: search with warm-up 30/100 0.333/s ETA 3m30s
}
