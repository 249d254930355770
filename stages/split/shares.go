package split

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/split/format"
)

// Hashes decide an example's part, not counts. So a shard does not depend on the others,
// and the order of the dataset and its cut into shards do not matter. The hash is of the
// tool set, so that no tool set is in two parts, unless the configuration names a whole
// file as held out. The replay buffer is drawn by example.

func (c Config) part(file, group string) string {
	switch {
	case slices.Contains(c.TestFiles, file):
		return schemas.PartTest
	case slices.Contains(c.ValidationFiles, file):
		return schemas.PartValidation
	}
	switch u := unit(c.ShareSeed, "part", group); {
	case u < c.TestShare:
		return schemas.PartTest
	case u < c.TestShare+c.ValidationShare:
		return schemas.PartValidation
	}
	return schemas.PartTrain
}

// replay draws from the training part, at the rate that gives ReplayShare of all examples.
func (c Config) replay(identity string) bool {
	left := 1 - c.TestShare - c.ValidationShare
	return left > 0 && unit(c.ShareSeed, "replay", identity) < c.ReplayShare/left
}

// drawn reports whether a training example is used at all. A smaller share is a subset of
// a larger one, and the held-out parts do not change.
func (c Config) drawn(identity string) bool {
	return unit(c.ShareSeed, "data", identity) < c.DataShare
}

// copies says how often a training example is taken: as often as the whole part of its file's
// weight says, and once more if it is drawn for the rest. A smaller weight below 1 gives a
// subset of a larger one.
func (c Config) copies(file, identity string) int {
	weight, ok := c.Weights[file]
	if !ok {
		return 1
	}
	n := int(weight)
	if unit(c.ShareSeed, "weight", identity) < weight-float64(n) {
		n++
	}
	return n
}

// unit maps a text evenly to [0, 1).
func unit(seed uint64, purpose, text string) float64 {
	return float64(stages.Seed(seed, purpose+"\x00"+text, 0)>>11) / (1 << 53)
}

// groupOf names a conversation's tool set. The order of the tools and of their fields does
// not matter. Conversations without tools are grouped by their first question.
func groupOf(tools json.RawMessage, messages []format.Message) string {
	var list []json.RawMessage
	if err := json.Unmarshal(tools, &list); err == nil && len(list) > 0 {
		names := make([]string, len(list))
		for i, tool := range list {
			names[i] = canonical(tool)
		}
		slices.Sort(names)
		return strings.Join(names, "\n")
	}
	for _, m := range messages {
		if m.Role == "user" {
			return "question: " + m.Content
		}
	}
	return ""
}

// canonical writes a tool as JSON with sorted keys and without an OpenAI wrapper.
func canonical(tool json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(tool))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(tool)
	}
	if wrapper, ok := v.(map[string]any); ok && wrapper["function"] != nil {
		v = wrapper["function"]
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(tool)
	}
	return string(text)
}
