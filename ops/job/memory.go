package job

import (
	"fmt"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// Fits refuses a run whose base, trees and training do not fit into the memory of a GPU; the error has the sum. A CPU
// fits everything: what its memory lacks, the system takes from files.
func (r Request) Fits(dev kernel.Device) error {
	if _, ok := dev.(kernel.Limited); !ok {
		return nil
	}
	need, err := r.Memory(dev)
	if err == nil {
		err = need.Fits(dev)
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", r.Name, err)
	}
	return nil
}

// Memory is what a run needs on a device at the least: the weights, one tree, and one training.
func (r Request) Memory(dev kernel.Device) (kernel.Need, error) {
	need, shape, err := model.Need(r.Base, dev, model.Auto)
	if err != nil {
		return nil, err
	}
	c := r.Config
	tokens := min(promptTokens, shape.MaxPositions) + c.Expand.TokenBudget
	var training kernel.Need
	for _, of := range []train.Config{
		c.Warmup.Training(0, c.Warmup.Tokens), c.Update.Training(0, c.Update.Tokens),
	} {
		n, err := train.Need(shape, of, shape.NF4 || shape.Wraps(model.Auto))
		if err != nil {
			return nil, err
		}
		if n.Sum() > training.Sum() {
			training = n
		}
	}
	return append(append(need, policy.Need(shape, tokens)...), training...), nil
}
