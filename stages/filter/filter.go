// Package filter turns a search tree into preference pairs.
//
// Every node at which two continuations were followed to the end gives one row:
// the best against the worst, or the reason why that pair is not worth training
// on. rules.go holds the rules, tree.go what a batch of nodes implies.
//
// It needs no weights: the tree carries token ids and text.
package filter

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"itool/schemas"
	"itool/stages"
)

// Stage has no state.
type Stage struct{}

// New makes the stage.
func New() *Stage { return &Stage{} }

var _ stages.Stage = (*Stage)(nil)

// Spec: each tree is filtered as soon as it is there.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "filter", Wakes: schemas.RecordCandidate, Reads: schemas.Candidate{}.Schema(),
		Writes: schemas.RecordPair, Schema: schemas.Pair{}.Schema(), NoPolicy: true,
	}
}

// Process answers a tree with its pairs; a tree that never branched gives an
// empty batch, which is a result, too.
func (*Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	var pairs []schemas.Pair
	for b, err := range in.Batches {
		if err != nil {
			return err
		}
		rows, err := schemas.Decode[schemas.Candidate](b)
		if err != nil {
			return stages.Reject(err)
		}
		// Where the runner takes both from one header they cannot differ; the update then
		// holds the round's pairs against the round's own policy.
		foreign := in.PolicyDigest != "" && b.Header.Policy != "" && b.Header.Policy != in.PolicyDigest
		made, err := cfg.pairs(ctx, rows, foreign)
		if err != nil {
			return err
		}
		pairs = append(pairs, made...)
	}
	return stages.Result(in, out, pairs)
}

// maxIDs bounds the token ids of one tree's kept pairs: each repeats its prompt,
// so that a deep tree from elsewhere could fill the memory.
const maxIDs = 32 << 20

// pairs gives one row for every branching node, in node order. Only kept rows
// carry token ids; of the others the stored tree knows more.
func (c Config) pairs(ctx context.Context, rows []schemas.Candidate, foreign bool) ([]schemas.Pair, error) {
	t, err := newTree(rows)
	if err != nil {
		return nil, stages.Reject(fmt.Errorf("filter: candidate tree: %w", err))
	}
	var pairs []schemas.Pair
	inForce, inOther, ids := seen{}, seen{}, 0
	for node := range rows {
		if err := ctx.Err(); err != nil { // an edit distance can take a while
			return nil, err
		}
		best, worst, ok := t.ends(node)
		if !ok {
			continue
		}
		p := c.pair(t, node, best, worst, foreign)
		key := identity(p)
		p.Reason, p.OtherMode = inForce.first(key, p.Reason), inOther.first(key, p.OtherMode)
		if p.Reason != string(Kept) {
			p.PromptIDs, p.ChosenIDs, p.RejectedIDs = nil, nil, nil
		}
		if ids += len(p.PromptIDs) + len(p.ChosenIDs) + len(p.RejectedIDs); ids > maxIDs {
			return nil, stages.Reject(fmt.Errorf("filter: candidate tree: its pairs hold more than %d token ids", maxIDs))
		}
		pairs = append(pairs, p)
	}
	return pairs, ctx.Err()
}

// seen holds the pairs that one mode has kept so far.
type seen map[[sha256.Size]byte]bool

func (s seen) first(key [sha256.Size]byte, reason string) string {
	if reason == string(Kept) && s[key] {
		return string(Duplicate)
	}
	s[key] = s[key] || reason == string(Kept)
	return reason
}

// pair judges one branching node. What the fragments have in common belongs to
// the prompt: on both sides of a loss it would carry weight where it cannot matter.
// End-of-turn needs no care, for only a terminal fragment holds it.
func (c Config) pair(t *tree, node, best, worst int, foreign bool) schemas.Pair {
	chosen, rejected := t.side(best), t.side(worst)
	prompt, text := t.path(node)
	reason, similarity := c.judge(text, len(prompt), chosen, rejected)
	if foreign {
		reason = ForeignPolicy
	}
	otherMode := reason
	if reason == Kept {
		reason, otherMode = c.accept(c.Mode, chosen, rejected), c.accept(other(c.Mode), chosen, rejected)
	}
	shared := commonPrefix(chosen.tokens, rejected.tokens)
	return schemas.Pair{
		ExampleID:    t.rows[0].ExampleID,
		Node:         int32(node),
		PromptIDs:    append(prompt, chosen.tokens[:shared]...),
		ChosenIDs:    chosen.tokens[shared:],
		RejectedIDs:  rejected.tokens[shared:],
		ChosenText:   chosen.text,
		RejectedText: rejected.text,
		ChosenQ:      chosen.q,
		RejectedQ:    rejected.q,
		Similarity:   similarity,
		Reason:       string(reason),
		OtherMode:    string(otherMode),
	}
}

// identity is a digest of all that training sees of a pair.
func identity(p schemas.Pair) [sha256.Size]byte {
	var b []byte
	for _, ids := range [][]int32{p.PromptIDs, p.ChosenIDs, p.RejectedIDs} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
		for _, id := range ids {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return sha256.Sum256(b)
}
