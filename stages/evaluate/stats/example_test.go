package stats_test

import (
	"fmt"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Two policies answered the same hundred cases.
func ExampleCompare() {
	var before, after []schemas.Verdict
	for i := range 100 {
		id := fmt.Sprint("case-", i)
		before = append(before, schemas.Verdict{ExampleID: id, HasCall: true, Pass: i < 60})
		after = append(after, schemas.Verdict{ExampleID: id, HasCall: true, Pass: i >= 5 && i < 80})
	}
	const seed = 1 // of the bootstrap
	fmt.Println("before:", stats.Summarise(before, seed).Calls)
	fmt.Println("after: ", stats.Summarise(after, seed).Calls)
	d := stats.Compare(before, after, seed)
	fmt.Printf("gain:   %s; %d won, %d lost\n", d, d.Won, d.Lost)
	// Output:
	// before: 60.0 % [51.0, 69.0] of 100
	// after:  75.0 % [66.0, 83.0] of 100
	// gain:   15.0 % [6.0, 24.0] of 100; 20 won, 5 lost
}
