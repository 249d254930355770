package train

import (
	"fmt"
	"math"

	"itool/stages/policy/loss"
	"itool/stages/policy/model"
)

// Config says how to train. Default has the usual values.
type Config struct {
	Loss      string  // sft, simpo, dpo, ipo or orpo
	Beta      float64 // β of a preference loss, > 0
	Gamma     float64 // γ of SimPO, the target margin itself, in units of β·nats, ≥ 0
	SFTWeight float64 // weight of the chosen side's mean negative log-likelihood, added to a preference loss, ≥ 0
	Force     bool    // allow SimPO with β < 1

	Full    bool     // train all weights instead of an adapter
	Rank    int      // R of the adapter
	Alpha   float64  // the scale of the adapter is Alpha/Rank
	Targets []string // adapted linear layers, such as "q_proj"; empty = all seven

	WarmupRatio  float64 // share of a phase's steps in which the rate rises, [0, 1]
	Beta1, Beta2 float64 // of AdamW, [0, 1)
	Eps          float64 // of AdamW, > 0
	Decay        float64 // decoupled weight decay of matrices, ≥ 0
	Clip         float64 // largest global norm of a step's gradient; 0 = no limit

	Tokens int    // capacity of a packed micro-batch, in tokens; a pair needs room for its prompt and both sides
	Seed   uint64 // for shuffling and for a new adapter

	// ActivationBytes is the memory for kept activations. Layers without room compute theirs again in the
	// backward pass (activation checkpointing). It changes the speed, but no bit of the result. 0 = 2 GiB.
	ActivationBytes int
}

// Default is SFT of an adapter with rank 16.
func Default() Config {
	return Config{
		Loss: string(loss.SFT), Beta: 2.5, Gamma: 0.5, Rank: 16, Alpha: 32,
		WarmupRatio: 0.1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Tokens: 2048,
	}
}

// Validate checks the ranges.
func (c Config) Validate() error {
	if err := c.lossConfig().Validate(); err != nil {
		return err
	}
	if c.Loss == string(loss.SimPO) && c.Beta < 1 && !c.Force {
		return fmt.Errorf("beta: %v with simpo asks for a margin of %.2g nats per token and collapses the policy: "+
			"use 2 to 2.5, or force it", c.Beta, c.Gamma/c.Beta)
	}
	within := func(name string, v, low, high float64) error {
		if !(v >= low && v <= high) {
			return fmt.Errorf("%s: %v is not within %v..%v", name, v, low, high)
		}
		return nil
	}
	for _, err := range []error{
		within("warmup_ratio", c.WarmupRatio, 0, 1), within("beta1", c.Beta1, 0, 1-1e-9),
		within("beta2", c.Beta2, 0, 1-1e-9),
		within("eps", c.Eps, 1e-30, 1), within("decay", c.Decay, 0, 1e3), within("clip", c.Clip, 0, math.MaxFloat64),
		within("tokens", float64(c.Tokens), 2, 1<<24), within("activation_bytes", float64(c.ActivationBytes), 0, 1<<50),
	} {
		if err != nil {
			return err
		}
	}
	if c.Full {
		return nil
	}
	if c.Rank < 1 || c.Rank > 1<<12 {
		return fmt.Errorf("rank: %d is not within 1..4096", c.Rank)
	}
	if !(c.Alpha > 0) || math.IsInf(c.Alpha, 0) {
		return fmt.Errorf("alpha: %v is not positive", c.Alpha)
	}
	_, err := c.targets()
	return err
}

// targets tells for each module whether it gets an adapter.
func (c Config) targets() (on [model.Modules]bool, err error) {
	for _, name := range c.Targets {
		m, ok := model.ParseModule(name)
		if !ok {
			return on, fmt.Errorf("targets: %q is not a linear layer of the model", name)
		}
		on[m] = true
	}
	for i := range on {
		on[i] = on[i] || len(c.Targets) == 0
	}
	return on, nil
}

// checkPhase names the first example or pair that cannot be trained on.
func (c Config) checkPhase(p *Phase, m model.Config) error {
	switch {
	case p.Steps < 0:
		return fmt.Errorf("steps: %d is below 0", p.Steps)
	case p.Epochs < 1:
		return fmt.Errorf("epochs: %d is not positive", p.Epochs)
	case p.BatchSize < 1:
		return fmt.Errorf("batch_size: %d is not positive", p.BatchSize)
	case !(p.Rate >= 0) || math.IsInf(p.Rate, 0):
		return fmt.Errorf("rate: %v is negative", p.Rate)
	case c.Loss == string(loss.SFT) && len(p.Pairs) > 0:
		return fmt.Errorf("pairs: the loss is sft, which learns from examples")
	case c.Loss != string(loss.SFT) && len(p.Examples) > 0:
		return fmt.Errorf("examples: the loss is %s, which learns from pairs", c.Loss)
	}
	for i := range p.Examples {
		if err := c.checkExample(&p.Examples[i], m); err != nil {
			return fmt.Errorf("example %s: %w", p.Examples[i].ID, err)
		}
	}
	for i := range p.Pairs {
		if err := c.checkPair(&p.Pairs[i], m); err != nil {
			return fmt.Errorf("pair %s: %w", p.Pairs[i].ID, err)
		}
	}
	return nil
}

func (c Config) checkExample(e *Example, m model.Config) error {
	if err := c.checkSides(m, e.Prompt, e.Answer); err != nil {
		return err
	}
	if e.Learn != nil && len(e.Learn) != len(e.Answer) {
		return fmt.Errorf("learn: %d entries for an answer of %d tokens", len(e.Learn), len(e.Answer))
	}
	if e.targets() == 0 {
		return fmt.Errorf("learn: no token of the answer has a loss: nothing to learn")
	}
	return nil
}

func (c Config) checkPair(p *Pair, m model.Config) error {
	for _, r := range []float64{p.RefChosen, p.RefRejected} {
		if !(r <= 0) || math.IsInf(r, 0) {
			return fmt.Errorf("reference log-probability %v is not within (−∞, 0]", r)
		}
	}
	return c.checkSides(m, p.Prompt, p.Chosen, p.Rejected)
}

func (c Config) checkSides(m model.Config, prompt []int32, answers ...[]int32) error {
	rows := len(prompt) + len(answers[0])
	if len(answers) == 2 {
		rows = PairRows(len(prompt), len(answers[0]), len(answers[1]))
	}
	for _, a := range answers {
		n := len(prompt) + len(a)
		switch {
		case len(a) == 0:
			return fmt.Errorf("an answer is empty: nothing to learn")
		case n < 2:
			return fmt.Errorf("one token and no prompt: nothing to predict it from")
		case n > m.MaxPositions:
			return fmt.Errorf("%d tokens are more than the model's %d positions", n, m.MaxPositions)
		}
		for _, ids := range [][]int32{prompt, a} {
			for i, id := range ids {
				if id < 0 || int(id) >= m.VocabSize {
					return fmt.Errorf("token %d: id %d is not within the vocabulary of %d", i, id, m.VocabSize)
				}
			}
		}
	}
	if rows > c.Tokens {
		return fmt.Errorf("%d tokens are more than a micro-batch's %d: raise tokens, or drop it", rows, c.Tokens)
	}
	return nil
}
