package serve

import (
	"encoding/json"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

type chatRequest struct {
	params
	Messages            []message         `json:"messages"`
	Tools               []json.RawMessage `json:"tools"`
	ToolChoice          toolChoice        `json:"tool_choice"`
	Parallel            *bool             `json:"parallel_tool_calls"` // false: one call at most
	Format              responseFormat    `json:"response_format"`
	MaxCompletionTokens *int              `json:"max_completion_tokens"`
	LogProbs            bool              `json:"logprobs"`
	TopLogProbs         int               `json:"top_logprobs"`

	// The older way to offer tools; not supported.
	Functions    json.RawMessage `json:"functions"`
	FunctionCall json.RawMessage `json:"function_call"`
}

// message is one turn that the client sends.
type message struct {
	Role    string     `json:"role"`
	Content content    `json:"content"`
	Calls   []callJSON `json:"tool_calls"`

	FunctionCall json.RawMessage `json:"function_call"` // not supported
}

// content is a text, a list of parts of text, or null.
type content string

func (c *content) UnmarshalJSON(raw []byte) error {
	var one *string
	if json.Unmarshal(raw, &one) == nil {
		*c = content(or(one, ""))
		return nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		return bad("messages.content", "neither a text nor a list of parts")
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return bad("messages.content", "a part of type %q: only text is supported", p.Type)
		}
		b.WriteString(p.Text)
	}
	*c = content(b.String())
	return nil
}

// toolChoice says whether the model calls a tool.
type toolChoice struct {
	mode string // auto, none, required or function
	name string // of the function
}

func (c *toolChoice) UnmarshalJSON(raw []byte) error {
	var object struct {
		Type     string
		Function struct{ Name string }
	}
	switch {
	case string(raw) == "null":
	case json.Unmarshal(raw, &c.mode) == nil && (c.mode == "auto" || c.mode == "none" || c.mode == "required"):
	case json.Unmarshal(raw, &object) == nil && object.Type == "function" && object.Function.Name != "":
		c.mode, c.name = object.Type, object.Function.Name
	default:
		return refused("tool_choice", `: %s; "auto", "none", "required" and {"type": "function", "function": `+
			`{"name": …}} are`, short(string(raw)))
	}
	return nil
}

// chat answers POST /v1/chat/completions.
func (s *Server) chat(x *exchange) error {
	in, err := decode[chatRequest](x.request.Body)
	if err != nil {
		return err
	}
	j, err := s.chatJob(in)
	if err != nil {
		return err
	}
	return answer(s, x, j, &chatAnswer{s: s, in: in, id: s.random.name("chatcmpl-"), created: s.Clock().Unix()})
}

// chatJob checks a request.
func (s *Server) chatJob(in *chatRequest) (*job, error) {
	if in.MaxCompletionTokens != nil {
		in.MaxTokens = in.MaxCompletionTokens
	}
	j, err := s.job(&in.params, s.Answer)
	if err != nil {
		return nil, err
	}
	switch j.top = in.TopLogProbs; {
	case j.top < 0 || j.top > maxTop:
		return nil, bad("top_logprobs", "%d is not within 0..%d", j.top, maxTop)
	case j.top > 0 && !in.LogProbs:
		return nil, bad("top_logprobs", "needs logprobs: true")
	case j.request.MaxTokens == 0:
		return nil, bad("max_tokens", "0 leaves nothing to say")
	}
	prompt, err := s.prompt(in)
	if err != nil {
		return nil, err
	}
	j.prompts = [][]int32{prompt}
	if j.grammar, err = s.constraint(in); err != nil {
		return nil, err
	}
	return j, s.fits(j)
}

// prompt renders the conversation; earlier calls are written as the model would.
func (s *Server) prompt(in *chatRequest) ([]int32, error) {
	switch {
	case len(in.Messages) == 0:
		return nil, bad("messages", "there are none")
	case given(in.Functions):
		return nil, refused("functions", ": use tools")
	case given(in.FunctionCall):
		return nil, refused("function_call", ": use tool_choice")
	}
	msgs := make([]policy.Message, len(in.Messages))
	for i := range in.Messages {
		var err error
		if msgs[i], err = s.message(i, &in.Messages[i]); err != nil {
			return nil, err
		}
	}
	tools, err := s.offered(in)
	if err != nil {
		return nil, err
	}
	ids, err := s.policy.Prompt(msgs, tools)
	if err != nil {
		return nil, bad("messages", "%v", err)
	}
	return ids, nil
}

// message is turn i as the template gets it.
func (s *Server) message(i int, m *message) (policy.Message, error) {
	out := policy.Message{Role: m.Role, Content: string(m.Content)}
	switch m.Role {
	case "developer":
		out.Role = "system"
	case "function":
		out.Role = "tool"
	}
	if given(m.FunctionCall) {
		return out, bad("messages", "message %d: function_call is not supported: use tool_calls", i)
	}
	if len(m.Calls) > 0 {
		turn, err := m.turn(i)
		if err != nil {
			return out, err
		}
		out.Content = s.Calls.PrintTurn(turn)
	}
	return out, nil
}

// offered are the tools that the model may call; nil: none.
func (s *Server) offered(in *chatRequest) (json.RawMessage, error) {
	if !in.mayCall() {
		if in.ToolChoice.must() {
			return nil, bad("tool_choice", "needs tools")
		}
		return nil, nil
	}
	if s.noTools != "" {
		return nil, refused("tools", "%s", s.noTools)
	}
	raw, err := json.Marshal(in.Tools)
	if err != nil {
		return nil, err // they were read as JSON
	}
	if _, err := toolcall.ParseTools(raw); err != nil {
		return nil, bad("tools", "%v", err)
	}
	return raw, nil
}

// must tells whether the answer has to be a call.
func (c toolChoice) must() bool { return c.mode == "required" || c.mode == "function" }

// mayCall says whether the request offers tools.
func (in *chatRequest) mayCall() bool { return len(in.Tools) > 0 && in.ToolChoice.mode != "none" }

// chatAnswer is what all choices of one answer have in common. It is the endpoint of chatChoice.
type chatAnswer struct {
	s       *Server
	in      *chatRequest
	id      string
	created int64
}

// chatChoice is one answer of /v1/chat/completions: as a whole, or a part of it in a stream.
type chatChoice struct {
	Index    int           `json:"index"`
	Message  *reply        `json:"message,omitempty"`
	Delta    *delta        `json:"delta,omitempty"` // in streams
	LogProbs *chatLogProbs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"` // null: the stream goes on
}

// reply is the model's turn.
type reply struct {
	Role    string     `json:"role"`
	Content *string    `json:"content"` // null: calls without words
	Refusal *string    `json:"refusal"` // always null
	Calls   []callJSON `json:"tool_calls,omitempty"`
}

// delta is a part of the model's turn.
type delta struct {
	Role    string     `json:"role,omitempty"` // in the first part
	Content *string    `json:"content,omitempty"`
	Calls   []callJSON `json:"tool_calls,omitempty"`
}

func (a *chatAnswer) head() response[chatChoice] {
	kind := "chat.completion"
	if a.in.Stream {
		kind = "chat.completion.chunk"
	}
	return response[chatChoice]{
		ID: a.id, Object: kind, Created: a.created, Model: a.s.Name, Fingerprint: a.s.fingerprint,
	}
}

func (a *chatAnswer) choice(i int, d drawn) chatChoice {
	words, calls := a.read(d)
	m := &reply{Role: "assistant", Content: &words, Calls: calls}
	if len(calls) > 0 && words == "" {
		m.Content = nil
	}
	out := chatChoice{Index: i, Message: m, Finish: a.finish(d, calls)}
	if a.in.LogProbs {
		out.LogProbs = a.s.chatLogProbs(d.tokens)
	}
	return out
}

// finish is why an answer ended. As at OpenAI, calls of a tool that the client named are no reason of their own.
func (a *chatAnswer) finish(d drawn, calls []callJSON) *string {
	reason := d.finish
	if len(calls) > 0 && a.in.ToolChoice.mode != "function" {
		reason = finishCalls
	}
	return &reason
}

func (a *chatAnswer) feed(i int) feed[chatChoice] { return &chatFeed{a: a, i: i} }

// chatFeed sends words as they are drawn, and calls when they are complete: clients cannot use a part of a call.
type chatFeed struct {
	a      *chatAnswer
	i      int
	answer string
	sent   int            // bytes of answer
	begun  bool           // the role was sent
	tokens []policy.Token // not sent yet
}

func (f *chatFeed) add(text string, t policy.Token) (chatChoice, bool) {
	f.answer += text
	if t.ID >= 0 {
		f.tokens = append(f.tokens, t)
	}
	upTo := len(f.answer)
	if at := f.a.callsAt(f.answer); at >= 0 {
		upTo = at
	}
	if upTo <= f.sent {
		return chatChoice{}, false
	}
	words := f.answer[f.sent:upTo]
	f.sent = upTo
	return f.event(delta{Content: &words}, nil), true
}

func (f *chatFeed) end(d drawn) (out []chatChoice) {
	words, calls := f.a.read(d)
	switch {
	case len(calls) > 0:
		for k := range calls {
			calls[k].Index = &k
		}
		out = append(out, f.event(delta{Calls: calls}, nil))
	case len(words) > f.sent || !f.begun:
		rest := words[f.sent:]
		out = append(out, f.event(delta{Content: &rest}, nil))
	}
	return append(out, f.event(delta{}, f.a.finish(d, calls)))
}

// event has the tokens that were not sent yet. The first one has the role.
func (f *chatFeed) event(part delta, finish *string) chatChoice {
	if !f.begun {
		f.begun, part.Role = true, "assistant"
	}
	out := chatChoice{Index: f.i, Delta: &part, Finish: finish}
	if f.a.in.LogProbs && len(f.tokens) > 0 {
		out.LogProbs = f.a.s.chatLogProbs(f.tokens)
	}
	f.tokens = nil
	return out
}
