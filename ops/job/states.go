package job

import (
	"context"
	"sync"

	"itool/ops/line"
)

// States remembers the last state that the keeper reported of each run. Safe for
// concurrent use.
type States struct {
	mu      sync.Mutex
	last    map[string]line.State
	changed chan struct{} // closed and replaced at every change
}

// NewStates makes an empty one. Give its Set to line.Keeper.Run.
func NewStates() *States {
	return &States{last: map[string]line.State{}, changed: make(chan struct{})}
}

// Set remembers a state and wakes those who wait.
func (s *States) Set(st line.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[st.Run] != st {
		s.last[st.Run] = st
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// Await returns once the run has ended or waits for a person.
func (s *States) Await(ctx context.Context, run string) (line.State, error) {
	for {
		s.mu.Lock()
		st, changed := s.last[run], s.changed
		s.mu.Unlock()
		if st.Ended || st.Stalled != "" {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-changed:
		}
	}
}
