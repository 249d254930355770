package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

type chatRequest struct {
	params
	Messages            []message         `json:"messages"`
	Tools               []json.RawMessage `json:"tools"`
	ToolChoice          json.RawMessage   `json:"tool_choice"` // "auto" or "none"
	Parallel            *bool             `json:"parallel_tool_calls"`
	MaxCompletionTokens *int              `json:"max_completion_tokens"`
	LogProbs            bool              `json:"logprobs"`
	TopLogProbs         int               `json:"top_logprobs"`

	// The older way to offer tools; not supported.
	Functions    json.RawMessage `json:"functions"`
	FunctionCall json.RawMessage `json:"function_call"`
}

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
		if *c = ""; one != nil {
			*c = content(*one)
		}
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

// callJSON is a call as the API writes it: the arguments are JSON in a string.
type callJSON struct {
	Index    *int   `json:"index,omitempty"` // in streams
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// prompt renders the conversation; earlier calls are written as the model would.
func (s *Server) prompt(r *chatRequest) ([]int32, error) {
	if len(r.Messages) == 0 {
		return nil, bad("messages", "there are none")
	}
	for name, old := range map[string]json.RawMessage{"functions": r.Functions, "function_call": r.FunctionCall} {
		if len(old) > 0 && string(old) != "null" {
			return nil, bad(name, "is not supported: use tools")
		}
	}
	msgs := make([]policy.Message, 0, len(r.Messages))
	for i, m := range r.Messages {
		role, words := m.Role, string(m.Content)
		switch role {
		case "developer":
			role = "system"
		case "function":
			role = "tool"
		}
		if len(m.FunctionCall) > 0 && string(m.FunctionCall) != "null" {
			return nil, bad("messages", "message %d: function_call is not supported: use tool_calls", i)
		}
		if len(m.Calls) > 0 {
			turn, err := m.turn(i)
			if err != nil {
				return nil, err
			}
			words = s.Calls.PrintTurn(turn)
		}
		msgs = append(msgs, policy.Message{Role: role, Content: words})
	}
	tools, err := s.offered(r)
	if err != nil {
		return nil, err
	}
	ids, err := s.policy.Prompt(msgs, tools)
	if err != nil {
		return nil, bad("messages", "%v", err)
	}
	return ids, nil
}

// turn reads the words and the calls of a message of the assistant. Blank arguments, which
// many programs send for a call without parameters, are none.
func (m *message) turn(number int) (toolcall.Turn, error) {
	turn := toolcall.Turn{Words: string(m.Content)}
	for _, c := range m.Calls {
		text := c.Function.Arguments
		if strings.TrimSpace(text) == "" {
			text = "null"
		}
		args, err := toolcall.FromJSON([]byte(text))
		call := toolcall.Call{Name: c.Function.Name}
		if err == nil {
			call.Args, err = toolcall.ArgsOf(args)
		}
		if err != nil {
			return turn, bad("messages", "message %d: the arguments of %q are not a JSON object in a string",
				number, c.Function.Name)
		}
		turn.Calls = append(turn.Calls, call)
	}
	return turn, nil
}

// offered are the tools that the model may call; nil: none.
func (s *Server) offered(r *chatRequest) (json.RawMessage, error) {
	var tools json.RawMessage
	switch choice := string(r.ToolChoice); choice {
	case "", "null", `"auto"`:
		if len(r.Tools) > 0 {
			if s.noTools != "" {
				return nil, bad("tools", "%s", s.noTools)
			}
			tools, _ = json.Marshal(r.Tools) // they were read as JSON
			if _, err := toolcall.ParseTools(tools); err != nil {
				return nil, bad("tools", "%v", err)
			}
		}
	case `"none"`:
	default:
		return nil, bad("tool_choice", `%s is not supported: "auto" and "none" are`, short(choice))
	}
	return tools, nil
}

func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var in chatRequest
	err := decode(r.Body, &in)
	var prompt []int32
	if err == nil {
		prompt, err = s.prompt(&in)
	}
	if in.MaxCompletionTokens != nil {
		in.MaxTokens = in.MaxCompletionTokens
	}
	if in.MaxTokens == nil {
		in.MaxTokens = &s.Answer
	}
	var req policy.Request
	var choices int
	if err == nil {
		req, choices, err = in.request(s.policy.Generation().Sampling, s.random.number)
	}
	switch {
	case err != nil:
	case in.TopLogProbs < 0 || in.TopLogProbs > maxTop:
		err = bad("top_logprobs", "%d is not within 0..%d", in.TopLogProbs, maxTop)
	case in.TopLogProbs > 0 && !in.LogProbs:
		err = bad("top_logprobs", "needs logprobs: true")
	case choices > s.Requests:
		err = bad("n", "%d answers are more than the %d that may wait: ask for fewer at once", choices, s.Requests)
	case *in.MaxTokens == 0:
		err = bad("max_tokens", "0 leaves nothing to say")
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	a := &chatAnswer{s: s, in: &in, prompt: prompt, id: s.random.name("chatcmpl-"), created: s.Clock().Unix()}
	if in.Stream {
		s.chatStream(r.Context(), w, a, req, choices)
		return
	}
	list, tallies := make([]any, choices), make([]tally, choices)
	err = all(r.Context(), choices, func(ctx context.Context, i int) error {
		req := req
		req.Seed += uint64(i)
		d, err := s.draw(ctx, prompt, req, in.TopLogProbs, in.Stop, nil)
		if err != nil {
			return err
		}
		tallies[i] = d.tally()
		words, calls := a.read(d)
		message, finish := map[string]any{"role": "assistant", "content": words}, d.finish
		if len(calls) > 0 {
			message["tool_calls"] = calls
			if words == "" {
				message["content"] = nil
			}
			finish = "tool_calls"
		}
		choice := map[string]any{"index": i, "message": message, "finish_reason": finish, "logprobs": nil}
		if in.LogProbs {
			choice["logprobs"] = a.logprobs(d.tokens)
		}
		list[i] = choice
		return nil
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	out := a.object("chat.completion")
	out["choices"], out["usage"] = list, usage(len(prompt), tallies, choices)
	s.reply(w, out)
}

// chatAnswer is what all choices and all events of one answer have in common.
type chatAnswer struct {
	s       *Server
	in      *chatRequest
	prompt  []int32
	id      string
	created int64
}

func (a *chatAnswer) object(kind string) map[string]any {
	return map[string]any{
		"id": a.id, "object": kind, "created": a.created, "model": a.s.Name, "system_fingerprint": a.s.fingerprint,
	}
}

func (a *chatAnswer) logprobs(tokens []policy.Token) map[string]any {
	list := make([]logprob, len(tokens))
	for i, t := range tokens {
		list[i] = a.s.logprob(t)
	}
	return map[string]any{"content": list}
}

// mayCall says whether the request offers tools.
func (a *chatAnswer) mayCall() bool {
	return len(a.in.Tools) > 0 && string(a.in.ToolChoice) != `"none"`
}

// read splits an answer into words and calls, as training reads its data. Text that only looks
// like calls stays text. So do calls of an answer that was cut off, because one may be missing.
func (a *chatAnswer) read(d drawn) (words string, calls []callJSON) {
	if !a.mayCall() || d.finish == "length" {
		return d.text, nil
	}
	turn, err := a.s.Calls.ReadTurn(d.text)
	if err != nil || len(turn.Calls) == 0 {
		return d.text, nil
	}
	list, _, err := toolcall.Bind(turn.Calls, nil)
	if err != nil { // some argument has no name: the tools say which it is
		list, err = a.bind(turn.Calls)
	}
	if err != nil {
		return d.text, nil
	}
	if a.in.Parallel != nil && !*a.in.Parallel {
		list = list[:1]
	}
	for _, c := range list {
		out := callJSON{ID: a.s.random.name("call_"), Type: "function"}
		out.Function.Name, out.Function.Arguments = c.Name, c.JSON()
		calls = append(calls, out)
	}
	turn.Calls = nil
	return a.s.Calls.PrintTurn(turn), calls
}

// bind names arguments that were given by position.
func (a *chatAnswer) bind(calls []toolcall.Call) ([]toolcall.Call, error) {
	raw, err := json.Marshal(a.in.Tools)
	if err != nil {
		return nil, err
	}
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return nil, err
	}
	calls, _, err = toolcall.Bind(calls, tools)
	return calls, err
}

// callsAt is where calls begin in an answer, or may begin when more of it is known; −1: it
// has no calls so far. What stands in a thought is no call.
func (a *chatAnswer) callsAt(answer string) int {
	if !a.mayCall() {
		return -1
	}
	thought, rest := toolcall.CutThought(answer)
	before := len(answer) - len(rest)
	trimmed := strings.TrimLeft(rest, " \t\r\n") // blanks before calls are no words
	if thought == "" && strings.HasPrefix(trimmed, "<think>") {
		return -1 // the thought goes on
	}
	first := -1
	for _, mark := range a.s.Calls.Marks() {
		if strings.HasPrefix(trimmed, mark) || strings.HasPrefix(mark, trimmed) {
			return before
		}
		if a.s.Calls != toolcall.Hermes {
			mark = "\n" + mark // behind words only at the beginning of a line
		}
		at := strings.Index(rest, mark)
		if n := overlap(rest, mark); at < 0 && n > 0 {
			at = len(rest) - n
		}
		if at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first < 0 {
		return -1
	}
	return before + first
}

// chatStream sends words as they are drawn, and calls when they are complete: clients
// cannot use a part of a call.
func (s *Server) chatStream(ctx context.Context, w http.ResponseWriter, a *chatAnswer, req policy.Request,
	choices int) {
	e, tallies := &events{w: w}, make([]tally, choices)
	send := func(i int, delta map[string]any, finish any, tokens []policy.Token) error {
		choice := map[string]any{"index": i, "delta": delta, "finish_reason": finish, "logprobs": nil}
		if a.in.LogProbs && len(tokens) > 0 {
			choice["logprobs"] = a.logprobs(tokens)
		}
		out := a.object("chat.completion.chunk")
		out["choices"] = []any{choice}
		return e.send(out)
	}
	err := all(ctx, choices, func(ctx context.Context, i int) error {
		req := req
		req.Seed += uint64(i)
		var answer string
		var tokens []policy.Token // not sent yet
		sent, begun := 0, false
		role := func(delta map[string]any) map[string]any {
			if !begun {
				begun, delta["role"] = true, "assistant"
			}
			return delta
		}
		d, err := s.draw(ctx, a.prompt, req, a.in.TopLogProbs, a.in.Stop, func(piece string, t policy.Token) error {
			answer += piece
			if t.ID >= 0 {
				tokens = append(tokens, t)
			}
			upTo := len(answer)
			if at := a.callsAt(answer); at >= 0 {
				upTo = at
			}
			if upTo <= sent {
				return nil
			}
			delta := role(map[string]any{"content": answer[sent:upTo]})
			sent = upTo
			now := tokens
			tokens = nil
			return send(i, delta, nil, now)
		})
		if err != nil {
			return err
		}
		tallies[i] = d.tally()
		words, calls := a.read(d)
		finish := d.finish
		switch {
		case len(calls) > 0:
			finish = "tool_calls"
			for k := range calls {
				calls[k].Index = &k
			}
			if err := send(i, role(map[string]any{"tool_calls": calls}), nil, tokens); err != nil {
				return err
			}
			tokens = nil
		case len(words) > sent || !begun:
			if err := send(i, role(map[string]any{"content": words[sent:]}), nil, tokens); err != nil {
				return err
			}
			tokens = nil
		}
		return send(i, map[string]any{}, finish, tokens)
	})
	if err == nil && a.in.StreamWith.Usage {
		out := a.object("chat.completion.chunk")
		out["choices"], out["usage"] = []any{}, usage(len(a.prompt), tallies, choices)
		err = e.send(out)
	}
	s.end(e, err)
}
