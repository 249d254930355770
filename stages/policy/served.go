package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sync"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// This file is about policies whose weights are in another process. The tokenizer and the chat template stay this
// process's: a server gets token IDs and returns token IDs. In a session the path of a branch holds tokens instead
// of cache slots, so branches of both kinds are used alike.

// Own is the kind of engine that computes in this process.
const Own = "own"

// Servers finds a server for a policy. Package remote implements it.
type Servers interface {
	// Serve returns a server that computes for p, a policy without weights, which is read from fsys. kind is what
	// the run's record names. It checks that the server has p's weights, adapter included. Errors are *ServerError.
	Serve(ctx context.Context, kind string, p *Policy, fsys fs.FS) (Server, error)
}

// Server is another process that has the weights of one policy. Many goroutines may use one. All that it returns
// is checked by its implementation: IDs are in the vocabulary, log-probabilities are finite and at most 0. Errors
// are *ServerError, the context's, or ErrCannot.
type Server interface {
	// Draw continues a prompt as req says (From, Stop and Done are not used), and calls token for each token, one
	// after the other. It ends when token returns false, which it does at the latest after req.MaxTokens. A
	// log-probability that the server does not say is NaN.
	Draw(ctx context.Context, prompt []int32, req Request, token func(Token) bool) error
	// Score is Policy.LogProbs for one sequence.
	Score(ctx context.Context, s Sequence) ([]float32, error)
	// Next returns the log-probability in nats of each of ids as the token after the prompt.
	Next(ctx context.Context, prompt []int32, ids []int32) ([]float32, error)
}

// ErrCannot says that a server has no way to compute this. The policy's weights in this process then do.
var ErrCannot = errors.New("the server cannot do this")

// ServerError says that a server did not do what was asked of it: it is not there, refuses, does not serve the
// policy, or returns what cannot be. What was asked is not at fault.
type ServerError struct {
	What string // says where, and what to do
	Err  error  // why, or nil
}

// Error names the engine.
func (e *ServerError) Error() string {
	if e.Err == nil {
		return "engine: " + e.What
	}
	return fmt.Sprintf("engine: %s: %v", e.What, e.Err)
}

// Unwrap returns the cause.
func (e *ServerError) Unwrap() error { return e.Err }

// Waiting is what an item waits for that has met this error. Workers hand the item back.
func (e *ServerError) Waiting() string { return e.Error() }

// serve opens a policy without its weights, and finds its server.
func (e *Engine) serve(ctx context.Context, kind, digest string, fsys fs.FS) (*Policy, error) {
	p, err := openServed(fsys, e.options)
	if err != nil {
		return nil, err
	}
	p.own = func() (*Policy, error) { return e.Open(digest, fsys) }
	if p.server, err = e.options.Servers.Serve(ctx, kind, p, fsys); err != nil {
		return nil, err
	}
	return p, nil
}

// openServed reads everything but the weights.
func openServed(fsys fs.FS, opt Options) (_ *Policy, err error) {
	defer kernel.Catch(&err)
	p := &Policy{options: opt}
	err = p.open(fsys, func(fsys fs.FS) (err error) {
		p.config, err = model.ReadConfig(fsys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

// Config is the shape of the model.
func (p *Policy) Config() model.Config { return p.config }

// Weights returns the same policy with its weights in this process, for what a server cannot compute.
func (p *Policy) Weights() (*Policy, error) {
	if p.server == nil && p.own == nil {
		return p, nil
	}
	return p.own()
}

// Ends returns the tokens that end an answer, in ascending order.
func (p *Policy) Ends() []int32 {
	ends := make([]int32, 0, len(p.ends))
	for id := range p.ends {
		ends = append(ends, id)
	}
	slices.Sort(ends)
	return ends
}

// servedSession is a session whose branches hold tokens.
func (p *Policy) servedSession(prompt []int32) *Session {
	s := &Session{p: p}
	s.begin(prompt)
	return s
}

// begin sets the prompt of a served session.
func (s *Session) begin(prompt []int32) {
	n := len(prompt) - 1
	s.prompt = slices.Clone(prompt)
	s.root = s.branch(s.prompt[:n:n], s.prompt[n])
}

// tokens of a branch of a served session, from the start of the prompt.
func (b Branch) tokens() []int32 { return append(slices.Clone(b.path), b.last) }

// drawServed is Draw at a server. Every request is one of the server's; the server decides how many it computes
// at a time.
func (s *Session) drawServed(ctx context.Context, reqs []Request) ([]Draw, error) {
	draws, limits := make([]Draw, len(reqs)), make([]int, len(reqs))
	for i := range reqs {
		var err error
		if limits[i], err = s.limit(&reqs[i]); err != nil {
			return nil, fmt.Errorf("policy: draw: request %d: %w", i, err)
		}
		draws[i] = Draw{End: reqs[i].From, Reason: ReasonLength}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var calls sync.Mutex // Stop and Done are called one at a time
	var all sync.WaitGroup
	for i := range reqs {
		if limits[i] == 0 {
			continue
		}
		all.Go(func() {
			if err := s.drawOne(ctx, reqs[i], limits[i], &draws[i], &calls); err != nil {
				cancel(fmt.Errorf("policy: draw: request %d: %w", i, err))
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return draws, nil
}

// drawOne fills a draw.
func (s *Session) drawOne(ctx context.Context, r Request, limit int, d *Draw, calls *sync.Mutex) error {
	prompt := r.From.tokens()
	r.MaxTokens = limit
	ended := false
	err := s.p.server.Draw(ctx, prompt, r, func(t Token) bool {
		calls.Lock()
		defer calls.Unlock()
		d.Tokens, d.LogProbs = append(d.Tokens, t.ID), append(d.LogProbs, float32(t.LogProb))
		switch {
		case s.p.IsEnd(t.ID):
			d.Reason, ended = ReasonEndOfTurn, true
		case r.Stop != nil && r.Stop(t.ID):
			d.Reason, ended = ReasonStop, true
		default:
			ended = len(d.Tokens) == limit
		}
		return !ended
	})
	if err != nil {
		return err
	}
	if !ended {
		return &ServerError{What: fmt.Sprintf("an answer ended after %d tokens, none of which ends an answer",
			len(d.Tokens))}
	}
	if err := s.scoreUnknown(ctx, prompt, d); err != nil {
		return err
	}
	n := len(d.Tokens) - 1
	d.End = s.branch(slices.Concat(prompt, d.Tokens[:n]), d.Tokens[n])
	calls.Lock()
	defer calls.Unlock()
	if r.Done != nil && ctx.Err() == nil {
		r.Done(d)
	}
	return nil
}

// scoreUnknown replaces the log-probabilities of a draw if the server has left out some: NaN.
func (s *Session) scoreUnknown(ctx context.Context, prompt []int32, d *Draw) error {
	if !slices.ContainsFunc(d.LogProbs, func(logp float32) bool { return logp != logp }) {
		return nil
	}
	logps, err := s.p.scoreServed(ctx, []Sequence{{Prompt: prompt, Answer: d.Tokens}}, func(int) {})
	if err == nil {
		d.LogProbs = logps[0]
	}
	return err
}

// generateServed is GenerateEach at a server, which keeps the prompts that it has read.
func (p *Policy) generateServed(ctx context.Context, prompts [][]int32, reqs []Request, draws [][]Draw) error {
	s, rows, all := &Session{p: p}, make([]Request, 0, len(prompts)*len(reqs)), make([]int, len(prompts))
	for i, ids := range prompts {
		n := len(ids) - 1
		rows, all[i] = appendRows(rows, reqs, i, s.branch(ids[:n:n], ids[n])), i
	}
	return s.drawRows(ctx, rows, all, draws)
}

// scoreServed is LogProbsWith at a server, or with the policy's own weights where the server cannot score.
func (p *Policy) scoreServed(ctx context.Context, seqs []Sequence, progress func(int)) ([][]float32, error) {
	out, err := each(ctx, len(seqs), progress, func(ctx context.Context, i int) ([]float32, error) {
		if len(seqs[i].Answer) == 0 {
			return []float32{}, nil
		}
		return p.server.Score(ctx, seqs[i])
	})
	if errors.Is(err, ErrCannot) {
		own, err := p.Weights()
		if err != nil {
			return nil, err
		}
		return own.LogProbsWith(ctx, seqs, progress)
	}
	if err != nil {
		return nil, fmt.Errorf("policy: log-probabilities: %w", err)
	}
	return out, nil
}

// appendServed is Append at a server.
func (s *Session) appendServed(ctx context.Context, from Branch, tokens []int32) (Branch, []float32, error) {
	prompt, n := from.tokens(), len(tokens)-1
	logps, err := s.p.scoreServed(ctx, []Sequence{{Prompt: prompt, Answer: tokens}}, func(int) {})
	if err != nil {
		return Branch{}, nil, fmt.Errorf("policy: append: %w", err)
	}
	return s.branch(slices.Concat(prompt, tokens[:n]), tokens[n]), logps[0], nil
}

// chooseServed is Choose at a server, or with the policy's own weights. A continuation may be empty.
func (s *Session) chooseServed(ctx context.Context, b Branch, continuations [][]int32, ids []int32,
) ([][]float32, error) {
	prompt := b.tokens()
	out, err := each(ctx, len(continuations), func(int) {}, func(ctx context.Context, i int) ([]float32, error) {
		return s.p.server.Next(ctx, slices.Concat(prompt, continuations[i]), ids)
	})
	if !errors.Is(err, ErrCannot) {
		return out, err
	}
	own, err := s.p.Weights()
	if err != nil {
		return nil, err
	}
	session, err := own.NewSession(prompt)
	if err != nil {
		return nil, err
	}
	if len(continuations) == 1 && len(continuations[0]) == 0 {
		one, err := session.Next(ctx, session.Root(), ids)
		return [][]float32{one}, err
	}
	return session.Choose(ctx, session.Root(), continuations, ids)
}

// each calls f for 0 … n−1 at the same time. The server limits how many of them it computes. The first error ends
// all. progress gets the number of calls that have returned.
func each(ctx context.Context, n int, progress func(int),
	f func(ctx context.Context, i int) ([]float32, error)) ([][]float32, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, done := make([][]float32, n), 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one, err := f(ctx, i)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out[i], done = one, done+1
			progress(done)
		})
	}
	all.Wait()
	return out, context.Cause(ctx)
}

// CheckLogProb refuses a number that cannot be the logarithm of a probability, such as NaN. A server's rounding
// may end slightly above 0, which becomes 0.
func CheckLogProb(logp float64) (float64, error) {
	if math.IsNaN(logp) || math.IsInf(logp, 0) || logp > 1e-3 {
		return 0, fmt.Errorf("log-probability %v: want a number of at most 0", logp)
	}
	return min(logp, 0), nil
}
