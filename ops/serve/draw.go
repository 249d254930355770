package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"itool/stages/policy"
)

// drawn is one answer, whole.
type drawn struct {
	text   string
	finish string // stop or length
	tokens []policy.Token
	cached int // tokens of the prompt that were known from other prompts
}

// draw draws one answer. see, unless it is nil, gets the text and the tokens as they
// come; their texts add up to the answer, but a token's own may come later.
func (s *Server) draw(ctx context.Context, prompt []int32, req policy.Request, top int, stops []string, see func(text string, t policy.Token) error) (drawn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the engine drops what is not drawn to its end
	stream, err := s.batcher.Start(ctx, prompt, req, top)
	switch {
	case errors.Is(err, policy.ErrStopped):
		return drawn{}, &badRequest{http.StatusServiceUnavailable, "", "the server is stopping"}
	case err != nil && !errors.Is(err, policy.ErrBusy) && ctx.Err() == nil:
		return drawn{}, bad("", "%v", err)
	case err != nil:
		return drawn{}, err
	}
	d, x := drawn{finish: "stop"}, &text{stops: stops}
	for !x.stopped {
		t, err := stream.Next()
		if errors.Is(err, io.EOF) {
			if stream.Reason() == policy.ReasonLength {
				d.finish = "length"
			}
			break
		}
		if errors.Is(err, policy.ErrStopped) {
			return d, &badRequest{http.StatusServiceUnavailable, "", "the server is stopping"}
		}
		if err != nil {
			return d, err
		}
		d.tokens = append(d.tokens, t)
		var piece string
		if !s.policy.IsEnd(t.ID) {
			piece = x.add(s.policy.TokenBytes(t.ID))
		}
		d.text += piece
		if see != nil {
			if err := see(piece, t); err != nil {
				return d, err
			}
		}
	}
	rest := x.rest()
	d.text += rest
	d.cached = stream.Cached()
	if see != nil && rest != "" {
		return d, see(rest, policy.Token{ID: -1})
	}
	return d, nil
}

// all runs f for every choice, side by side, and returns the first error.
func all(ctx context.Context, choices int, f func(ctx context.Context, choice int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range choices {
		wg.Go(func() {
			if err := f(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// tally is what one answer adds to the usage.
type tally struct{ drawn, cached int }

func (d *drawn) tally() tally { return tally{len(d.tokens), d.cached} }

// usage counts tokens: of all prompts, each once, and of their answers, so many for each. What is
// drawn includes the end of the turn; cached is the least that an answer of a prompt found, for what the
// others find may be the first one's.
func usage(prompt int, answers []tally, each int) map[string]any {
	completion, cached := 0, 0
	for i := 0; i < len(answers); i += each {
		least := answers[i].cached
		for _, a := range answers[i : i+each] {
			completion += a.drawn
			least = min(least, a.cached)
		}
		cached += least
	}
	return map[string]any{
		"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
		"prompt_tokens_details": map[string]any{"cached_tokens": cached},
	}
}
