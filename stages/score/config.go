package score

import "fmt"

// Orders of a reference's arguments.
const (
	Canonical = "canonical" // that of the tools' schemas
	Listed    = "listed"    // as the reference has them
)

// Config says what is measured.
type Config struct {
	// Arguments is the order in which a reference's arguments are scored: canonical, that of
	// the tools' schemas; listed, as the reference has them. Where authors list arguments in
	// any order, the perplexity of a listed reference measures the order. Training learns
	// references as they are.
	Arguments string `json:"arguments"`
	// Greedy has every example of the buffer answered greedily, too, in every round:
	// select.order errors needs it. An answer may have slightly more than twice the tokens of
	// the longest reference of its task; a longer one is wrong.
	Greedy bool `json:"greedy"`
	// Draws is the number of answers per example of the buffer that are drawn at temperature
	// 1 in every round, ≥ 0: select.order mixed needs 2 or more.
	Draws int `json:"draws"`
}

// Default scores the canonical order and asks for no answers.
func Default() Config { return Config{Arguments: Canonical} }

// Answers is the number of answers to every example of the buffer, in every round.
func (c Config) Answers() int {
	if c.Greedy {
		return c.Draws + 1
	}
	return c.Draws
}

// Validate names field, value and range.
func (c Config) Validate() error {
	switch {
	case c.Arguments != Canonical && c.Arguments != Listed:
		return fmt.Errorf("score.arguments: %q is neither %s nor %s", c.Arguments, Canonical, Listed)
	case c.Draws < 0:
		return fmt.Errorf("score.draws: %d is below 0", c.Draws)
	}
	return nil
}
