package policy

import "itool/stages/policy/sample"

// This file has what a caller asks for and what it gets; decode.go does the work.

// Reason says why a draw ended.
type Reason string

// The reasons.
const (
	ReasonStop      Reason = "stop"        // Request.Stop returned true
	ReasonEndOfTurn Reason = "end-of-turn" // the model drew a token that ends an answer
	ReasonLength    Reason = "length"      // MaxTokens or the context length was reached
)

// Request asks for one continuation.
type Request struct {
	From        Branch
	Seed        uint64
	Temperature float64 // 1e-6..1e6; 0: greedy
	TopP        float64 // (0, 1); 0 or 1: all tokens
	TopK        int     // 0: all tokens
	MinP        float64 // [0, 1], relative to the likeliest token's probability; 0: all tokens
	MaxTokens   int     // 0: as many as the context allows
	// Stop is called after each token. True ends the draw, and that token is its last. nil: never.
	Stop func(id int32) bool
	// Done is called when the draw has ended, perhaps while others of the same call still run. It is not
	// called for a draw without tokens, or when the call fails. nil: never.
	Done func(d *Draw)
	// Constraint says what may be drawn (constrained decoding). nil: everything. Only a Batcher takes one.
	Constraint Constraint
	// Of are tokens whose log-probabilities come with each token that is drawn (Token.Of). Only a Batcher takes them.
	Of []int32
}

// Constraint restricts what one request draws. The engine calls Allowed before and Accept after each
// token, never both at once, but from changing goroutines.
type Constraint interface {
	// Allowed returns the set of tokens that may come next: bit id%64 of word id/64 stands for token id. It
	// must not be empty, and stays as it is until Accept. An error ends the request.
	Allowed() ([]uint64, error)
	// Accept gets the token that was drawn, which was allowed.
	Accept(id int32)
}

func (r *Request) settings() sample.Settings {
	return sample.Settings{Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, MinP: r.MinP}
}

// Draw is one sampled continuation.
type Draw struct {
	Tokens   []int32   // with the token that ended it; empty when the context was full already
	LogProbs []float32 // of each token in nats, raw: temperature 1, nothing cut
	End      Branch    // where another request may continue it
	Reason   Reason
}

// At is the place after the first n tokens of the draw, 1 ≤ n ≤ len(d.Tokens): another branch can go
// on there, and nothing is computed again. Like d.End it is valid until the session restarts.
func (d *Draw) At(n int) Branch {
	at := d.End // with its session and epoch
	keep := len(at.path) - (len(d.Tokens) - n)
	at.path, at.last = at.path[:keep:keep], d.Tokens[n-1]
	return at
}
