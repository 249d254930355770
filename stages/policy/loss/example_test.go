package loss_test

import (
	"fmt"

	"itool/stages/policy/loss"
)

// The loss of one preference pair, and in which direction its gradient pushes each side.
func ExampleConfig_Of() {
	simpo := loss.Config{Kind: loss.SimPO, Beta: 2.5, Gamma: 0.5}
	v, err := simpo.Of(loss.Pair{Chosen: -2, NChosen: 4, Rejected: -3, NRejected: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("loss %.4f nats, by chosen %.4f, by rejected %+.4f\n", v.Loss, v.DChosen, v.DRejected)
	// Output: loss 0.8259 nats, by chosen -0.3514, by rejected +0.2811
}
