package cpu

// A fork-join thread pool: a call is cut into parts, and threads take parts from an atomic counter. Helpers spin
// for some microseconds before they end.

import (
	"runtime"
	"sync/atomic"

	"itool/stages/policy/sample"
)

// task is a call cut into parts that may run in any order on any thread.
type task interface {
	part(i int, s *scratch)
}

// pool gives its threads to one call at a time. Between calls its helpers spin for a moment, because the
// next kernel follows within microseconds and waking a thread costs more than a small product; then they
// end. An idle pool has no goroutines and need not be closed.
type pool struct {
	helpers int           // threads besides the caller's
	alive   atomic.Int32  // helpers running
	busy    atomic.Bool   // a caller owns the fields below
	task    task          // valid while ticket has parts left or left > 0
	ticket  atomic.Uint64 // call number << 32 | parts not yet taken
	left    atomic.Int64  // parts not yet finished
	help    func()        // p.helper, bound once: go p.helper() would allocate
	scratch shelf[scratch]
}

const (
	smallWork = 300_000 // operations below which a second thread costs more than it brings
	spins     = 2_000   // attempts to find work before a helper ends: about 50 µs
)

func newPool(threads int) *pool {
	p := &pool{helpers: threads - 1}
	p.help = p.helper
	return p
}

// threads that may work on a call of that many operations.
func (p *pool) threads(work int) int {
	if work < smallWork {
		return 1
	}
	return p.helpers + 1
}

// run does all parts of t and returns when they are done. work is the number of
// arithmetic operations, roughly.
func (p *pool) run(parts, work int, t task) {
	if parts > 1 && p.threads(work) > 1 && p.busy.CompareAndSwap(false, true) {
		p.share(parts, t)
		p.busy.Store(false)
		return
	}
	s := p.scratch.take()
	for i := range parts {
		t.part(i, s)
	}
	p.scratch.put(s)
}

// share runs t on the pool, which the caller owns.
func (p *pool) share(parts int, t task) {
	p.task = t
	p.left.Store(int64(parts))
	call := p.ticket.Load()>>32 + 1
	p.ticket.Store(call<<32 | uint64(parts))
	for wanted := min(p.helpers, parts-1); int(p.alive.Load()) < wanted; {
		p.alive.Add(1)
		go p.help()
	}
	p.work()
	for p.left.Load() > 0 {
		runtime.Gosched()
	}
	p.task = nil
}

// helper works until it has found nothing for some microseconds.
func (p *pool) helper() {
	for idle := 0; idle < spins; idle++ {
		if p.work() {
			idle = 0
		}
		runtime.Gosched()
	}
	p.alive.Add(-1)
}

// work takes parts until none is left, and returns whether it found any. The ticket contains the number
// of the call, so that the exchange of a late helper fails: a thread that has won a part knows that the
// call cannot end before the part does.
func (p *pool) work() bool {
	var s *scratch
	for {
		ticket := p.ticket.Load()
		if ticket&0xffffffff == 0 {
			break
		}
		if !p.ticket.CompareAndSwap(ticket, ticket-1) {
			continue
		}
		if s == nil {
			s = p.scratch.take()
		}
		p.task.part(int(ticket&0xffffffff)-1, s)
		p.left.Add(-1)
	}
	if s == nil {
		return false
	}
	p.scratch.put(s)
	return true
}

// scratch is one thread's working memory; each buffer grows to its largest use.
type scratch struct {
	a, b, c, d, e, f []float32
	left, acc        []float32 // of a product in bf16 within something else
	path             []int64
	sums             []float64
	logits           sample.Logits
}

// grow returns n values of *buf, with undefined content, aligned to a cache line.
func grow(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = aligned(n)
	}
	return (*buf)[:n]
}
