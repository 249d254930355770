package scale_test

import (
	"fmt"
	"time"

	"itool/ops/scale"
)

// Nine items wait and two workers with two slots each are there: three more start.
func ExampleLimits_Decide() {
	low, high, err := scale.ParseRange("0..8")
	if err != nil {
		fmt.Println(err)
		return
	}
	limits := scale.Limits{Min: low, Max: high, Slots: 2, Quiet: time.Minute}
	do, _ := limits.Decide(scale.View{Waiting: 6, InWork: 4, Active: 2}, time.Time{})
	fmt.Println("want", do.Want, "start", do.Start, "drain", do.Drain)
	// Output: want 5 start 3 drain 0
}
