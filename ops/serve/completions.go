package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"itool/stages/policy"
)

type completionRequest struct {
	params
	Prompt   prompts         `json:"prompt"`
	Echo     bool            `json:"echo"`            // the prompt stands before the answer, with its log-probabilities
	LogProbs *int            `json:"logprobs"`        // alternatives of each token; 0 = the token alone
	Format   json.RawMessage `json:"response_format"` // not supported: only chats have one

	// Not OpenAI's, but vLLM's.
	IDs   bool    `json:"return_token_ids"`           // token_ids beside the text
	AsIDs bool    `json:"return_tokens_as_token_ids"` // logprobs call tokens token_id:5
	Of    []int32 `json:"logprob_token_ids"`          // what top_logprobs has instead of the likeliest
}

// completions answers POST /v1/completions.
func (s *Server) completions(x *exchange) error {
	in, err := decode[completionRequest](x.request.Body)
	if err != nil {
		return err
	}
	j, err := s.completionJob(in)
	if err != nil {
		return err
	}
	c := &completion{s: s, in: in, id: s.random.name("cmpl-"), created: s.Clock().Unix(), job: j}
	if err := c.echo(x.request.Context()); err != nil {
		return err
	}
	return answer(s, x, j, c)
}

// completionJob checks a request.
func (s *Server) completionJob(in *completionRequest) (*job, error) {
	j, err := s.job(&in.params, completionTokens)
	if err != nil {
		return nil, err
	}
	if j.prompts, err = s.encode(in.Prompt); err != nil {
		return nil, err
	}
	j.top, j.silent, j.request.Of = or(in.LogProbs, 0), j.request.MaxTokens == 0, in.Of
	if len(in.Of) > 0 {
		j.top = 0
	}
	switch {
	case given(in.Format):
		return nil, refused("response_format", ": ask for it at /v1/chat/completions")
	case j.top < 0 || j.top > maxTop:
		return nil, bad("logprobs", "%d is not within 0..%d", j.top, maxTop)
	case len(in.Of) > 0 && (in.LogProbs == nil || in.Echo):
		return nil, bad("logprob_token_ids", "needs logprobs, and no echo")
	case len(in.Of) > maxOf:
		return nil, bad("logprob_token_ids", "%d tokens, at most %d", len(in.Of), maxOf)
	case j.silent && !in.Echo:
		return nil, bad("max_tokens", "0 without echo leaves nothing to say")
	case in.Stream && in.Echo:
		return nil, refused("echo", " in streams")
	}
	return j, s.fits(j)
}

// given tells whether a field is there and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

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
		if err := s.checkPrompt(i, ids); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Server) checkPrompt(i int, ids []int32) error {
	if len(ids) == 0 {
		return bad("prompt", "prompt %d is empty", i)
	}
	if n := s.policy.ContextLength(); len(ids) > n {
		text := fmt.Sprintf("prompt %d: %d tokens are longer than the model's context of %d", i, len(ids), n)
		return &apiError{http.StatusBadRequest, tooLong, "prompt", text}
	}
	for j, id := range ids {
		if id < 0 || int(id) >= s.policy.VocabSize() {
			return bad("prompt", "prompt %d: token %d: id %d is not in the vocabulary of %d",
				i, j, id, s.policy.VocabSize())
		}
	}
	return nil
}

// completion is what all choices of one answer have in common. It is the endpoint of textChoice.
type completion struct {
	s       *Server
	in      *completionRequest
	job     *job
	id      string
	created int64
	echoes  []echoed // of each prompt; nil: without echo
}

// textChoice is one answer of /v1/completions, or a part of it in a stream.
type textChoice struct {
	Index    int        `json:"index"`
	Text     string     `json:"text"`
	LogProbs *tokenList `json:"logprobs"`
	Finish   *string    `json:"finish_reason"`       // null: the stream goes on
	IDs      []int32    `json:"token_ids,omitempty"` // of the answer; in a stream those that were not sent yet
}

func (c *completion) head() response[textChoice] {
	return response[textChoice]{
		ID: c.id, Object: "text_completion", Created: c.created, Model: c.s.Name, Fingerprint: c.s.fingerprint,
	}
}

func (c *completion) choice(i int, d drawn) textChoice {
	out := textChoice{Index: i, Text: d.text, Finish: &d.finish}
	var report tokenList
	if c.echoes != nil {
		prompt := &c.echoes[i/c.job.choices]
		report, out.Text = prompt.list.clone(), prompt.text+d.text
	}
	if c.in.LogProbs != nil {
		report.add(c.names(), c.in.Of, c.job.top > 0, d.tokens...)
		out.LogProbs = &report
	}
	out.IDs = c.ids(d.tokens)
	return out
}

// ids are those of tokens, if the client asks for them.
func (c *completion) ids(tokens []policy.Token) (ids []int32) {
	if c.in.IDs {
		for _, t := range tokens {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// names says how the report names tokens.
func (c *completion) names() func(id int32) string {
	if c.in.AsIDs {
		return func(id int32) string { return fmt.Sprintf("token_id:%d", id) }
	}
	return c.s.token
}

func (c *completion) feed(i int) feed[textChoice] { return &textFeed{c: c, i: i} }

// textFeed makes the events of one answer.
type textFeed struct {
	c      *completion
	i      int
	tokens []policy.Token // not sent yet
	at     int            // characters sent
}

func (f *textFeed) add(text string, t policy.Token) (textChoice, bool) {
	if t.ID >= 0 {
		f.tokens = append(f.tokens, t)
	}
	if text == "" && !f.c.in.IDs {
		return textChoice{}, false
	}
	return f.event(text, nil), true
}

func (f *textFeed) end(d drawn) []textChoice { return []textChoice{f.event("", &d.finish)} }

// event has the tokens that were not sent yet.
func (f *textFeed) event(text string, finish *string) textChoice {
	out := textChoice{Index: f.i, Text: text, Finish: finish}
	if f.c.in.LogProbs != nil && len(f.tokens) > 0 {
		out.LogProbs = &tokenList{at: f.at}
		out.LogProbs.add(f.c.names(), f.c.in.Of, f.c.job.top > 0, f.tokens...)
		f.at = out.LogProbs.at
	}
	out.IDs = f.c.ids(f.tokens)
	f.tokens = nil
	return out
}

// echoed is a prompt as it stands before the answer with echo.
type echoed struct {
	text string
	list tokenList
}

// echo fills echoes with the prompts as text, with log-probabilities if the client asks for them. Prompts are
// scored one after the other, because one pass uses all cores.
func (c *completion) echo(ctx context.Context) error {
	if !c.in.Echo {
		return nil
	}
	for _, prompt := range c.job.prompts {
		var bytes []byte
		for _, id := range prompt {
			bytes = append(bytes, c.s.policy.TokenBytes(id)...)
		}
		e := echoed{text: strings.ToValidUTF8(string(bytes), "\ufffd")}
		if c.in.LogProbs != nil {
			var err error
			if e.list, err = c.score(ctx, prompt); err != nil {
				return err
			}
		}
		c.echoes = append(c.echoes, e)
	}
	return nil
}

// score computes the log-probabilities of a prompt. It waits while another one is scored.
func (c *completion) score(ctx context.Context, prompt []int32) (list tokenList, err error) {
	select {
	case c.s.scoring <- struct{}{}:
	case <-ctx.Done():
		return list, ctx.Err()
	}
	defer func() { <-c.s.scoring }()
	tokens, err := scored(ctx, c.job.on.policy, prompt, c.job.top)
	if err != nil {
		return list, err
	}
	list.one(c.names()(prompt[0]), nil)
	if c.job.top > 0 {
		list.Top = append(list.Top, nil)
	}
	list.add(c.names(), nil, c.job.top > 0, tokens...)
	return list, nil
}

// scored scores a prompt from its second token on. Without alternatives the numbers have the same bits as those that
// workers score with.
func scored(ctx context.Context, p *policy.Policy, prompt []int32, top int) ([]policy.Token, error) {
	if top > 0 {
		return p.Score(ctx, prompt, top)
	}
	logps, err := p.LogProbs(ctx, []policy.Sequence{{Prompt: prompt[:1], Answer: prompt[1:]}})
	if err != nil {
		return nil, err
	}
	tokens := make([]policy.Token, len(logps[0]))
	for i, logp := range logps[0] {
		tokens[i] = policy.Token{ID: prompt[i+1], LogProb: float64(logp)}
	}
	return tokens, nil
}
