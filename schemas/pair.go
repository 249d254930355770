package schemas

import (
	"crypto/sha256"
	"encoding/binary"
)

// Pair is two continuations of one prefix, or the reason why a branching node gave none.
// The prompt holds the conversation, the path to the node and what the two fragments have
// in common.
type Pair struct {
	ExampleID    string  `arrow:"example_id"`    // the example whose tree it comes from
	Node         int32   `arrow:"node"`          // the branching node in the candidate batch
	PromptIDs    []int32 `arrow:"prompt_ids"`    // token ids: conversation, path to the node, what both sides share
	ChosenIDs    []int32 `arrow:"chosen_ids"`    // token ids of the better side; only the two sides count in the loss
	RejectedIDs  []int32 `arrow:"rejected_ids"`  // token ids of the worse side
	ChosenText   string  `arrow:"chosen_text"`   // of chosen_ids, for people
	RejectedText string  `arrow:"rejected_text"` // of rejected_ids, for people
	ChosenQ      float64 `arrow:"chosen_q"`      // Q of the chosen child, Eq. 9
	RejectedQ    float64 `arrow:"rejected_q"`    // Q of the rejected child
	Similarity   float64 `arrow:"similarity"`    // 1 − normalised token edit distance of the whole fragments
	Reason       string  `arrow:"reason"`        // "" = kept; else why it was dropped
	OtherMode    string  `arrow:"other_mode"`    // the reason that the other acceptance mode would give; for the report
	Kind         string  `arrow:"kind"`          // what the reference decides: value, parameter, tool, end, call or ""
	Proven       bool    `arrow:"proven"`        // an answer below the chosen side passes, none below the other
}

func (Pair) Schema() string { return "pair/v2" }

// Upgrade reads version 1.
func (Pair) Upgrade(b Batch) ([]Pair, error) {
	old, err := Decode[pairV1](b)
	if err != nil {
		return nil, err
	}
	rows := make([]Pair, len(old))
	for i, o := range old {
		rows[i] = Pair{
			ExampleID: o.ExampleID, Node: o.Node, PromptIDs: o.PromptIDs, ChosenIDs: o.ChosenIDs,
			RejectedIDs: o.RejectedIDs, ChosenText: o.ChosenText, RejectedText: o.RejectedText,
			ChosenQ: o.ChosenQ, RejectedQ: o.RejectedQ, Similarity: o.Similarity, Reason: o.Reason,
			OtherMode: o.OtherMode,
		}
	}
	return rows, nil
}

// pairV1 is the record before pairs said how they were decided.
type pairV1 struct {
	ExampleID    string  `arrow:"example_id"`
	Node         int32   `arrow:"node"`
	PromptIDs    []int32 `arrow:"prompt_ids"`
	ChosenIDs    []int32 `arrow:"chosen_ids"`
	RejectedIDs  []int32 `arrow:"rejected_ids"`
	ChosenText   string  `arrow:"chosen_text"`
	RejectedText string  `arrow:"rejected_text"`
	ChosenQ      float64 `arrow:"chosen_q"`
	RejectedQ    float64 `arrow:"rejected_q"`
	Similarity   float64 `arrow:"similarity"`
	Reason       string  `arrow:"reason"`
	OtherMode    string  `arrow:"other_mode"`
}

func (pairV1) Schema() string { return "pair/v1" }

// Identity is a digest of everything that training sees of a pair: two pairs with the
// same identity are duplicates.
func (p Pair) Identity() [sha256.Size]byte {
	var b []byte
	for _, ids := range [][]int32{p.PromptIDs, p.ChosenIDs, p.RejectedIDs} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
		for _, id := range ids {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return sha256.Sum256(b)
}
