package policy

import (
	"errors"
	"slices"
	"sync"
)

// continuousBatch is the sessions of one policy that draw at the same time: the rows of all of
// them go through the layers together, so that weights are read once for all trees. A
// session joins between two tokens and leaves when its rows have ended.
//
// There is no goroutine behind it: of those that want to draw, one leads, drawing for
// everyone, until its own rows have ended; then the next one does.
//
// A model whose weights the processor's caches hold gains nothing from that, and what
// threads gain by working on trees of their own would be lost: there every session draws
// for itself.
type continuousBatch struct {
	separate bool

	mu        sync.Mutex
	hasLeader bool
	joining   []*decoder // since the last step

	// Of who leads.
	f       *forward
	running []*decoder
	trees   []treeRows
	owners  []rowOwner
	pick    func(row int, logits []float32) // for the owner of a row
}

// processorCacheBytes is what a processor's caches hold. With two threads and four rows a tree, the weights in
// float32, together was 0.7 × as fast as apart at 3 MB, with two trees or eight; at 11 MB 0.9 (two) to
// 1.25 (eight); at 28 MB 0.9 to 1.5; at 55 MB 1.2 to 1.7.
const processorCacheBytes = 8 << 20

// rowOwner is a row of a pass: row i of a decoder.
type rowOwner struct {
	decoder *decoder
	row     int
}

// signal is what a goroutine is woken for.
type signal int

const (
	signalDone signal = iota
	signalLead
)

var errPanicked = errors.New("a draw beside this one panicked (see there); try again")

// decode continues d's rows to their ends, or until d.err is set.
func (b *continuousBatch) decode(d *decoder) {
	if b.separate {
		alone := continuousBatch{f: d.f, running: []*decoder{d}}
		alone.prepare()
		for !d.done() {
			alone.step()
		}
		return
	}
	b.mu.Lock()
	b.joining = append(b.joining, d)
	first := !b.hasLeader
	b.hasLeader = true
	b.mu.Unlock()
	if first || <-d.signals == signalLead {
		b.lead(d)
	}
}

// lead draws for everyone until d is done.
func (b *continuousBatch) lead(d *decoder) {
	if b.f == nil {
		b.f = &forward{m: d.p.model, d: d.p.model.Device}
	}
	b.prepare()
	whole := false
	defer func() {
		if !whole { // a panic: nobody knows which rows have their token
			b.removeDone(func(other *decoder) bool { other.err = errPanicked; return true }, d)
		}
		b.handOver()
	}()
	for !whole {
		b.step()
		whole = d.done()
		b.removeDone((*decoder).done, d)
	}
}

// removeDone removes those that are done and wakes them, but for who leads.
func (b *continuousBatch) removeDone(done func(*decoder) bool, leader *decoder) {
	b.running = slices.DeleteFunc(b.running, func(d *decoder) bool {
		if !done(d) {
			return false
		}
		if d != leader {
			d.signals <- signalDone
		}
		return true
	})
}

// handOver lets the next one lead, if there is one.
func (b *continuousBatch) handOver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.join()
	if b.hasLeader = len(b.running) > 0; b.hasLeader {
		b.running[0].signals <- signalLead
	}
}

// join takes in who has arrived.
func (b *continuousBatch) join() {
	b.running = append(b.running, b.joining...)
	clear(b.joining)
	b.joining = b.joining[:0]
}

// step draws one token for every row.
func (b *continuousBatch) step() {
	b.mu.Lock()
	b.join()
	b.mu.Unlock()
	defer b.endStep()
	f := b.f
	f.ids, b.trees, b.owners = f.ids[:0], b.trees[:0], b.owners[:0]
	for _, d := range b.running {
		if d.err = d.extend(); d.err != nil {
			continue
		}
		b.trees = append(b.trees, treeRows{&d.cache, d.paths})
		for i := range d.rows {
			f.ids = append(f.ids, d.rows[i].last)
			b.owners = append(b.owners, rowOwner{d, i})
		}
	}
	if len(f.ids) == 0 {
		return
	}
	f.treeDecode(f.ids, b.trees...)
	f.eachRow(len(f.ids), b.pick)
	for _, at := range b.owners {
		at.decoder.take(at.row)
	}
}

// endStep drops what leads to the caches of sessions, which may go before the next step.
func (b *continuousBatch) endStep() {
	clear(b.trees)
	clear(b.owners)
}

// prepare makes pick, once: a closure would allocate in every step.
func (b *continuousBatch) prepare() {
	if b.pick == nil {
		b.pick = func(row int, logits []float32) {
			at := b.owners[row]
			at.decoder.pick(at.row, logits)
		}
	}
}
