package split

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// Config is the stage's section of a run's configuration. The shares are of all examples.
// They are met on average, because a whole tool set goes to one part.
type Config struct {
	TestShare       float64 `json:"test_share"`       // held out, read only by evaluate; 0..1
	ValidationShare float64 `json:"validation_share"` // for measurements and the guard, never trained on; 0..1
	ReplayShare     float64 `json:"replay_share"`     // in the rounds' replay buffer, from the training part; 0..1
	// DataShare is the share of the training part that is used at all, for baselines with
	// less data; > 0..1.
	DataShare float64 `json:"data_share"`
	ShareSeed uint64  `json:"share_seed"` // another seed gives other shares of the same data
	// TestFiles and ValidationFiles name published files that are wholly test or validation.
	// The shares are of the other files.
	TestFiles       []string `json:"test_files"`
	ValidationFiles []string `json:"validation_files"`
	// Weights are of published files by name, 1 where none stands: {"a.jsonl": 2.5} takes each
	// training example of that file twice, and a half of them, drawn by share_seed, once more;
	// > 0..100.
	Weights map[string]float64 `json:"weights"`
	// CallFormat is how answers write calls: auto (what the chat template asks for),
	// pythonic [f(a=1)], hermes <tool_call>{…}</tool_call> or llama_json {"name": …}.
	CallFormat string `json:"call_format"`
	// ToolsIn is where prompts have the tools: template (where the chat template writes them), or system (in the
	// system message, for templates that leave tools out; the run's base gets a chat template that does so).
	ToolsIn string `json:"tools_in"`
	// FormatText replaces the passage of a dataset's system text that dictates another form of calls than the one
	// that is learnt, such as ToolACE's "Put it in the format of […]".
	FormatText string `json:"format_text"`
	// Turns says which turns of the assistant are learnt: all, or last (of each conversation). Turns that the
	// dataset marks with weight, train or loss 0 are never learnt. The others stay in the prompts.
	Turns string `json:"turns"`
	// Reasoning says what becomes of <think>…</think> and reasoning_content: keep (it is learnt and stays in the
	// prompts), drop, or refuse (the turn and those behind it are dropped).
	Reasoning string `json:"reasoning"`
	// Columns names the keys and speakers of files that call them otherwise, as LLaMA-Factory's dataset_info.json
	// does: messages, system, tools, role_tag, content_tag, user_tag, assistant_tag, observation_tag,
	// function_tag, system_tag.
	Columns map[string]string `json:"columns"`
	// IgnoreKeys are keys that say nothing in these files, though they refuse a row elsewhere. Where a key of the same
	// name is read, such as tool_calls of a turn, it is read nevertheless.
	IgnoreKeys []string `json:"ignore_keys"`
	// Exclude names rows that are left out: [{"source": "a.jsonl", "row": 12, "turn": 0, "question": "…"}]. Without
	// turn all turns of the row are; a row that asks another question stays. --exclude FILE fills it from a file.
	Exclude []Exclusion `json:"exclude"`

	MaxTokens int `json:"max_tokens"` // of prompt and answer, longer ones are dropped; ≥ 0, 0: the model's context
}

// Default is the paper's: 10 % validation, half of the whole to replay.
func Default() Config {
	return Config{
		ValidationShare: 0.1, ReplayShare: 0.5, DataShare: 1, ShareSeed: 1, CallFormat: Auto,
		ToolsIn: ToolsInTemplate, FormatText: "Write calls in the form that you are given for them.",
		Turns: AllTurns, Reasoning: KeepReasoning,
	}
}

// maxWeight bounds how often an example is repeated.
const maxWeight = 100

// Values of Config.Turns.
const (
	AllTurns = "all"
	LastTurn = "last"
)

// Options are what the settings say about reading files.
func (c Config) Options() format.Options {
	return format.Options{Columns: c.Columns, Ignore: c.IgnoreKeys}
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
		return fmt.Errorf("split.validation_share: %g and test_share %g are more than 1 together",
			c.ValidationShare, c.TestShare)
	}
	if c.ReplayShare > left+1e-9 {
		return fmt.Errorf("split.replay_share: %g is not within 0..%g: "+
			"validation_share %g and test_share %g leave no more", c.ReplayShare, left, c.ValidationShare, c.TestShare)
	}
	if !(c.DataShare > 0 && c.DataShare <= 1) {
		return fmt.Errorf("split.data_share: %g is not within 0..1, or 0", c.DataShare)
	}
	for _, name := range c.TestFiles {
		if slices.Contains(c.ValidationFiles, name) {
			return fmt.Errorf("split.test_files: %q is among validation_files too: "+
				"a file that chooses settings cannot test them", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Weights)) {
		if w := c.Weights[name]; !(w > 0 && w <= maxWeight) {
			return fmt.Errorf("split.weights: %g of %q is not within 0..%d, or 0", w, name, maxWeight)
		}
	}
	if !slices.Contains(callFormats, c.CallFormat) {
		return fmt.Errorf("split.call_format: %q is none of %s", c.CallFormat, strings.Join(callFormats, ", "))
	}
	if c.ToolsIn != ToolsInTemplate && c.ToolsIn != ToolsInSystem {
		return fmt.Errorf("split.tools_in: %q is none of %s, %s", c.ToolsIn, ToolsInTemplate, ToolsInSystem)
	}
	if err := c.validateReading(); err != nil {
		return err
	}
	if c.MaxTokens < 0 {
		return fmt.Errorf("split.max_tokens: %d is below 0", c.MaxTokens)
	}
	return nil
}

// validateReading checks what says how rows are read.
func (c Config) validateReading() error {
	for _, choice := range []struct {
		name, value string
		known       []string
	}{
		{"turns", c.Turns, []string{AllTurns, LastTurn}},
		{"reasoning", c.Reasoning, []string{KeepReasoning, DropReasoning, RefuseReasoning}},
	} {
		if !slices.Contains(choice.known, choice.value) {
			return fmt.Errorf("split.%s: %q is none of %s", choice.name, choice.value, strings.Join(choice.known, ", "))
		}
	}
	for i, x := range c.Exclude {
		if err := x.Validate(); err != nil {
			return fmt.Errorf("split.exclude: entry %d: %w", i, err)
		}
	}
	if err := c.Options().Validate(); err != nil {
		return fmt.Errorf("split.columns: %w", err)
	}
	return nil
}
