package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
)

// Endpoint answers with a model behind OpenAI's chat completions: vLLM, SGLang, llama.cpp's server, `itool
// serve`, or a provider's. Tools are offered as functions; calls that come back become text.
type Endpoint struct {
	url       string // up to /v1
	model     string
	key       string // a secret: it stands in no error
	maxTokens int
	client    *http.Client
	pause     func(ctx context.Context, attempt int, wait time.Duration) error
}

// Values that bound what a server can do to us.
const (
	attempts     = 5
	longestWait  = time.Minute
	maxBody      = 8 << 20
	askTimeout   = 10 * time.Minute
	maxErrorText = 300
)

// NewEndpoint checks the address, such as http://127.0.0.1:8000/v1. The key, unless empty, is sent as a bearer
// token.
func NewEndpoint(address, model, key string, maxTokens int) (*Endpoint, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("the address is no URL: give one such as http://127.0.0.1:8000/v1")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s: want http:// or https:// and a host, such as http://127.0.0.1:8000/v1",
			u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("%s: a password has no place in an address: give the key as ITOOL_API_KEY", u.Redacted())
	}
	return &Endpoint{
		url: strings.TrimRight(address, "/"), model: model, key: key, maxTokens: maxTokens,
		client: &http.Client{Timeout: askTimeout}, pause: pause,
	}, nil
}

// pause waits before another attempt: as long as the server asks for, else a second, two, four …
func pause(ctx context.Context, attempt int, wait time.Duration) error {
	if wait == 0 {
		wait = time.Second << attempt
	}
	select {
	case <-time.After(min(wait, longestWait)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Answer implements Model. A request that the server refuses for its length is an answer with an error. One
// that fails for another reason is tried again, if that can help.
func (e *Endpoint) Answer(ctx context.Context, c *Case) (Answer, error) {
	r, err := e.request(json.RawMessage(c.Example.Messages), json.RawMessage(c.Example.Tools))
	if err != nil {
		return Answer{}, err
	}
	return e.ask(ctx, r, c.Example.Category)
}

// Step implements Model.
func (e *Endpoint) Step(ctx context.Context, r multiturn.Request) (converse.Answer, error) {
	messages, err := json.Marshal(chat(r.Messages))
	if err != nil {
		return converse.Answer{}, err
	}
	req, err := e.request(messages, r.Tools)
	if err != nil {
		return converse.Answer{}, err
	}
	a, err := e.ask(ctx, req, "")
	if err == nil && a.Error != "" {
		err = converse.Unanswerable(a.Error)
	}
	text, _ := a.Result.(string)
	return converse.Answer{Text: text, PromptTokens: a.PromptTokens, Tokens: a.Tokens, Cut: a.Cut}, err
}

// Pythonic implements Model: calls that come back are written so at once.
func (e *Endpoint) Pythonic(text string) string { return text }

// ask sends a request until there is an answer, or none to be had.
func (e *Endpoint) ask(ctx context.Context, r request, category string) (Answer, error) {
	for attempt := 0; ; attempt++ {
		reply, failed := e.post(ctx, r.body)
		if failed == nil {
			return answerOf(reply, r.names, category)
		}
		if failed.tooLong {
			return Answer{Result: "", Error: failed.Error()}, nil
		}
		if !failed.again || attempt+1 == attempts || ctx.Err() != nil {
			return Answer{}, fmt.Errorf("%s: %w", e.url, failed)
		}
		if err := e.pause(ctx, attempt, failed.wait); err != nil {
			return Answer{}, err
		}
	}
}

// function is a tool as the API wants it.
type function struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// request is a body. names are those of its tools as they were, by what the API is told: it allows letters,
// digits, _ and -, while benchmarks have dots.
type request struct {
	body  []byte
	names map[string]string
}

func (e *Endpoint) request(messages, tools json.RawMessage) (r request, err error) {
	offered, names, err := functions(tools)
	if err != nil {
		return r, err
	}
	body, err := json.Marshal(struct {
		Model       string          `json:"model"`
		Messages    json.RawMessage `json:"messages"`
		Tools       []function      `json:"tools,omitempty"`
		Temperature float64         `json:"temperature"`
		MaxTokens   int             `json:"max_tokens"`
	}{e.model, messages, offered, 0, e.maxTokens})
	return request{body, names}, err
}

func functions(raw json.RawMessage) (out []function, names map[string]string, err error) {
	var tools []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Function    json.RawMessage `json:"function"`
	}
	if err := json.Unmarshal(raw, &tools); err != nil {
		return nil, nil, fmt.Errorf("tools: %w", err)
	}
	names = map[string]string{}
	for _, t := range tools {
		if len(t.Function) > 0 {
			if err := json.Unmarshal(t.Function, &t); err != nil {
				return nil, nil, fmt.Errorf("tools: function: %w", err)
			}
		}
		f := function{Type: "function"}
		f.Function.Name, f.Function.Description = plainName(t.Name), t.Description
		if was, taken := names[f.Function.Name]; taken {
			return nil, nil, fmt.Errorf("tools: %s and %s are one name to an endpoint", was, t.Name)
		}
		names[f.Function.Name] = t.Name
		if f.Function.Parameters, err = jsonSchema(t.Parameters); err != nil {
			return nil, nil, fmt.Errorf("tools: %s: %w", t.Name, err)
		}
		out = append(out, f)
	}
	return out, names, nil
}

// plainName replaces what a function's name cannot have.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

// schemaTypes are the names of types in benchmarks that JSON schema does not know, as bfcl-eval translates them
// for such models. Java's and JavaScript's become strings, which hold source text.
var schemaTypes = map[string]string{
	"dict": "object", "HashMap": "object", "float": "number", "double": "number", "Double": "number", "tuple": "array",
	"ArrayList": "array", "Array": "array", "int": "integer", "bool": "boolean", "Boolean": "boolean",
	"object": "object", "number": "number", "array": "array", "integer": "integer", "boolean": "boolean",
	"string": "string", "null": "null",
}

// jsonSchema translates the names of types, however deep they stand.
func jsonSchema(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage(`{"type":"object","properties":{}}`), nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	translate(v)
	return json.Marshal(v)
}

// translate changes a schema and those within it; a parameter may be named like a keyword, and enum and default
// are data.
func translate(v any) {
	schema, ok := v.(map[string]any)
	if !ok {
		return
	}
	if name, ok := schema["type"].(string); ok {
		to, known := schemaTypes[name]
		if !known {
			to = "string"
		}
		schema["type"] = to
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		for _, inner := range properties {
			translate(inner)
		}
	}
	translate(schema["items"])
	translate(schema["additionalProperties"])
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		all, _ := schema[key].([]any)
		for _, inner := range all {
			translate(inner)
		}
	}
}

// failure is a request without an answer.
type failure struct {
	text    string
	again   bool          // trying again can help
	wait    time.Duration // the server asks for, 0: it does not say
	tooLong bool          // the prompt
}

func (f *failure) Error() string { return f.text }

func (e *Endpoint) post(ctx context.Context, body []byte) ([]byte, *failure) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	if e.key != "" {
		req.Header.Set("Authorization", "Bearer "+e.key)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, &failure{text: err.Error() + ": is the server running?", again: true}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, &failure{text: err.Error(), again: true}
	case len(data) > maxBody:
		return nil, &failure{text: fmt.Sprintf("an answer of more than %d bytes", maxBody)}
	case resp.StatusCode == http.StatusOK:
		return data, nil
	}
	return nil, e.refusal(resp, data)
}

// refusal makes a failure of a status.
func (e *Endpoint) refusal(resp *http.Response, data []byte) *failure {
	said := string(data)
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"` // vLLM's
	}
	if json.Unmarshal(data, &body) == nil && body.Error.Message+body.Message != "" {
		said = body.Error.Message + body.Message
	}
	if e.key != "" {
		said = strings.ReplaceAll(said, e.key, "…") // some servers repeat what they were sent
	}
	said = strings.ToValidUTF8(said[:min(len(said), maxErrorText)], "")
	f := &failure{text: fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(said))}
	lower := strings.ToLower(said)
	f.tooLong = resp.StatusCode == http.StatusBadRequest && strings.Contains(lower, "context")
	f.again = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.wait = time.Duration(min(seconds, 3600)) * time.Second
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		f.text += ": give the key as ITOOL_API_KEY"
	case http.StatusNotFound:
		f.text += ": the address should end in /v1, and --endpoint-model name a model of the server"
	}
	return f
}

// answerOf reads a reply: its calls as text, or its words.
func answerOf(reply []byte, names map[string]string, category string) (Answer, error) {
	var in struct {
		Choices []struct {
			Message struct {
				Content   *string `json:"content"`
				ToolCalls []struct {
					Function struct {
						Name      string `json:"name"`
						Arguments string `json:"arguments"`
					} `json:"function"`
				} `json:"tool_calls"`
			} `json:"message"`
			Finish string `json:"finish_reason"`
		} `json:"choices"`
		Usage struct {
			Prompt int `json:"prompt_tokens"`
			Tokens int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(reply, &in); err != nil {
		return Answer{}, fmt.Errorf("the reply is no chat completion: %w", err)
	}
	if len(in.Choices) != 1 {
		return Answer{}, fmt.Errorf("the reply has %d choices, want one", len(in.Choices))
	}
	choice := in.Choices[0]
	a := Answer{
		Result: "", PromptTokens: in.Usage.Prompt, Tokens: in.Usage.Tokens, Cut: choice.Finish == "length",
	}
	var calls []string
	for _, call := range choice.Message.ToolCalls {
		name := call.Function.Name
		if was, ok := names[name]; ok {
			name = was
		}
		text := name + "(" + call.Function.Arguments + ")" // the judge will not read it: the model's fault
		if c, err := callOf(name, call.Function.Arguments); err == nil {
			text = printed(c, category)
		}
		calls = append(calls, text)
	}
	switch {
	case len(calls) > 0:
		a.Result = "[" + strings.Join(calls, ", ") + "]"
	case choice.Message.Content != nil:
		a.Result = *choice.Message.Content
	}
	return a, nil
}

var _ Model = (*Endpoint)(nil)
