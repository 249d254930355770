package warmup

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"itool/stages/policy/train"
)

// The modes: the order of the examples.
const (
	ModeCurriculum = "curriculum" // easy, medium, hard by the examples' difficulty, Eq. 2–3
	ModeTertile    = "tertile"    // the same with three equal parts, ranked by the inputs of the difficulty
	ModeShuffled   = "shuffled"   // all at once: plain SFT, the baseline
	ModeNone       = "none"       // no training: the base policy opens the rounds
)

// What the kept weights are the best in.
const (
	BestLoss     = "loss"     // the mean negative log-likelihood of validation answers
	BestAccuracy = "accuracy" // right greedy answers to validation examples
)

// Config says how the base becomes the policy of round 0.
type Config struct {
	Mode string `json:"mode"` // curriculum | tertile | shuffled | none
	// Until ends a curriculum with a phase: easy or medium. "": with the last. A run for each gives a
	// policy for each.
	Until  string `json:"until,omitempty"`
	Epochs int    `json:"epochs"` // passes over each phase, > 0
	// Rate is the peak learning rate, ≥ 0. 0 chooses it by the model's size: 1e-3 up to
	// 10 M parameters, 1e-4 from 8 B.
	Rate      float64  `json:"rate"`
	BatchSize int      `json:"batch_size"` // examples per optimiser step, > 0
	Rank      int      `json:"rank"`       // of the adapter, 1..4096
	Alpha     float64  `json:"alpha"`      // the adapter's scale is alpha / rank, > 0
	Targets   []string `json:"targets"`    // adapted projections such as "q_proj"; empty: all seven
	// WarmupRatio is the share of a phase's steps with a rising rate, 0..1. A phase under
	// 20 steps has none.
	WarmupRatio float64 `json:"warmup_ratio"`
	Decay       float64 `json:"decay"`  // decoupled weight decay, ≥ 0
	Clip        float64 `json:"clip"`   // largest norm of a step's gradient, ≥ 0; 0: no limit
	Tokens      int     `json:"tokens"` // tokens of a packed micro-batch, ≥ 2; raised to the longest example
	// Best says which of the validated weights are kept: loss, those with the lowest
	// validation loss; accuracy, those with the most right greedy answers to validation
	// examples and, among equals, the lowest loss. Answers are drawn token by token, which
	// takes longer than the loss of as many examples.
	Best string `json:"best"`
	// AccuracyRows bounds the validation examples that are answered with best: accuracy, > 0.
	AccuracyRows int `json:"accuracy_rows"`
	// ValidateSteps are the optimiser steps between validations, ≥ 0. 0: once an epoch. The
	// end of a phase always has one.
	ValidateSteps int `json:"validate_steps"`
	// ValidationRows bounds the examples of the validation loss, ≥ 0. With 0 the last
	// weights are kept and the plateau is not measured.
	ValidationRows  int `json:"validation_rows"`
	CheckpointSteps int `json:"checkpoint_steps"` // optimiser steps between checkpoints, ≥ 0; 0: at the ends of phases
	// Plateau are the epochs of a probe after the warm-up, which measures whether more
	// training would help, ≥ 0. 0: not measured. The probe takes plateau / epochs of the
	// warm-up's time.
	Plateau int `json:"plateau"`
}

// Default is what the paper and the design say.
func Default() Config {
	return Config{
		Mode: ModeCurriculum, Epochs: 2, BatchSize: 64, Rank: 16, Alpha: 32,
		WarmupRatio: 0.1, Clip: 1, Tokens: 2048, Best: BestLoss, AccuracyRows: 64, ValidationRows: 256,
		CheckpointSteps: 50,
	}
}

// Validate names field, value and range.
func (c Config) Validate() error {
	switch c.Mode {
	case ModeCurriculum, ModeTertile, ModeShuffled, ModeNone:
	default:
		return fmt.Errorf("warmup.mode: %q is none of curriculum, tertile, shuffled, none", c.Mode)
	}
	switch {
	case c.Until != "" && !slices.Contains(levels, c.Until):
		return fmt.Errorf("warmup.until: %q is none of easy, medium, hard", c.Until)
	case c.Until != "" && c.Mode != ModeCurriculum && c.Mode != ModeTertile:
		return fmt.Errorf("warmup.until: %s, but mode %s has no such phases", c.Until, c.Mode)
	case c.Epochs <= 0:
		return fmt.Errorf("warmup.epochs: %d is not positive", c.Epochs)
	case !(c.Rate >= 0) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("warmup.rate: %g is not 0 or more", c.Rate)
	case c.BatchSize <= 0:
		return fmt.Errorf("warmup.batch_size: %d is not positive", c.BatchSize)
	case c.Best != BestLoss && c.Best != BestAccuracy:
		return fmt.Errorf("warmup.best: %q is neither %s nor %s", c.Best, BestLoss, BestAccuracy)
	case c.AccuracyRows <= 0:
		return fmt.Errorf("warmup.accuracy_rows: %d is not positive", c.AccuracyRows)
	case c.ValidateSteps < 0:
		return fmt.Errorf("warmup.validate_steps: %d is below 0", c.ValidateSteps)
	case c.ValidationRows < 0:
		return fmt.Errorf("warmup.validation_rows: %d is below 0", c.ValidationRows)
	case c.CheckpointSteps < 0:
		return fmt.Errorf("warmup.checkpoint_steps: %d is below 0", c.CheckpointSteps)
	case c.Plateau < 0:
		return fmt.Errorf("warmup.plateau: %d is below 0", c.Plateau)
	}
	if err := c.Training(0, c.Tokens).Validate(); err != nil { // its error begins with the field
		return fmt.Errorf("warmup.%s", strings.TrimPrefix(err.Error(), "train: "))
	}
	return nil
}

// Training is the configuration of the trainer.
func (c Config) Training(seed uint64, tokens int) train.Config {
	t := train.Default()
	t.Rank, t.Alpha, t.Targets = c.Rank, c.Alpha, c.Targets
	t.WarmupRatio, t.Decay, t.Clip = c.WarmupRatio, c.Decay, c.Clip
	t.Tokens, t.Seed = tokens, seed
	return t
}
