package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"

	"itool/stages/policy"
)

// kind is how servers of one kind are asked.
type kind interface {
	// draw asks for a continuation and calls token for each token. It ends when token returns false, or without an
	// error when the server has no more.
	draw(ctx context.Context, a *address, q question, token func(policy.Token) (bool, error)) error
	// score returns the tokens ids[from:] with the log-probabilities that the server gives them.
	score(ctx context.Context, a *address, model string, ids []int32, from int) ([]policy.Token, error)
	// next returns the log-probability of each of ids after the prompt; nil if the server leaves them out.
	next(ctx context.Context, a *address, model string, prompt, ids []int32) ([]float64, error)
	// load makes a folder's adapter a model of this name.
	load(ctx context.Context, a *address, name, folder string) error
	unload(ctx context.Context, a *address, name string) error
}

// question is a prompt and how to continue it.
type question struct {
	model  string
	prompt []int32
	ends   []int32 // tokens that end an answer
	policy.Request
}

var kinds = map[string]kind{
	Itool: openAI{}, VLLM: openAI{vllm: true}, SGLang: sglang{}, LlamaCPP: llamaCPP{},
}

// served is one policy at the pool's servers.
type served struct {
	pool    *Pool
	kind    kind
	name    string // of the kind
	policy  *policy.Policy
	adapter *adapter // nil: the base
	ends    []int32
	probe   []int32 // a conversation, for the canary

	mu    sync.Mutex
	ready map[*address]int // the address's version for which the canary was right
	locks map[*address]*sync.Mutex
}

var _ policy.Server = (*served)(nil)

// Serve implements policy.Servers. It asks one of the servers whether it has the policy's weights.
func (p *Pool) Serve(ctx context.Context, name string, of *policy.Policy, fsys fs.FS) (policy.Server, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, &policy.ServerError{
			What: fmt.Sprintf("kind %q is none of %v: this run needs another itool", name, Kinds()),
		}
	}
	s := &served{
		pool: p, kind: k, name: name, policy: of, ends: of.Ends(), ready: map[*address]int{},
		locks: map[*address]*sync.Mutex{},
	}
	var err error
	if s.adapter, err = readAdapter(fsys, of.Config()); err != nil {
		return nil, err
	}
	if s.probe, err = of.Conversation(canaryTurns, nil); err != nil {
		return nil, err
	}
	return s, s.try(ctx, 0, func(context.Context, *address, string, func()) error { return nil })
}

// try calls f with an address that has the policy's weights, and their name there. f asks for that many tokens,
// prompt and answer.
func (s *served) try(
	ctx context.Context, tokens int, f func(ctx context.Context, a *address, model string, first func()) error,
) error {
	return s.pool.try(ctx, func(ctx context.Context, a *address, first func()) error {
		model, err := s.prepare(ctx, a)
		if err == nil {
			err = a.takes(tokens)
		}
		if err == nil {
			err = f(ctx, a, model, first)
		}
		if why := (*fault)(nil); errors.As(err, &why) && why.gone {
			s.mu.Lock()
			delete(s.ready, a)
			s.mu.Unlock()
		}
		return err
	})
}

// lock is held while an address is prepared for this policy.
func (s *served) lock(a *address) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[a] == nil {
		s.locks[a] = new(sync.Mutex)
	}
	return s.locks[a]
}

// prepare makes sure that the server has the policy's weights, once for as long as it stays up.
func (s *served) prepare(ctx context.Context, a *address) (model string, err error) {
	lock := s.lock(a)
	lock.Lock()
	defer lock.Unlock()
	info, version, err := a.probe(ctx)
	if err != nil {
		return "", err
	}
	model = info.base()
	if s.adapter != nil && s.name != LlamaCPP {
		model = s.adapter.name
	}
	s.mu.Lock()
	done, ok := s.ready[a]
	s.mu.Unlock()
	if ok && done == version {
		return model, nil
	}
	if info.Kind != s.name {
		return "", wrong("the run asks an engine of kind %s, this one is %s", s.name, info.Kind)
	}
	if s.adapter != nil && s.name != LlamaCPP {
		if err := s.load(ctx, a); err != nil {
			return "", err
		}
	}
	if err := s.canary(ctx, a, info.base(), model); err != nil {
		return "", err
	}
	s.pool.Log.Info("engine", "address", a.url, "kind", info.Kind, "model", model,
		"checked", "its weights are the policy's")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[a] = version
	return model, nil
}

// Draw implements policy.Server. After a fault the same seed is tried again, and what was drawn before must come
// again: the caller has seen it.
func (s *served) Draw(ctx context.Context, prompt []int32, req policy.Request, token func(policy.Token) bool) error {
	var seen []int32
	most := len(prompt) + req.MaxTokens
	return s.try(ctx, most, func(ctx context.Context, a *address, model string, first func()) error {
		n := 0
		q := question{model: model, prompt: prompt, ends: s.ends, Request: req}
		over := false
		err := s.kind.draw(ctx, a, q, func(t policy.Token) (bool, error) {
			first()
			t, err := s.check(t)
			switch {
			case err != nil:
				return false, err
			case n >= req.MaxTokens:
				return false, wrong("more than the %d tokens that were asked for", req.MaxTokens)
			case n < len(seen) && seen[n] != t.ID:
				return false, wrong("it broke off, and then drew other tokens with the same seed")
			}
			if n++; n <= len(seen) {
				return true, nil
			}
			seen = append(seen, t.ID)
			over = !token(t)
			return !over, nil
		})
		if err == nil && !over {
			return wrong("an answer ended after %d of %d tokens, none of which ends an answer of this model: "+
				"does it serve the run's base?", n, req.MaxTokens)
		}
		return err
	})
}

// check refuses a token that cannot be. A log-probability that is not known is NaN and stays so.
func (s *served) check(t policy.Token) (policy.Token, error) {
	if t.ID < 0 || int(t.ID) >= s.policy.VocabSize() {
		return t, wrong("token id %d is not in the vocabulary of %d", t.ID, s.policy.VocabSize())
	}
	if math.IsNaN(t.LogProb) {
		return t, nil
	}
	var err error
	if t.LogProb, err = policy.CheckLogProb(t.LogProb); err != nil {
		return t, wrong("%v", err)
	}
	return t, nil
}

// Score implements policy.Server.
func (s *served) Score(ctx context.Context, q policy.Sequence) (out []float32, err error) {
	err = s.try(ctx, len(q.Prompt)+len(q.Answer), func(ctx context.Context, a *address, model string, _ func()) error {
		out, err = s.scores(ctx, a, model, append(append([]int32(nil), q.Prompt...), q.Answer...), len(q.Prompt))
		return err
	})
	return out, err
}

// scores has ids[from:] scored, and checks what comes back.
func (s *served) scores(ctx context.Context, a *address, model string, ids []int32, from int) ([]float32, error) {
	tokens, err := s.kind.score(ctx, a, model, ids, from)
	if err != nil {
		return nil, err
	}
	if len(tokens) != len(ids)-from {
		return nil, wrong("%d log-probabilities of %d tokens", len(tokens), len(ids)-from)
	}
	out := make([]float32, len(tokens))
	for i, t := range tokens {
		if t.ID != ids[from+i] {
			return nil, wrong("it scored token %d, %d was asked: it changes prompts", t.ID, ids[from+i])
		}
		logp, err := policy.CheckLogProb(t.LogProb)
		if err != nil {
			return nil, wrong("token %d of %d: %v", from+i, len(ids), err)
		}
		out[i] = float32(logp)
	}
	return out, nil
}

// Next implements policy.Server. A server that does not say it in one request scores each of ids.
func (s *served) Next(ctx context.Context, prompt, ids []int32) (out []float32, err error) {
	err = s.try(ctx, len(prompt)+1, func(ctx context.Context, a *address, model string, _ func()) error {
		out = nil
		logps, err := s.kind.next(ctx, a, model, prompt, ids)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if logps == nil {
				one, err := s.scores(ctx, a, model, append(append([]int32(nil), prompt...), id), len(prompt))
				if err != nil {
					return err
				}
				out = append(out, one[0])
				continue
			}
			logp, err := policy.CheckLogProb(logps[i])
			if err != nil {
				return wrong("token %d: %v", id, err)
			}
			out = append(out, float32(logp))
		}
		return nil
	})
	return out, err
}
