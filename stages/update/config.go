package update

import (
	"fmt"
	"math"

	"itool/stages/policy/train"
)

// The baseline losses, with which the preference losses simpo, dpo, ipo and orpo are compared.
// A baseline is SFT on one answer per pair, with the same batch size and number of steps.
const (
	LossChosen = "chosen_only" // SFT on the chosen sides
	LossSFT    = "sft"         // SFT on the reference answers of the pairs' examples
)

// Config says how a round's pairs become the next policy.
type Config struct {
	Loss      string  `json:"loss"`       // simpo | dpo | ipo | orpo | chosen_only | sft
	Beta      float64 `json:"beta"`       // β, ≥ 0; 0: the usual one of the loss, 2.5 for simpo, 0.1 for the others
	Gamma     float64 `json:"gamma"`      // γ of SimPO, the absolute target margin, ≥ 0
	SFTWeight float64 `json:"sft_weight"` // weight of the chosen side's mean negative log-likelihood in the loss, ≥ 0
	Force     bool    `json:"force"`      // allow simpo with beta < 1, under which a policy collapses

	// Rate is the peak learning rate, ≥ 0. 0 chooses it by the model's size: 1e-4 up to
	// 10 M parameters, 5e-6 from 8 B on, in between by interpolation.
	Rate      float64 `json:"rate"`
	BatchSize int     `json:"batch_size"` // pairs per optimiser step, > 0
	Epochs    int     `json:"epochs"`     // passes over the pairs, > 0
	// Steps is the number of optimiser steps, however many epochs that takes: it matches rivals that
	// have other numbers of pairs. ≥ 0; 0: epochs decides.
	Steps       int     `json:"steps,omitempty"`
	Rank        int     `json:"rank"`         // of a new adapter, 1..4096; an existing adapter keeps its own
	Alpha       float64 `json:"alpha"`        // of a new adapter: its scale is alpha / rank, > 0
	WarmupRatio float64 `json:"warmup_ratio"` // share of the steps with a rising rate, 0..1; none under 20 steps
	Decay       float64 `json:"decay"`        // decoupled weight decay, ≥ 0
	Clip        float64 `json:"clip"`         // largest norm of a step's gradient, ≥ 0; 0: no limit
	Tokens      int     `json:"tokens"`       // tokens of a packed micro-batch, ≥ 2; raised to the longest pair

	MinPairs        int `json:"min_pairs"`        // a round with fewer pairs makes no update, ≥ 1
	MinSteps        int `json:"min_steps"`        // a round with fewer optimiser steps makes no update, ≥ 1
	CheckpointSteps int `json:"checkpoint_steps"` // optimiser steps between checkpoints, ≥ 0; 0: only at the end

	// Best says which weights become the policy: last, those after the last step; accuracy,
	// those that answer the most validation examples rightly. There is no choice by loss: a
	// preference loss is meant to move probability away from the references, too.
	Best string `json:"best"`
	// AccuracyRows bounds the validation examples that are answered with best: accuracy, > 0.
	AccuracyRows int `json:"accuracy_rows"`
	// ValidateSteps are the optimiser steps between such measurements, ≥ 0. 0: once an epoch,
	// which leaves no choice to a single epoch. The end always has one.
	ValidateSteps int `json:"validate_steps"`

	GuardPrompts int     `json:"guard_prompts"` // most validation examples that both policies answer, ≥ 0; 0: no guard
	GuardTokens  int     `json:"guard_tokens"`  // most tokens of such an answer, > 0
	GuardDrop    float64 `json:"guard_drop"`    // least drop that the guard refuses, in percentage points, > 0, ≤ 100
	GuardP       float64 `json:"guard_p"`       // a drop is refused only if its p-value is below this, > 0, ≤ 1
}

// Default is what the paper and the design say.
func Default() Config {
	return Config{
		Loss: "simpo", Gamma: 0.5, SFTWeight: 0.2, BatchSize: 16, Epochs: 2, Rank: 16, Alpha: 32,
		WarmupRatio: 0.1, Clip: 1, Tokens: 2048, MinPairs: 50, MinSteps: 10, CheckpointSteps: 50,
		Best: BestLast, AccuracyRows: 64,
		GuardPrompts: 256, GuardTokens: 256, GuardDrop: 5, GuardP: 0.05,
	}
}

// Validate names field, value and range.
func (c Config) Validate() error {
	if !c.preference() && !c.baseline() {
		return fmt.Errorf("update.loss: %q is none of simpo, dpo, ipo, orpo, chosen_only, sft", c.Loss)
	}
	for _, f := range []struct {
		name     string
		v, least int
	}{
		{"batch_size", c.BatchSize, 1}, {"epochs", c.Epochs, 1}, {"steps", c.Steps, 0},
		{"min_pairs", c.MinPairs, 1}, {"min_steps", c.MinSteps, 1}, {"checkpoint_steps", c.CheckpointSteps, 0},
		{"guard_prompts", c.GuardPrompts, 0}, {"guard_tokens", c.GuardTokens, 1},
	} {
		if f.v < f.least {
			return fmt.Errorf("update.%s: %d is below %d", f.name, f.v, f.least)
		}
	}
	switch {
	case !(c.Beta >= 0):
		return fmt.Errorf("update.beta: %g is not 0 or more", c.Beta)
	case !(c.Rate >= 0) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("update.rate: %g is not 0 or more", c.Rate)
	case !(c.GuardDrop > 0 && c.GuardDrop <= 100):
		return fmt.Errorf("update.guard_drop: %g is not within 0..100", c.GuardDrop)
	case !(c.GuardP > 0 && c.GuardP <= 1):
		return fmt.Errorf("update.guard_p: %g is not within 0..1", c.GuardP)
	}
	if err := c.Training(0, c.Tokens).Validate(); err != nil { // its error begins with the field
		return fmt.Errorf("update.%w", err)
	}
	return c.validateBest()
}

// preference reports whether the loss compares two sides.
func (c Config) preference() bool {
	switch c.Loss {
	case "simpo", "dpo", "ipo", "orpo":
		return true
	}
	return false
}

func (c Config) baseline() bool { return c.Loss == LossChosen || c.Loss == LossSFT }

// Training is the configuration of the trainer.
func (c Config) Training(seed uint64, tokens int) train.Config {
	t := train.Default()
	t.Beta, t.Gamma, t.SFTWeight, t.Force = c.Beta, c.Gamma, c.SFTWeight, c.Force
	if t.Loss = c.Loss; c.baseline() {
		t.Loss = "sft"
	}
	switch {
	case c.Beta > 0:
	case c.Loss == "simpo":
		t.Beta = 2.5
	default:
		t.Beta = 0.1
	}
	t.Rank, t.Alpha = c.Rank, c.Alpha
	t.WarmupRatio, t.Decay, t.Clip = c.WarmupRatio, c.Decay, c.Clip
	t.Tokens, t.Seed = tokens, seed
	return t
}
