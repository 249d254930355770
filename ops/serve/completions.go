package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"itool/stages/policy"
)

// maxPrompts bounds the prompts of one request.
const maxPrompts = 64

type completionRequest struct {
	params
	Prompt   prompts `json:"prompt"`
	Echo     bool    `json:"echo"`     // the prompt stands before the answer, with its log-probabilities
	LogProbs *int    `json:"logprobs"` // alternatives of each token; 0 = the token alone
}

// prompts are a text, a list of texts, token IDs, or a list of lists of token IDs.
type prompts struct {
	texts []string
	ids   [][]int32
}

func (p *prompts) UnmarshalJSON(raw []byte) error {
	*p = prompts{}
	var one string
	var flat []int32
	switch {
	case string(raw) == "null":
	case json.Unmarshal(raw, &one) == nil:
		p.texts = []string{one}
	case json.Unmarshal(raw, &p.texts) == nil && len(p.texts) > 0:
	case json.Unmarshal(raw, &flat) == nil && len(flat) > 0:
		p.texts, p.ids = nil, [][]int32{flat}
	case json.Unmarshal(raw, &p.ids) == nil && len(p.ids) > 0:
		p.texts = nil
	default:
		return bad("prompt", "neither a text, nor token IDs, nor a list of either")
	}
	return nil
}

// encode returns the token IDs of the prompts. Control tokens written in a text count as
// such, and a text gets a BOS token if the model's tokenizer adds one. Token IDs are used
// as they are.
func (s *Server) encode(p prompts) ([][]int32, error) {
	all := p.ids
	for _, t := range p.texts {
		all = append(all, s.policy.Raw(t))
	}
	switch {
	case len(all) == 0:
		return nil, bad("prompt", "is missing")
	case len(all) > maxPrompts:
		return nil, bad("prompt", "%d prompts, at most %d are taken at once", len(all), maxPrompts)
	}
	for i, ids := range all {
		if len(ids) == 0 {
			return nil, bad("prompt", "prompt %d is empty", i)
		}
		if n := s.policy.ContextLength(); len(ids) > n {
			return nil, bad("prompt", "prompt %d: %d tokens are longer than the model's context of %d", i, len(ids), n)
		}
		for j, id := range ids {
			if id < 0 || int(id) >= s.policy.VocabSize() {
				return nil, bad("prompt", "prompt %d: token %d: id %d is not in the vocabulary of %d",
					i, j, id, s.policy.VocabSize())
			}
		}
	}
	return all, nil
}

func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	var in completionRequest
	err := decode(r.Body, &in)
	var asks [][]int32
	if err == nil {
		asks, err = s.encode(in.Prompt)
	}
	var req policy.Request
	var choices int
	if err == nil {
		if in.MaxTokens == nil { // OpenAI's default
			n := 16
			in.MaxTokens = &n
		}
		req, choices, err = in.request(s.policy.Generation().Sampling, s.random.number)
	}
	silent := err == nil && *in.MaxTokens == 0
	switch {
	case err != nil:
	case in.LogProbs != nil && (*in.LogProbs < 0 || *in.LogProbs > maxTop):
		err = bad("logprobs", "%d is not within 0..%d", *in.LogProbs, maxTop)
	case len(asks)*choices > s.Requests:
		err = bad("n", "%d prompts with %d answers each are more than the %d answers that may wait: "+
			"ask for fewer at once", len(asks), choices, s.Requests)
	case silent && !in.Echo:
		err = bad("max_tokens", "0 without echo leaves nothing to say")
	case in.Stream && in.Echo:
		err = bad("echo", "is not supported in streams")
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	a := &completion{s: s, in: &in, id: s.random.name("cmpl-"), created: s.Clock().Unix()}
	n := len(asks) * choices
	list, before, after := make([]any, n), 0, make([]tally, n)
	for _, ids := range asks {
		before += len(ids)
	}
	echoes, err := a.echo(r.Context(), asks)
	if err != nil {
		s.fail(w, err)
		return
	}
	e := &events{w: w}
	err = all(r.Context(), n, func(ctx context.Context, i int) error {
		req := req
		req.Seed += uint64(i)
		prompt, d := asks[i/choices], drawn{finish: "length"}
		if in.Stream {
			return a.stream(ctx, e, i, prompt, req, &after[i])
		}
		var err error
		if !silent {
			if d, err = s.draw(ctx, prompt, req, a.top(), in.Stop, nil); err != nil {
				return err
			}
		}
		after[i] = d.tally()
		words := d.text
		var report tokenList
		if in.Echo {
			report = echoes[i/choices].list.clone()
			words = echoes[i/choices].text + words
		}
		choice := map[string]any{"index": i, "text": words, "finish_reason": d.finish, "logprobs": nil}
		if in.LogProbs != nil {
			report.add(s, a.top() > 0, d.tokens...)
			choice["logprobs"] = &report
		}
		list[i] = choice
		return nil
	})
	switch {
	case in.Stream:
		if err == nil && in.StreamWith.Usage {
			out := a.object()
			out["choices"], out["usage"] = []any{}, usage(before, after, choices)
			err = e.send(out)
		}
		s.end(e, err)
	case err != nil:
		s.fail(w, err)
	default:
		out := a.object()
		out["choices"], out["usage"] = list, usage(before, after, choices)
		s.reply(w, out)
	}
}

// completion is what all choices and all events of one answer have in common.
type completion struct {
	s       *Server
	in      *completionRequest
	id      string
	created int64
}

func (a *completion) object() map[string]any {
	return map[string]any{
		"id": a.id, "object": "text_completion", "created": a.created, "model": a.s.Name,
		"system_fingerprint": a.s.fingerprint,
	}
}

// top is how many alternatives of each token the client asks for.
func (a *completion) top() int {
	if a.in.LogProbs == nil {
		return 0
	}
	return *a.in.LogProbs
}

func (a *completion) stream(ctx context.Context, e *events, i int, prompt []int32, req policy.Request,
	after *tally) error {
	var tokens []policy.Token // not sent yet
	at := 0                   // characters sent
	send := func(words string, finish any) error {
		choice := map[string]any{"index": i, "text": words, "finish_reason": finish, "logprobs": nil}
		if a.in.LogProbs != nil && len(tokens) > 0 {
			list := tokenList{at: at}
			list.add(a.s, a.top() > 0, tokens...)
			choice["logprobs"], at = &list, list.at
		}
		tokens = nil
		out := a.object()
		out["choices"] = []any{choice}
		return e.send(out)
	}
	d, err := a.s.draw(ctx, prompt, req, a.top(), a.in.Stop, func(piece string, t policy.Token) error {
		if t.ID >= 0 {
			tokens = append(tokens, t)
		}
		if piece == "" {
			return nil
		}
		return send(piece, nil)
	})
	if err != nil {
		return err
	}
	*after = d.tally()
	return send("", d.finish)
}

// tokenList is how /v1/completions reports tokens.
type tokenList struct {
	Tokens   []string             `json:"tokens"`
	LogProbs []*float64           `json:"token_logprobs"` // null for a prompt's first one, which nothing predicts
	Top      []map[string]float64 `json:"top_logprobs"`   // null unless asked for
	Offsets  []int                `json:"text_offset"`    // in characters

	at int
}

func (l *tokenList) add(s *Server, top bool, tokens ...policy.Token) {
	for _, t := range tokens {
		l.one(s.token(t.ID), &t.LogProb)
		if top {
			best := map[string]float64{}
			for _, a := range t.Top {
				best[s.token(a.ID)] = a.LogProb
			}
			l.Top = append(l.Top, best)
		}
	}
}

func (l *tokenList) one(text string, logp *float64) {
	l.Tokens, l.LogProbs, l.Offsets = append(l.Tokens, text), append(l.LogProbs, logp), append(l.Offsets, l.at)
	l.at += utf8.RuneCountInString(text)
}

func (l *tokenList) clone() tokenList {
	return tokenList{
		slices.Clone(l.Tokens), slices.Clone(l.LogProbs), slices.Clone(l.Top), slices.Clone(l.Offsets), l.at,
	}
}

// echoed is a prompt as it stands before the answer with echo.
type echoed struct {
	text string
	list tokenList
}

// echo returns the prompts as text, with log-probabilities if the client asks for them; nil
// without echo. Prompts are scored one after the other, because one pass uses all cores.
func (a *completion) echo(ctx context.Context, asks [][]int32) (all []echoed, err error) {
	for _, prompt := range asks {
		if !a.in.Echo {
			return nil, nil
		}
		var bytes []byte
		for _, id := range prompt {
			bytes = append(bytes, a.s.policy.TokenBytes(id)...)
		}
		e := echoed{text: strings.ToValidUTF8(string(bytes), "\ufffd")}
		if a.in.LogProbs != nil {
			tokens, err := a.score(ctx, prompt)
			if err != nil {
				return nil, err
			}
			e.list.one(a.s.token(prompt[0]), nil)
			if a.top() > 0 {
				e.list.Top = append(e.list.Top, nil)
			}
			e.list.add(a.s, a.top() > 0, tokens...)
		}
		all = append(all, e)
	}
	return all, nil
}

// score computes the log-probabilities of a prompt. It waits while another one is scored.
func (a *completion) score(ctx context.Context, prompt []int32) ([]policy.Token, error) {
	select {
	case a.s.scoring <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.s.scoring }()
	return a.s.policy.Score(ctx, prompt, a.top())
}
