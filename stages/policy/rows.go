package policy

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// This file draws one token for each row of a step, for trees and for the server: a row asks, the device
// answers, and the row takes the token.

// row is a sequence that is being drawn.
type row struct {
	req     *Request
	request int     // index of a Draw's requests
	path    []int32 // cache slots of its tokens, the prompt's included
	last    int32   // the token after them, whose keys are not computed yet
	node    int32   // of the session's token tree: the token at the end of path, in a step
	pick    int     // in a step: its index in the forward pass's picks
	limit   int     // tokens that it may still draw
	sampler *sample.Sampler
	end     Reason // empty while it runs
}

// ask adds to picks what follows a row of the head. top is the number of likeliest tokens to return. allowed
// are the tokens that may be drawn; nil: all.
func (r *row) ask(picks []kernel.Pick, at, top int, allowed []uint64) []kernel.Pick {
	set := r.req.settings()
	r.pick = len(picks)
	pick := kernel.Pick{Row: at, Settings: set, U: r.sampler.Number(set), Top: top, Allowed: allowed, Of: r.req.Of}
	if len(pick.Of) > 0 {
		pick.LogProbs = make([]float64, len(pick.Of))
	}
	return append(picks, pick)
}

// take makes the token of a pick the row's last, and decides whether it ends the row. The error is of broken
// weights.
func (r *row) take(p *Policy, pick *kernel.Pick) error {
	if pick.LogProb-pick.LogProb != 0 {
		return fmt.Errorf("log-probability %v: the weights are broken, or overflow", pick.LogProb)
	}
	r.last = pick.ID
	r.limit--
	if r.req.Constraint != nil {
		r.req.Constraint.Accept(pick.ID)
	}
	switch {
	case p.IsEnd(pick.ID):
		r.end = ReasonEndOfTurn
	case r.req.Stop != nil && r.req.Stop(pick.ID):
		r.end = ReasonStop
	case r.limit == 0:
		r.end = ReasonLength
	}
	return nil
}
