// Package filter turns a search tree into preference pairs.
//
// One candidate tree comes in, one batch of pairs goes out. Every node at which at
// least two continuations were followed to the end gives one row: the best child
// against the worst, and the reason if that pair is not worth training on. In mode
// fragment these are the children between which the reference decides. rules.go
// holds the rules; tree.go checks the rows of a tree and reads it.
//
// It needs no weights, since the tree carries token ids, text and reference. Rows that are not
// one tree are rejected.
package filter

import (
	"context"
	"crypto/sha256"
	"fmt"

	"itool/schemas"
	"itool/stages"
)

// Stage has no state.
type Stage struct{}

// New makes the stage.
func New() *Stage { return &Stage{} }

var _ stages.Stage = (*Stage)(nil)

// Spec implements stages.Stage: each tree is an item.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "filter", Wakes: schemas.RecordCandidate, Reads: schemas.Candidate{}.Schema(),
		Writes: schemas.RecordPair, Schema: schemas.Pair{}.Schema(), NoPolicy: true,
	}
}

// Process answers a tree with its pairs. A tree without a branching node gives an
// empty batch, which is a result as well.
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
		// In the worker both come from one header and cannot differ. There the update
		// stage compares the pairs' policy with the round's.
		foreign := in.PolicyDigest != "" && b.Header.Policy != "" && b.Header.Policy != in.PolicyDigest
		made, err := cfg.pairs(ctx, rows, foreign)
		if err != nil {
			return err
		}
		pairs = append(pairs, made...)
	}
	return stages.Result(in, out, pairs)
}

// maxIDs bounds the token ids of one tree's kept pairs. Each pair repeats its prompt,
// so a deep tree of unknown origin could otherwise fill the memory.
const maxIDs = 32 << 20

// pairs gives one row for every branching node, in node order. Only kept rows carry
// token ids; for the others they can be found in the stored tree.
func (c Config) pairs(ctx context.Context, rows []schemas.Candidate, foreign bool) ([]schemas.Pair, error) {
	t, err := newTree(rows)
	if err != nil {
		return nil, stages.Reject(fmt.Errorf("filter: candidate tree: %w", err))
	}
	var pairs []schemas.Pair
	inForce, inOther, ids := seen{}, seen{}, 0
	for node := range rows {
		if err := ctx.Err(); err != nil { // an edit distance can take long
			return nil, err
		}
		sides := t.sides(node, c.Unfinished)
		if len(sides) < 2 {
			continue
		}
		p := c.pair(t, node, sides, foreign)
		key := p.Identity()
		p.Reason, p.OtherMode = inForce.first(key, p.Reason), inOther.first(key, p.OtherMode)
		if p.Reason != string(Kept) {
			p.PromptIDs, p.ChosenIDs, p.RejectedIDs = nil, nil, nil
		}
		if ids += len(p.PromptIDs) + len(p.ChosenIDs) + len(p.RejectedIDs); ids > maxIDs {
			err := fmt.Errorf("filter: candidate tree: its pairs hold more than %d token ids", maxIDs)
			return nil, stages.Reject(err)
		}
		pairs = append(pairs, p)
	}
	return pairs, ctx.Err()
}

// seen holds the pairs that one mode has kept so far.
type seen map[[sha256.Size]byte]bool

// first returns the reason of a pair, which is Duplicate if the mode has kept the same
// pair before.
func (s seen) first(key [sha256.Size]byte, reason string) string {
	if reason == string(Kept) && s[key] {
		return string(Duplicate)
	}
	s[key] = s[key] || reason == string(Kept)
	return reason
}

// pair judges one branching node. Of its children the best by Q stands against the worst; in mode fragment,
// those between which the reference decides. The common prefix of the fragments becomes part of the
// prompt: on both sides of a loss it would add weight without a difference. The end of
// the turn needs no care, because only a terminal fragment holds it.
func (c Config) pair(t *tree, node int, sides []int, foreign bool) schemas.Pair {
	prompt, text := t.path(node)
	best, worst := t.ends(sides)
	if c.Mode == ModeFragment {
		if a, b, ok := t.decided(text, sides); ok {
			best, worst = a, b
		}
	}
	chosen, rejected, kind := t.side(best), t.side(worst), t.kind(text, best, worst)
	reason, similarity := c.judge(text, len(prompt), chosen, rejected)
	if foreign {
		reason = ForeignPolicy
	}
	otherMode := reason
	if reason == Kept {
		reason = c.accept(c.Mode, kind, chosen, rejected)
		otherMode = c.accept(other(c.Mode), kind, chosen, rejected)
	}
	if reason == Undecided && t.exam == nil {
		reason = NoReference
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
		Kind:         string(kind),
		Proven:       proven(chosen, rejected),
	}
}
