package serve

import (
	"context"
	"sync"

	"itool/ops/serve/constrain"
	"itool/stages/policy"
)

// job is a request that has been checked: what to draw, and how to send it.
type job struct {
	on        served // what draws and scores
	prompts   [][]int32
	choices   int            // answers to each prompt; answer i is to prompt i / choices
	request   policy.Request // answer i draws with Seed + i
	top       int            // alternatives to report with each token
	stops     []string
	grammar   *constrain.Grammar // of what may be drawn; nil: everything
	silent    bool               // nothing is drawn: the prompts are scored only
	stream    bool
	sendUsage bool // at the end of a stream; otherwise it is always sent
}

// answers is the number of all of them.
func (j *job) answers() int { return len(j.prompts) * j.choices }

// drawsWith is the engine's request for answer i.
func (j *job) drawsWith(i int) policy.Request {
	r := j.request
	r.Seed += uint64(i)
	if j.grammar != nil {
		r.Constraint = j.grammar.Matcher()
	}
	return r
}

// fits refuses more answers at once than the server lets wait.
func (s *Server) fits(j *job) error {
	if j.answers() > s.Requests {
		return bad("n", "%d prompts with %d answers each are more than the %d answers that may wait: "+
			"ask for fewer at once", len(j.prompts), j.choices, s.Requests)
	}
	return nil
}

// response is the body of an answer, or an event of a stream, with choices of one endpoint.
type response[C any] struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	Model       string `json:"model"`
	Fingerprint string `json:"system_fingerprint"`
	Choices     []C    `json:"choices"`
	Usage       *usage `json:"usage,omitempty"`
}

// endpoint is what the two endpoints do differently.
type endpoint[C any] interface {
	// head is a response without choices.
	head() response[C]
	// choice is answer i as a whole.
	choice(i int, d drawn) C
	// feed makes the events of answer i. One goroutine uses it.
	feed(i int) feed[C]
}

// feed turns an answer into events while it is drawn.
type feed[C any] interface {
	// add gets a token, and the text that is certain by now; the token −1 brings text that was left at the
	// end. ok is false if there is nothing to send yet.
	add(text string, t policy.Token) (event C, ok bool)
	// end makes the last events.
	end(d drawn) []C
}

// answer draws all answers of a job and sends them, as a whole or as a stream. It is the one pass of both
// endpoints.
func answer[C any](s *Server, x *exchange, j *job, to endpoint[C]) error {
	x.stream, x.choices = j.stream, j.answers()
	if j.stream {
		return streamed(s, x, j, to)
	}
	out, all := to.head(), make([]drawn, j.answers())
	err := s.drawAll(x, j, all, func(ctx context.Context, i int) (drawn, error) { return s.draw(ctx, x, j, i, nil) })
	if err != nil {
		return err
	}
	for i, d := range all {
		out.Choices = append(out.Choices, to.choice(i, d))
	}
	out.Usage = &x.usage
	return x.reply(out)
}

// streamed sends events while the answers are drawn.
func streamed[C any](s *Server, x *exchange, j *job, to endpoint[C]) error {
	e, head := &events{x: x}, to.head()
	send := func(choices ...C) error {
		event := head
		event.Choices = choices
		return e.send(event)
	}
	err := s.drawAll(x, j, make([]drawn, j.answers()), func(ctx context.Context, i int) (drawn, error) {
		f := to.feed(i)
		d, err := s.draw(ctx, x, j, i, func(text string, t policy.Token) error {
			if event, ok := f.add(text, t); ok {
				return send(event)
			}
			return nil
		})
		if err != nil {
			return d, err
		}
		for _, event := range f.end(d) {
			if err := send(event); err != nil {
				return d, err
			}
		}
		return d, nil
	})
	if err == nil && j.sendUsage {
		head.Choices, head.Usage = []C{}, &x.usage
		err = e.send(head)
	}
	return s.end(e, err)
}

// drawAll fills all with answers, which it draws concurrently, and notes what they cost. The first error ends
// all of them.
func (s *Server) drawAll(x *exchange, j *job, all []drawn, draw func(ctx context.Context, i int) (drawn, error)) error {
	err := each(x.request.Context(), len(all), func(ctx context.Context, i int) (err error) {
		all[i], err = draw(ctx, i)
		return err
	})
	x.usage = usageOf(j, all)
	return err
}

// each runs f for every answer concurrently and returns the first error.
func each(ctx context.Context, answers int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			if err := f(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// usage counts tokens. What is drawn includes the end of the turn.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// usageOf counts every prompt once. Of the answers to one prompt, the least cached counts: the others may have
// found the first one's tokens.
func usageOf(j *job, answers []drawn) (u usage) {
	for p, prompt := range j.prompts {
		u.Prompt += len(prompt)
		least := len(prompt)
		for _, d := range answers[p*j.choices : (p+1)*j.choices] {
			u.Completion += len(d.tokens)
			least = min(least, d.cached)
		}
		u.Details.Cached += least
	}
	u.Total = u.Prompt + u.Completion
	return u
}
