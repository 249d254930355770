package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"itool/stages/policy"
)

// Pool is some servers of one kind. Many goroutines may use it.
type Pool struct {
	Options
	addresses []*address

	mu      sync.Mutex
	changed chan struct{} // closed when an address has room again, and replaced
}

var _ policy.Servers = (*Pool)(nil)

// How many requests an address gets at a time, and how often one is tried. The limit follows the server: it grows by
// one for each round of answers, halves when the server refuses for lack of room, and shrinks when first tokens are
// late, which is how a queue looks from here (additive increase, multiplicative decrease).
const (
	firstLimit  = 8
	attempts    = 4  // of a request that fails
	busyTries   = 12 // of one that is refused for lack of room
	firstRest   = 250 * time.Millisecond
	lateFactor  = 8               // times the quickest first token …
	lateAtLeast = 2 * time.Second // … and at least this
)

// try calls f with an address until it succeeds, or cannot. Faults become *policy.ServerError.
func (p *Pool) try(ctx context.Context, f func(ctx context.Context, a *address, first func()) error) error {
	var failed error
	for failures, refused := 0, 0; failures < attempts && refused < busyTries; {
		a, err := p.acquire(ctx)
		if err != nil {
			return err
		}
		began, first := p.Clock(), time.Duration(0)
		err = f(ctx, a, func() {
			if first == 0 {
				first = p.Clock().Sub(began)
			}
		})
		p.release(a, err, first)
		if err == nil || ctx.Err() != nil || errors.Is(err, policy.ErrCannot) {
			return err
		}
		var why *fault
		if !errors.As(err, &why) {
			return err
		}
		if why.busy {
			refused++
		} else {
			failures++
		}
		failed = &policy.ServerError{What: a.url, Err: why}
		if !why.again && !why.gone {
			return failed
		}
	}
	return failed
}

// acquire waits for room at an address, and takes it at the one with the most.
func (p *Pool) acquire(ctx context.Context) (*address, error) {
	for {
		p.mu.Lock()
		a, rest := p.best(p.Clock())
		if a != nil {
			a.inFlight++
			p.mu.Unlock()
			return a, nil
		}
		changed := p.changed
		p.mu.Unlock()
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// best is the address with the most room, or nil and the time until one may have some.
func (p *Pool) best(now time.Time) (best *address, rest time.Duration) {
	rest = longestWait
	most := 0.0
	for _, a := range p.addresses {
		if wait := a.rests.Sub(now); wait > 0 {
			rest = min(rest, wait)
			continue
		}
		if room := 1 - float64(a.inFlight)/max(1, float64(int(a.limit))); room > most {
			best, most = a, room
		}
	}
	return best, rest
}

// release gives the room back, and learns from how the request went. first is the time to the first token, or 0.
func (p *Pool) release(a *address, err error, first time.Duration) {
	var why *fault
	errors.As(err, &why)
	p.mu.Lock()
	defer p.mu.Unlock()
	a.inFlight--
	switch {
	case err == nil:
		a.failures = 0
		a.learn(first, float64(p.AtOnce))
	case why == nil:
	case (why.busy || why.away) && p.Clock().After(a.rests): // those that failed with another one count once
		p.rest(a, why)
	}
	if why != nil && why.away {
		go a.forget() // not under this lock: a probe may hold the other one
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// rest gives an address a pause, which doubles with each further failure.
func (p *Pool) rest(a *address, why *fault) {
	if why.busy {
		a.limit = max(1, a.limit/2)
	}
	pause := max(min(firstRest<<min(a.failures, 10), longestWait), why.wait)
	a.failures++
	a.rests = p.Clock().Add(pause)
	p.Log.Warn("engine", "address", a.url, "error", why.text, "again in", pause)
}

// learn moves the limit after an answer.
func (a *address) learn(first time.Duration, most float64) {
	if first > 0 && (a.quickest == 0 || first < a.quickest) {
		a.quickest = first
	}
	if first > max(lateAtLeast, lateFactor*a.quickest) {
		a.limit = max(1, 0.95*a.limit)
		return
	}
	a.limit = min(most, a.limit+1/a.limit)
}
