package filter

import "fmt"

// Config is the stage's section of a run's configuration.
type Config struct {
	Similarity     float64 `json:"similarity"`       // drop pairs above it; 1 − normalised token edit distance, 0..1
	MinQDifference float64 `json:"min_q_difference"` // least chosen Q − rejected Q, ≥ 0
	MinChosenQ     float64 `json:"min_chosen_q"`     // least chosen Q in mode paper; any number

	// Mode is how a pair is accepted:
	//   - "proven": an answer below the chosen side passes, none below the rejected one
	//   - "paper": by Q alone
	//   - "fragment": the reference agrees with the chosen fragment and contradicts the rejected one, or the
	//     pair is proven
	Mode string `json:"mode"`

	Unfinished bool `json:"unfinished"` // take sides, too, below which no answer has come to its end
	MaxTokens  int  `json:"max_tokens"` // most tokens of prompt and longer side, ≥ 0; 0: no limit
}

// Default are the paper's bounds and our acceptance mode.
func Default() Config {
	return Config{Similarity: 0.95, MinQDifference: 0.1, MinChosenQ: 0.3, Mode: ModeProven}
}

// Validate names the field, the value and the range.
func (c Config) Validate() error {
	switch {
	case !(c.Similarity >= 0 && c.Similarity <= 1):
		return fmt.Errorf("filter.similarity: %g is not within 0..1", c.Similarity)
	case !(c.MinQDifference >= 0):
		return fmt.Errorf("filter.min_q_difference: %g is not 0 or more", c.MinQDifference)
	case c.MinChosenQ != c.MinChosenQ:
		return fmt.Errorf("filter.min_chosen_q: %g is not a number", c.MinChosenQ)
	case c.MaxTokens < 0:
		return fmt.Errorf("filter.max_tokens: %d is below 0", c.MaxTokens)
	case c.Mode != ModeProven && c.Mode != ModePaper && c.Mode != ModeFragment:
		return fmt.Errorf("filter.mode: %q is none of %s, %s, %s", c.Mode, ModeProven, ModePaper, ModeFragment)
	}
	return nil
}
