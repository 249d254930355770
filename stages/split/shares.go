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

// Which part an example falls into is a matter of hashes, not of counting: a shard
// needs to know nothing of the others, and neither the order nor the cut of the
// dataset moves an example. The part is the tool set's, so that no tool set stands
// on two sides, unless a file is named to be held out; the replay buffer is drawn by
// example.

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

// replay draws from the training part so many that they are the share of the whole.
func (c Config) replay(identity string) bool {
	left := 1 - c.TestShare - c.ValidationShare
	return left > 0 && unit(c.ShareSeed, "replay", identity) < c.ReplayShare/left
}

// drawn says whether a training example is used at all. A smaller share is part of
// every larger one, and leaves what is held out as it is.
func (c Config) drawn(identity string) bool {
	return unit(c.ShareSeed, "data", identity) < c.DataShare
}

// unit maps a text to [0, 1), evenly.
func unit(seed uint64, purpose, text string) float64 {
	return float64(stages.Seed(seed, purpose+"\x00"+text, 0)>>11) / (1 << 53)
}

// groupOf names a conversation's tool set, whatever the order of the tools and of
// the fields in them. Conversations without tools share no tool set: there the
// first question is the group.
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

// canonical writes JSON with sorted keys. An OpenAI wrapper does not make another tool.
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
