package serve

import (
	"context"
	"errors"
	"io"

	"itool/stages/policy"
)

// drawn is one answer, whole.
type drawn struct {
	text   string
	finish string // stop or length
	tokens []policy.Token
	cached int // tokens of the prompt that the prefix cache held
}

// The ways in which an answer ends.
const (
	finishStop   = "stop"
	finishLength = "length"
	finishCalls  = "tool_calls"
)

// onToken gets every token when it is drawn, with the text that is certain by then: the texts add up to the
// answer, but the text of one token may come with a later one. Text that is left at the end comes with the
// token ID −1.
type onToken func(text string, t policy.Token) error

// draw draws answer i of a job. on may be nil.
func (s *Server) draw(ctx context.Context, x *exchange, j *job, i int, on onToken) (drawn, error) {
	if j.silent {
		return drawn{finish: finishLength}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // so that the engine drops an answer that the client does not read to its end
	stream, err := j.on.batcher.Start(ctx, j.prompts[i/j.choices], j.drawsWith(i), j.top)
	if err != nil {
		return drawn{}, startError(ctx, err)
	}
	if on == nil {
		on = func(string, policy.Token) error { return nil }
	}
	d, text := drawn{finish: finishStop}, &text{stops: j.stops}
	for !text.stopped {
		t, err := stream.Next()
		if errors.Is(err, io.EOF) {
			if stream.Reason() == policy.ReasonLength {
				d.finish = finishLength
			}
			break
		}
		if err != nil {
			return d, err
		}
		x.token()
		if err := on(d.add(s, text, t), t); err != nil {
			return d, err
		}
	}
	d.cached = stream.Cached()
	return d, d.close(text, on)
}

// add appends a token and returns the text that is certain now.
func (d *drawn) add(s *Server, text *text, t policy.Token) (piece string) {
	d.tokens = append(d.tokens, t)
	if !s.policy.IsEnd(t.ID) {
		piece = text.add(s.policy.TokenBytes(t.ID))
	}
	d.text += piece
	return piece
}

// close appends the text that was uncertain to the end.
func (d *drawn) close(text *text, on onToken) error {
	rest := text.rest()
	if rest == "" {
		return nil
	}
	d.text += rest
	return on(rest, policy.Token{ID: -1})
}

// startError is an error of Batcher.Start as the client gets it: what is wrong with a request is said there.
func startError(ctx context.Context, err error) error {
	for _, known := range []error{policy.ErrBusy, policy.ErrStopped, policy.ErrTooLong} {
		if errors.Is(err, known) {
			return err
		}
	}
	if ctx.Err() != nil {
		return err
	}
	return bad("", "%v", err)
}
