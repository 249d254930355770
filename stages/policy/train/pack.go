package train

import (
	"math/rand/v2"

	"itool/stages/policy/op"
)

// This file chooses the order of the units (examples or pairs) and packs them into micro-batches (sequence
// packing).

// order is the order of a phase's units in one epoch. It reuses its memory.
type order struct {
	units []int // indices of the phase's examples or pairs
	drawn bool  // units is valid: it is the order of the epoch that the trainer's cursor is in
	pcg   rand.PCG
}

// draw makes the order of an epoch. It depends only on its arguments, so that a restored training draws the
// same order.
func (o *order) draw(p *Phase, seed uint64, phase, epoch int) {
	o.units, o.drawn = o.units[:0], true
	for i := range p.units() {
		o.units = append(o.units, i)
	}
	if p.Shuffle {
		o.pcg.Seed(seed, uint64(phase)<<32|uint64(epoch))
		rand.New(&o.pcg).Shuffle(len(o.units), func(i, j int) { o.units[i], o.units[j] = o.units[j], o.units[i] })
	}
}

// packer packs units into micro-batches, called bins here. It reuses its memory.
type packer struct {
	capacity int     // of a bin, in rows: Config.Tokens
	free     []int   // rows left in each bin
	used     [][]int // units of each bin
}

// bins packs the units in their order, each into the first bin with room for it (first fit). length is the
// number of rows of a unit. New and Loss have checked that no unit is longer than the capacity. The result is
// valid until the next call.
func (p *packer) bins(units []int, length func(int) int) [][]int {
	p.free = p.free[:0]
	for _, u := range units {
		n, b := length(u), 0
		for b < len(p.free) && p.free[b] < n {
			b++
		}
		if b == len(p.free) {
			p.free = append(p.free, p.capacity)
			if b == len(p.used) {
				p.used = append(p.used, nil)
			}
			p.used[b] = p.used[b][:0]
		}
		p.free[b] -= n
		p.used[b] = append(p.used[b], u)
	}
	return p.used[:len(p.free)]
}

// length is the number of rows that a unit takes in a micro-batch. A row is one token of the input.
func (p *Phase) length(unit int) int {
	if len(p.Pairs) > 0 {
		return PairRows(len(p.Pairs[unit].Prompt), len(p.Pairs[unit].Chosen), len(p.Pairs[unit].Rejected))
	}
	e := &p.Examples[unit]
	return len(e.Prompt) + len(e.Answer)
}

// PairRows is the number of rows that a pair takes in a micro-batch, which has Config.Tokens of them. The
// arguments are the numbers of tokens of the prompt and of the two answers. The prompt counts once, but its last
// token twice: both answers are predicted from it.
func PairRows(prompt, chosen, rejected int) int { return op.PairRows(prompt, chosen, rejected) }

// name is the name of a unit in errors.
func (p *Phase) name(unit int) string {
	if len(p.Pairs) > 0 {
		return "pair " + p.Pairs[unit].ID
	}
	return "example " + p.Examples[unit].ID
}

// targets is the number of an example's tokens that have a loss. Without a prompt the first token of the
// answer has none, since there is nothing to predict it from.
func (e *Example) targets() int {
	n := 0
	for i := range e.Answer {
		if e.learns(i) {
			n++
		}
	}
	return n
}

// learns tells whether token i of the answer has a loss. The first token of all has none.
func (e *Example) learns(i int) bool {
	return len(e.Prompt)+i > 0 && (e.Learn == nil || e.Learn[i])
}
