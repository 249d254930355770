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
}

func (Pair) Schema() string { return "pair/v1" }

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
