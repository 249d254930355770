package policy

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"itool/stages/policy/kernel"
)

// continuousBatch implements continuous batching for the sessions of one policy: the rows of all
// sessions that decode at the same time go through the layers together, so that the weights are read
// once for all of them. A session joins between two tokens and leaves when its rows have ended.
//
// It has no goroutine of its own. One of the goroutines that want to decode is the leader: it decodes
// for all of them until its own rows have ended, and then hands over to the next one.
//
// A small model gains nothing from that: the processor's caches hold its weights anyway, and sharing a
// batch would only cost the threads their independence. There every session decodes separately.
type continuousBatch struct {
	separate bool

	drawing   atomic.Int32 // sessions that draw in the batch now
	mu        sync.Mutex
	hasLeader bool
	joining   []*decoder // since the last step

	// Used by the leader only.
	f       *forward
	running []*decoder
	trees   []treeRows
}

// processorCacheBytes is the size of weights up to which every session decodes separately. Measured with
// two threads, four rows a tree and weights in float32: with 3 MB of weights, together was 0.7 × as fast
// as apart, with two trees or eight; with 11 MB 0.9 (two trees) to 1.25 (eight); with 28 MB 0.9 to 1.5;
// with 55 MB 1.2 to 1.7.
const processorCacheBytes = 8 << 20

// signal tells a waiting goroutine why it was woken.
type signal int

const (
	signalDone signal = iota // its rows have ended
	signalLead               // it is the leader now
)

var errPanicked = errors.New("another draw of the same batch panicked (see there); try again")

// decode continues d's rows to their ends, or until d.err is set.
func (b *continuousBatch) decode(d *decoder) {
	if b.separate {
		own := continuousBatch{f: d.f, running: []*decoder{d}}
		for !d.done() {
			own.step()
		}
		return
	}
	b.drawing.Add(1)
	defer b.drawing.Add(-1)
	b.mu.Lock()
	b.joining = append(b.joining, d)
	first := !b.hasLeader
	b.hasLeader = true
	b.mu.Unlock()
	if first || <-d.signals == signalLead {
		b.lead(d)
	}
}

// lead decodes for all until d is done.
func (b *continuousBatch) lead(d *decoder) {
	if b.f == nil {
		b.f = newForward(d.p.model)
	}
	finished := false
	defer func() {
		if !finished { // a panic: it is unknown which rows have got their token
			b.removeDone(func(other *decoder) bool { other.err = errPanicked; return true }, d)
		}
		b.handOver()
	}()
	for !finished {
		b.step()
		finished = d.done()
		b.removeDone((*decoder).done, d)
	}
}

// removeDone removes the decoders that are done and wakes their goroutines, except the leader's.
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

// handOver makes the next decoder the leader, if there is one.
func (b *continuousBatch) handOver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.join()
	if b.hasLeader = len(b.running) > 0; b.hasLeader {
		b.running[0].signals <- signalLead
	}
}

// join adds the decoders that have arrived. The caller holds the lock.
func (b *continuousBatch) join() {
	b.running = append(b.running, b.joining...)
	clear(b.joining)
	b.joining = b.joining[:0]
}

// step draws one token for every row. A failure of the device ends all decoders.
func (b *continuousBatch) step() {
	b.mu.Lock()
	b.join()
	b.mu.Unlock()
	defer clear(b.trees) // so that a session that has left can be collected
	if err := b.compute(); err != nil {
		for _, d := range b.running {
			d.err = err
		}
	}
}

// compute runs the layers and the head. A token that several rows share, or that was computed before, goes
// through no layer again.
func (b *continuousBatch) compute() (err error) {
	defer kernel.Catch(&err)
	f := b.f
	f.ids.Host, f.picks, b.trees = f.ids.Host[:0], f.picks[:0], b.trees[:0]
	heads := 0
	for _, d := range b.running {
		if d.err = d.extend(); d.err != nil {
			continue
		}
		if len(d.fresh) > 0 {
			b.trees = append(b.trees, treeRows{&d.cache, d.paths})
		}
		for _, n := range d.fresh {
			f.ids.Host = append(f.ids.Host, d.drawn.nodes[n].token)
		}
		f.picks = d.ask(f.picks, heads)
		heads += len(d.heads.Host)
	}
	if heads == 0 {
		return nil
	}
	if len(f.ids.Host) > 0 {
		f.treeDecode(b.trees...)
	}
	b.gather(heads)
	f.answer()
	for _, d := range b.running {
		for i := range d.rows {
			d.take(i, f.picks)
		}
	}
	return nil
}

// gather keeps the residual stream of the tokens that the step has computed, and collects in f.x that of
// all rows of the head.
func (b *continuousBatch) gather(heads int) {
	f, c, at := b.f, b.f.m.HiddenSize, 0
	for _, d := range b.running {
		if n := len(d.fresh); d.err == nil && n > 0 { // nodes are numbered in the order in which they were added
			f.d.Copy(d.drawn.rows(d.fresh[0], n), f.x.Slice(at, at+n*c))
			at += n * c
		}
	}
	f.size(heads)
	at = 0
	for _, d := range b.running {
		if d.err == nil {
			f.d.Send(&d.heads)
			f.d.GatherRows(f.x.From(at), d.drawn.hidden, d.heads, c)
			at += len(d.heads.Host) * c
		}
	}
}
