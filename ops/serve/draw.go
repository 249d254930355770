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
	cached int // tokens of the prompt that the prefix cache held
}

// draw draws one answer. onToken, unless it is nil, gets every token when it is drawn, with
// the text that is certain by then: the texts add up to the answer, but the text of one
// token may come with a later one. Text that is left at the end comes with the token ID −1.
func (s *Server) draw(ctx context.Context, prompt []int32, req policy.Request, top int, stops []string,
	onToken func(text string, t policy.Token) error) (drawn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // so that the engine drops an answer that the client does not read to its end
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
		if onToken != nil {
			if err := onToken(piece, t); err != nil {
				return d, err
			}
		}
	}
	rest := x.rest()
	d.text += rest
	d.cached = stream.Cached()
	if onToken != nil && rest != "" {
		return d, onToken(rest, policy.Token{ID: -1})
	}
	return d, nil
}

// all runs f for every choice concurrently and returns the first error.
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

// usage counts tokens: prompt is the sum of all prompts; each prompt has each answers, one
// after the other in answers. What is drawn includes the end of the turn. Of the answers to
// one prompt, the least cached counts: the others may have found the first one's tokens.
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
