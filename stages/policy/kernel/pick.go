package kernel

import "itool/stages/policy/sample"

// Pick asks what follows a row of x, and receives it.
type Pick struct {
	Row      int             // of x
	Settings sample.Settings // how ID is drawn
	U        float64         // in [0, 1): the random number to draw ID with; not read when greedy
	Allowed  []uint64        // the tokens that ID may be, as sample.Logits.PickAllowed wants them; nil: all
	Of       []int32         // tokens whose log-probabilities are asked
	Top      int             // number of likeliest tokens asked

	ID        int32                // drawn; −1: Allowed is empty
	LogProb   float64              // of ID in nats, raw: temperature 1, nothing cut. Not finite: the logits are broken
	LogProbs  []float64            // of the tokens of Of, in nats, raw; the caller makes it as long
	Likeliest []sample.Alternative // Top of them, likeliest first
}

// From fills in the results from a row of logits in the memory of the host.
func (p *Pick) From(l *sample.Logits) {
	if p.Allowed == nil {
		p.ID, p.LogProb = l.Pick(p.Settings, p.U)
	} else {
		p.ID, p.LogProb = l.PickAllowed(p.Allowed, p.Settings, p.U)
	}
	for i, id := range p.Of {
		p.LogProbs[i] = l.LogProb(id)
	}
	p.Likeliest = l.Likeliest(p.Top)
}
