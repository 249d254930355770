package train

import "itool/stages/policy/loss"

// Stats describes one optimiser step. Loss and Pairs are from before the step.
type Stats struct {
	Phase    string
	Step     int     // within the phase, from 0
	Loss     float64 // per token of the answers (sft) or per pair, in nats
	Units    int     // examples or pairs
	Tokens   int     // rows computed
	Batches  int     // micro-batches
	GradNorm float64 // before clipping
	Rate     float64

	Pairs PairStats // of preference losses
}

// PairStats are means over the pairs of a step. A falling Chosen is normal for a loss that depends only on
// the difference of the sides. If Margin does not rise at the same time, something is wrong.
type PairStats struct {
	Chosen, Rejected float64 // log-probability per token, in nats
	Margin           float64 // Chosen − Rejected
	// Accuracy is the share of pairs whose chosen side is ahead. With DPO and IPO both sides are measured
	// against the reference.
	Accuracy                     float64
	ChosenTokens, RejectedTokens float64 // lengths
}

// add adds the sums of a micro-batch.
func (s *Stats) add(g *graph, cfg loss.Config) {
	s.Tokens += g.rows.Len()
	s.Batches++
	for _, u := range g.plan.Units {
		s.Units++
		s.Loss += u.Loss / g.plan.Denominator
		if cfg.Kind == loss.SFT {
			continue
		}
		p := u.Pair
		nw, nl := float64(p.NChosen), float64(p.NRejected)
		s.Pairs.Chosen += p.Chosen / nw
		s.Pairs.Rejected += p.Rejected / nl
		s.Pairs.ChosenTokens += nw
		s.Pairs.RejectedTokens += nl
		if ahead(p, cfg.Kind) {
			s.Pairs.Accuracy++
		}
	}
}

// ahead tells whether the chosen side is the better one by the quantity that the loss compares.
func ahead(p loss.Pair, kind loss.Kind) bool {
	nw, nl := float64(p.NChosen), float64(p.NRejected)
	switch kind {
	case loss.DPO:
		return p.Chosen-p.RefChosen > p.Rejected-p.RefRejected
	case loss.IPO:
		return (p.Chosen-p.RefChosen)/nw > (p.Rejected-p.RefRejected)/nl
	}
	return p.Chosen/nw > p.Rejected/nl
}

// mean turns sums over n pairs into means.
func (s *Stats) mean(n int) {
	p := &s.Pairs
	for _, v := range []*float64{&p.Chosen, &p.Rejected, &p.Accuracy, &p.ChosenTokens, &p.RejectedTokens} {
		*v /= float64(n)
	}
	p.Margin = p.Chosen - p.Rejected
}
