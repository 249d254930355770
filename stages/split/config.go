package split

import (
	"fmt"
	"slices"
	"strings"

	"itool/schemas/toolcall"
)

// Config is the stage's section of a run's configuration. The shares are of all
// examples; they are met on average, because whole tool sets fall to one side.
type Config struct {
	TestShare       float64  `json:"test_share"`       // held out, only evaluate reads it; 0..1
	ValidationShare float64  `json:"validation_share"` // for settings and the guard, never trained on; 0..1
	ReplayShare     float64  `json:"replay_share"`     // in the replay buffer of the rounds, drawn from what is left to train on; 0..1
	DataShare       float64  `json:"data_share"`       // of what is left to train on, the part that is used at all: the baselines with less data; > 0..1
	ShareSeed       uint64   `json:"share_seed"`       // another seed gives other shares of the same data
	TestFiles       []string `json:"test_files"`       // names of published files that are held out whole; the shares are of the others
	ValidationFiles []string `json:"validation_files"` // names of published files that are for validation whole
	CallFormat      string   `json:"call_format"`      // how answers write calls: auto (what the chat template asks for), pythonic [f(a=1)], hermes <tool_call>{…}</tool_call>, llama_json {"name": …}
	MaxTokens       int      `json:"max_tokens"`       // most tokens of prompt and answer, longer ones are dropped; ≥ 0, 0: the model's context
}

// Default is the paper's: 10 % validation, half of the whole to replay.
func Default() Config {
	return Config{ValidationShare: 0.1, ReplayShare: 0.5, DataShare: 1, ShareSeed: 1, CallFormat: Auto}
}

// Auto takes the call format from the chat template.
const Auto = "auto"

var callFormats = []string{Auto, string(toolcall.Pythonic), string(toolcall.Hermes), string(toolcall.LlamaJSON)}

// Validate names the field, the value and the range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"test_share", c.TestShare}, {"validation_share", c.ValidationShare}, {"replay_share", c.ReplayShare},
	} {
		if !(f.value >= 0 && f.value <= 1) {
			return fmt.Errorf("split.%s: %g is not within 0..1", f.name, f.value)
		}
	}
	left := 1 - c.TestShare - c.ValidationShare
	if left < 0 {
		return fmt.Errorf("split.validation_share: %g and test_share %g are more than 1 together", c.ValidationShare, c.TestShare)
	}
	if c.ReplayShare > left+1e-9 {
		return fmt.Errorf("split.replay_share: %g is not within 0..%g: validation_share %g and test_share %g leave no more", c.ReplayShare, left, c.ValidationShare, c.TestShare)
	}
	if !(c.DataShare > 0 && c.DataShare <= 1) {
		return fmt.Errorf("split.data_share: %g is not within 0..1, or 0", c.DataShare)
	}
	for _, name := range c.TestFiles {
		if slices.Contains(c.ValidationFiles, name) {
			return fmt.Errorf("split.test_files: %q is among validation_files too: what chooses settings is no test", name)
		}
	}
	if !slices.Contains(callFormats, c.CallFormat) {
		return fmt.Errorf("split.call_format: %q is none of %s", c.CallFormat, strings.Join(callFormats, ", "))
	}
	if c.MaxTokens < 0 {
		return fmt.Errorf("split.max_tokens: %d is below 0", c.MaxTokens)
	}
	return nil
}
