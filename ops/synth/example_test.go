package synth_test

import (
	"fmt"

	"itool/ops/synth"
)

// The same Config gives the same rows.
func Example() {
	c := synth.Default()
	c.Rows, c.Tools = 2, 2
	rows, err := synth.Make(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	for row := range rows {
		fmt.Println(row.Request())
		fmt.Println(row.Answer())
	}
	// Output:
	// can you help: turn the potazo light on
	// [metore_turn_pepo(area='potazo', power=True)]
	// 6 nights in Bulari, the normal one and hotel in Daro for 4 nights
	// [zire_risesu_room(city='Bulari', nights=6, class='mid'), zire_risesu_room(city='Daro', nights=4)]
}
