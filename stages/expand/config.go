package expand

import (
	"fmt"

	"itool/stages/expand/search"
)

// Presets of this stage alone; a run's preset sets filter and update with it. Samples is the
// paper's baseline without MCTS: of four answers the likeliest is preferred to the least likely.
// It needs filter.mode paper with min_chosen_q and min_q_difference 0, because its Q is the
// probability of the answer, which is tiny, and not a measure of success.
//
// BestOfN is rejection sampling, the rival that has the same verifier and no search: width whole
// answers, whose Q is their outcome. With filter.mode proven and update.loss chosen_only it is
// fine-tuning on right answers of one's own.
const (
	PresetPaper   = "paper"
	PresetSamples = "samples"
	PresetBestOfN = "best_of_n"
)

// Outcomes. Graded is partial credit by [judge.Examiner.Graded].
const (
	OutcomeStrict = "strict"
	OutcomeGraded = "graded"
)

// Config sets one tree.
type Config struct {
	// Preset is "" or one of:
	//   - "paper": the shallow trees of the authors' script; overrides the fields of the search
	//   - "samples": no search, but width whole answers; Q is their probability
	//   - "best_of_n": the same, but Q is their outcome
	Preset      string  `json:"preset"`
	Width       int     `json:"width"`       // most children of a node, 1..64
	Iterations  int     `json:"iterations"`  // 0 = max(8, 2 × the reference's fragments)
	C           float64 `json:"c"`           // weight of exploration in Eq. 5, ≥ 0
	Gamma       float64 `json:"gamma"`       // discount γ of Eq. 9, 0..1
	Depth       int     `json:"depth"`       // nodes this many fragments deep do not branch, 0 = no limit
	Simulation  int     `json:"simulation"`  // most fragments of a roll-out, 0 = to the end of the answer
	Leaves      int     `json:"leaves"`      // to expand at the same time, 1..64: faster, but another tree than with 1
	Temperature float64 `json:"temperature"` // to sample at, > 0

	RaisedTemperature float64 `json:"raised_temperature"` // … if fragments are too alike, > 0
	MinDistinct       float64 `json:"min_distinct"`       // distinct fragments per expansion that are enough, 0 = any
	Coverage          float64 `json:"coverage"`           // probability that ends the draws at a node, 0..1, 0 = no end

	Patience        int `json:"patience"`          // iterations without a change before an early stop, 0 = never
	TokenBudget     int `json:"token_budget"`      // sampled tokens per tree, 0 = no budget
	Answers         int `json:"answers,omitempty"` // judged answers that end the search of a tree, 0 = no limit
	MaxAnswerTokens int `json:"max_answer_tokens"` // longer answers are cut and fail; > 0; raised to the reference

	// Outcome is O of Eq. 6 at the end of an answer, either
	//   - "strict": +1 if it passes, else −1, or
	//   - "graded": +1 if it passes, else −1 to below +1 by what it has of the reference's calls
	Outcome string `json:"outcome"`

	SelfEvalReference bool `json:"self_eval_reference"` // show the reference to the self-evaluation
}

// Default is what the paper and the design say, except for Coverage: on the quick demo
// it saves 15 % of the search's time and keeps the pairs (162 instead of 163).
func Default() Config {
	p := search.Default()
	return Config{
		Width: 4, Leaves: 1, C: 1, Gamma: 1, Temperature: 1, RaisedTemperature: 1.3, MinDistinct: 2, Coverage: 0.99,
		Patience: p.Patience, TokenBudget: 8192, MaxAnswerTokens: 256, Outcome: OutcomeStrict,
		SelfEvalReference: true,
	}
}

// Validate names field, value and range.
func (c Config) Validate() error {
	if c.Preset != "" && c.Preset != PresetPaper && !c.whole() {
		return fmt.Errorf("expand.preset: %q is neither empty nor %s, %s or %s", c.Preset, PresetPaper,
			PresetSamples, PresetBestOfN)
	}
	if c.Outcome != OutcomeStrict && c.Outcome != OutcomeGraded {
		return fmt.Errorf("expand.outcome: %q is neither %s nor %s", c.Outcome, OutcomeStrict, OutcomeGraded)
	}
	if c.MaxAnswerTokens <= 0 {
		return fmt.Errorf("expand.max_answer_tokens: %d is not positive", c.MaxAnswerTokens)
	}
	if c.Iterations < 0 {
		return fmt.Errorf("expand.iterations: %d is below 0", c.Iterations)
	}
	if err := c.params(1, 0).Validate(); err != nil {
		return fmt.Errorf("expand: %w", err)
	}
	return nil
}

// whole reports whether answers are drawn whole, without a search.
func (c Config) whole() bool { return c.Preset == PresetSamples || c.Preset == PresetBestOfN }

// params are the settings of the search; fragments are those of the reference.
func (c Config) params(fragments int, seed uint64) search.Params {
	switch c.Preset {
	case PresetPaper:
		p := search.Paper()
		p.Seed = seed
		return p
	case PresetSamples, PresetBestOfN: // each of the width draws is a whole answer
		return search.Params{Width: c.Width, Iterations: 1, DrawsPerChild: 1, Temperature: c.Temperature, Seed: seed}
	}
	p := search.Default()
	p.Width, p.Leaves, p.C, p.Gamma = c.Width, c.Leaves, c.C, c.Gamma
	p.MaxDepth, p.Simulation = c.Depth, c.Simulation
	p.Temperature, p.RaisedTemperature, p.MinDistinct = c.Temperature, c.RaisedTemperature, c.MinDistinct
	p.Coverage, p.Patience, p.TokenBudget, p.Answers = c.Coverage, c.Patience, c.TokenBudget, c.Answers
	p.Seed = seed
	if p.Iterations = c.Iterations; p.Iterations == 0 {
		p.Iterations = max(8, 2*fragments)
	}
	return p
}
