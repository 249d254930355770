package policy

import (
	"errors"
	"slices"
	"sync"
)

// company is the sessions of one policy that draw at the same time: the rows of all of
// them go through the layers together, so that weights are read once for all trees. A
// session joins between two tokens and leaves when its rows have ended.
//
// There is no goroutine behind it: of those that want to draw, one leads, drawing for
// everyone, until its own rows have ended; then the next one does.
//
// A model whose weights the processor's caches hold gains nothing from that, and what
// threads gain by working on trees of their own would be lost: there every session draws
// for itself.
type company struct {
	cached bool

	mu      sync.Mutex
	led     bool
	arrived []*drawing // since the last step

	// Of who leads.
	f       *forward
	running []*drawing
	parts   []part
	owners  []place
	pick    func(row int, logits []float32) // for the owner of a row
}

// cachedBytes is what a processor's caches hold. With two threads and four rows a tree, the weights in
// float32, together was 0.7 × as fast as apart at 3 MB, with two trees or eight; at 11 MB 0.9 (two) to
// 1.25 (eight); at 28 MB 0.9 to 1.5; at 55 MB 1.2 to 1.7.
const cachedBytes = 8 << 20

// place is a row of a pass: row i of a drawing.
type place struct {
	of *drawing
	i  int
}

// turn is what a goroutine is woken for.
type turn int

const (
	toLeave turn = iota
	toLead
)

var errPanicked = errors.New("a draw beside this one panicked (see there); try again")

// draw continues d's rows to their ends, or until d.err is set.
func (c *company) draw(d *drawing) {
	if c.cached {
		alone := company{f: d.f, running: []*drawing{d}}
		alone.begin()
		for !d.done() {
			alone.step()
		}
		return
	}
	c.mu.Lock()
	c.arrived = append(c.arrived, d)
	first := !c.led
	c.led = true
	c.mu.Unlock()
	if first || <-d.turn == toLead {
		c.lead(d)
	}
}

// lead draws for everyone until d is done.
func (c *company) lead(d *drawing) {
	if c.f == nil {
		c.f = &forward{m: d.p.model, d: d.p.model.Device}
	}
	c.begin()
	whole := false
	defer func() {
		if !whole { // a panic: nobody knows which rows have their token
			c.leave(func(other *drawing) bool { other.err = errPanicked; return true }, d)
		}
		c.handOver()
	}()
	for !whole {
		c.step()
		whole = d.done()
		c.leave((*drawing).done, d)
	}
}

// leave removes those that are done and wakes them, but for who leads.
func (c *company) leave(done func(*drawing) bool, leader *drawing) {
	c.running = slices.DeleteFunc(c.running, func(d *drawing) bool {
		if !done(d) {
			return false
		}
		if d != leader {
			d.turn <- toLeave
		}
		return true
	})
}

// handOver lets the next one lead, if there is one.
func (c *company) handOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admit()
	if c.led = len(c.running) > 0; c.led {
		c.running[0].turn <- toLead
	}
}

// admit takes in who has arrived.
func (c *company) admit() {
	c.running = append(c.running, c.arrived...)
	clear(c.arrived)
	c.arrived = c.arrived[:0]
}

// step draws one token for every row.
func (c *company) step() {
	c.mu.Lock()
	c.admit()
	c.mu.Unlock()
	defer c.forget()
	f := c.f
	f.ids, c.parts, c.owners = f.ids[:0], c.parts[:0], c.owners[:0]
	for _, d := range c.running {
		if d.err = d.extend(); d.err != nil {
			continue
		}
		c.parts = append(c.parts, part{&d.cache, d.paths})
		for i := range d.rows {
			f.ids = append(f.ids, d.rows[i].last)
			c.owners = append(c.owners, place{d, i})
		}
	}
	if len(f.ids) == 0 {
		return
	}
	f.along(f.ids, c.parts...)
	f.eachRow(len(f.ids), c.pick)
	for _, at := range c.owners {
		at.of.take(at.i)
	}
}

// forget drops what leads to the caches of sessions, which may go before the next step.
func (c *company) forget() {
	clear(c.parts)
	clear(c.owners)
}

// begin makes pick, once: a closure would allocate in every step.
func (c *company) begin() {
	if c.pick == nil {
		c.pick = func(row int, logits []float32) {
			at := c.owners[row]
			at.of.pick(at.i, logits)
		}
	}
}
