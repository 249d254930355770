// Package template renders conversations with a model's own Jinja chat template, byte for byte as Hugging Face
// transformers does.
//
// The language is package jinja's; here is what a chat template gets: messages, tools, add_generation_prompt, the
// control tokens. It knows no token IDs, and no clock: the date is an argument.
//
//	t, err := template.Open(os.DirFS(dir))
//	text, err := t.Render(template.Input{Messages: messages, Prompt: true})
package template

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"itool/stages/policy/template/jinja"
)

// Default is the chat template of the small models that we make ourselves; its
// control tokens are DefaultSpecial, which a tokenizer for it must hold.
//
//go:embed default.jinja
var Default string

// Control tokens of Default. DefaultBOS stands first in a text, DefaultAssistant opens
// an answer, DefaultEnd closes a turn.
const (
	DefaultBOS       = "<|bos|>"
	DefaultAssistant = "<|assistant|>"
	DefaultEnd       = "<|end|>"
)

// DefaultSpecial returns all control tokens of Default.
func DefaultSpecial() []string {
	return []string{DefaultBOS, "<|system|>", "<|user|>", DefaultAssistant, "<|tool|>", DefaultEnd}
}

const maxSource = 256 << 10 // bytes; the longest in use have 20 KiB

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user, assistant, tool; the template decides
	Content string `json:"content"`
}

// defaultDate is today for templates that print one, unless a date is given: renderings shall repeat. It is the
// date that the templates of Llama 3 take when they are given none.
var defaultDate = time.Date(2024, time.July, 26, 0, 0, 0, 0, time.UTC)

// Input is what a conversation's rendering depends on.
type Input struct {
	Messages []Message
	Tools    json.RawMessage // a JSON array; nil or null: none
	Prompt   bool            // end where the assistant's turn begins
	Date     string          // for templates that print one, 2030-01-31 or 31 Jan 2030; empty: 26 Jul 2024
	// Content, when set, maps every string of messages and tools, keys included,
	// before it is rendered.
	Content func(string) string
}

// Template is immutable; many goroutines may render with one.
type Template struct {
	jinja    *jinja.Template
	plain    *jinja.Template // for conversations without tools, if the model has another one for them; else nil
	source   string          // of the one for tools
	hash     string
	bos, eos string
	tokens   map[string]specialToken // other variables, as transformers sets them
	addBOS   bool
}

// New compiles source. bos and eos are its variables bos_token and eos_token.
func New(source, bos, eos string) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%d bytes, more than %d", len(source), maxSource)
	}
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, remedy(err)
	}
	sum := sha256.Sum256([]byte(source))
	return &Template{jinja: t, source: source, hash: hex.EncodeToString(sum[:]), bos: bos, eos: eos}, nil
}

// Hash is the SHA-256 of the template's text, in hexadecimal; of both texts if there are two.
func (t *Template) Hash() string { return t.hash }

// Source is the template's text. A model with several templates has one for conversations with tools, which
// this is then.
func (t *Template) Source() string { return t.source }

// BOS and EOS are the texts of the first and last token; empty: none is named.
func (t *Template) BOS() string { return t.bos }

// EOS: see BOS.
func (t *Template) EOS() string { return t.eos }

// AddBOS tells whether the settings put BOS before a text that is no conversation. The
// post-processor of tokenizer.json, where it has a template, says so instead.
func (t *Template) AddBOS() bool { return t.addBOS }

// Render renders a conversation. The variables are those of transformers' apply_chat_template: tools and
// documents are None where there are none.
func (t *Template) Render(in Input) (string, error) {
	content := in.Content
	if content == nil {
		content = func(s string) string { return s }
	}
	messages := &jinja.List{}
	for _, m := range in.Messages {
		d := jinja.NewDict()
		d.Set("role", m.Role)
		d.Set("content", content(m.Content))
		messages.Items = append(messages.Items, d)
	}
	tools, err := decodeTools(in.Tools, content)
	if err != nil {
		return "", fmt.Errorf("template: tools: %w", err)
	}
	return t.render(messages, tools, in.Prompt, in.Date)
}

// renderJSON renders messages that may hold more than a role and a content.
func (t *Template) renderJSON(messages, tools json.RawMessage, prompt bool, date string) (string, error) {
	m, err := jinja.FromJSON(messages, nil)
	if err != nil {
		return "", fmt.Errorf("template: messages: %w", err)
	}
	list, err := jinja.FromJSON(tools, nil)
	if err != nil {
		return "", fmt.Errorf("template: tools: %w", err)
	}
	return t.render(m, list, prompt, date)
}

func (t *Template) render(messages, tools any, prompt bool, date string) (string, error) {
	vars := jinja.Vars{
		"messages": messages, "tools": tools, "documents": nil, "add_generation_prompt": prompt,
		// Qwen 3 begins answers with an empty thought when this is off, in training and in prompts alike.
		"enable_thinking": false,
	}
	now := defaultDate
	if date != "" {
		var err error
		if now, err = parseDate(date); err != nil {
			return "", fmt.Errorf("template: %w", err)
		}
		vars["date_string"] = date
	}
	if t.plain != nil && tools == nil {
		return t.execute(t.plain, vars, now)
	}
	return t.execute(t.jinja, vars, now)
}

// decodeTools returns nil for no tools and for an empty list, which would still print a header.
func decodeTools(data json.RawMessage, content func(string) string) (any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	v, err := jinja.FromJSON(data, content)
	if err != nil || v == nil {
		return nil, err
	}
	list, ok := v.(*jinja.List)
	if !ok {
		return nil, errors.New("not a JSON array")
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return list, nil
}

// parseDate reads the forms in which a date may be given.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, "2 Jan 2006", "2 January 2006", "January 2, 2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("date %q: write it as 2030-01-31 or 31 Jan 2030", s)
}

// Execute renders any variables, given as a JSON object; bos_token and eos_token are set already.
func (t *Template) Execute(variables json.RawMessage) (string, error) {
	v, err := jinja.FromJSON(variables, nil)
	if err != nil {
		return "", fmt.Errorf("template: variables: %w", err)
	}
	d, ok := v.(*jinja.Dict)
	if !ok {
		return "", errors.New("template: variables: not a JSON object")
	}
	return t.execute(t.jinja, jinja.VarsOf(d), defaultDate)
}

func (t *Template) execute(source *jinja.Template, vars jinja.Vars, now time.Time) (string, error) {
	set := func(name, value string) {
		if _, ok := vars[name]; !ok && value != "" {
			vars[name] = value
		}
	}
	set("bos_token", t.bos)
	set("eos_token", t.eos)
	for name, value := range t.tokens {
		set(name, string(value))
	}
	text, err := source.Render(vars, jinja.Options{Now: now})
	if err != nil {
		return "", fmt.Errorf("template: %w", remedy(err))
	}
	return text, nil
}

// remedy adds what to do about a template that is not rendered although Python might.
func remedy(err error) error {
	if errors.Is(err, jinja.ErrLimit) || errors.Is(err, jinja.ErrUnsupported) {
		return fmt.Errorf("%w; take the chat template that came with the model, or write a simpler one into %s",
			err, File)
	}
	return err
}
