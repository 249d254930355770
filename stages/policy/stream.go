package policy

import (
	"context"
	"sync"

	"itool/stages/policy/sample"
)

// Token is one token of a stream.
type Token struct {
	ID      int32
	LogProb float64 // nats, raw: temperature 1, nothing cut
	Top     []Alternative
	Of      []float64 // log-probabilities in nats of Request.Of in this token's place
}

// Alternative is a likely token in a token's place.
type Alternative = sample.Alternative

// Stream is a request that waits or runs in a Batcher. One goroutine reads its tokens with Next.
type Stream struct {
	ctx       context.Context
	prompt    []int32
	req       Request
	top       int
	maxTokens int // that it may need, prompt included

	// Used by Run only.
	row       row
	computed  int      // tokens of the prompt
	prefilled bool     // all tokens of the prompt but the last are computed
	allowed   []uint64 // what the request's constraint allows in this step
	failed    error

	mu     sync.Mutex
	tokens []Token
	cached int
	reason Reason
	err    error         // why it ended early; io.EOF: it did not
	change chan struct{} // something above is new; buffered, so that one wake-up stays
	read   int
}

// Next waits for the next token. After the last one it returns io.EOF. Any other error says why the
// stream ended early.
func (s *Stream) Next() (Token, error) {
	for {
		s.mu.Lock()
		if s.read < len(s.tokens) {
			s.read++
			t := s.tokens[s.read-1]
			s.mu.Unlock()
			return t, nil
		}
		err := s.err
		s.mu.Unlock()
		if err != nil {
			return Token{}, err
		}
		<-s.change
	}
}

// Reason says why the stream ended, once Next has returned io.EOF.
func (s *Stream) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Cached is the number of the prompt's tokens that came from the prefix cache, once Next has returned.
func (s *Stream) Cached() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cached
}

// publish changes what Next and the other methods read, and wakes Next.
func (s *Stream) publish(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// alignTop gives the token the same log-probability among its alternatives, to the last bit.
func (t *Token) alignTop() {
	for i := range t.Top {
		if t.Top[i].ID == t.ID {
			t.Top[i].LogProb = t.LogProb
		}
	}
}
