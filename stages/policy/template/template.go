// Package template renders conversations with a model's own Jinja chat template,
// byte for byte as Python's jinja2 does within Hugging Face transformers.
//
// A template is foreign code: what it may call is listed, and loops, recursion,
// stored values and output are bounded (bounds.go). It knows no token IDs, and no
// clock: the date is an argument.
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
	"io/fs"
	"reflect"
	"runtime/debug"
	"strings"
	"unsafe"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/tokens"
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

// The files that Open reads: the template in its own file, else within the
// tokenizer's settings, which name the first and last token in any case.
const (
	File       = "chat_template.jinja"
	ConfigFile = "tokenizer_config.json"
)

const maxSource = 256 << 10 // bytes; the longest in use have 20 KiB

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user, assistant, tool; the template decides
	Content string `json:"content"`
}

// Input is what a conversation's rendering depends on.
type Input struct {
	Messages []Message
	Tools    json.RawMessage // a JSON array; nil or null: none
	Prompt   bool            // end where the assistant's turn begins
	Date     string          // for templates that print one; empty: the template's own default
	// Content, when set, maps every string of messages and tools, keys included,
	// before it is rendered.
	Content func(string) string
}

// Template is immutable; many goroutines may render with one.
type Template struct {
	exec     *exec.Template
	source   string
	hash     string
	bos, eos string
	addBOS   bool
}

// Open reads a model folder's template.
func Open(fsys fs.FS) (*Template, error) {
	var c struct {
		Template json.RawMessage `json:"chat_template"`
		BOS      specialToken    `json:"bos_token"`
		EOS      specialToken    `json:"eos_token"`
		AddBOS   bool            `json:"add_bos_token"`
	}
	data, err := fs.ReadFile(fsys, ConfigFile)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("template: %s: %w", ConfigFile, err)
	}
	name := File
	source, err := fs.ReadFile(fsys, File)
	if errors.Is(err, fs.ErrNotExist) && len(c.Template) > 0 {
		var text string
		if json.Unmarshal(c.Template, &text) != nil {
			return nil, fmt.Errorf("template: %s: chat_template: not one text; write the one to use into %s",
				ConfigFile, File)
		}
		name, source, err = ConfigFile, []byte(text), nil
	}
	if err != nil {
		return nil, fmt.Errorf("template: neither %s nor chat_template in %s: %w", File, ConfigFile, err)
	}
	t, err := New(string(source), string(c.BOS), string(c.EOS))
	if err != nil {
		return nil, fmt.Errorf("template: %s: %w", name, err)
	}
	t.addBOS = c.AddBOS
	return t, nil
}

// specialToken is a text, or an object with its content.
type specialToken string

func (s *specialToken) UnmarshalJSON(data []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(data) > 0 && data[0] == '{' {
		err := json.Unmarshal(data, &object)
		*s = specialToken(object.Content)
		return err
	}
	return json.Unmarshal(data, (*string)(s)) // null: none
}

// New compiles source. bos and eos are its variables bos_token and eos_token.
func New(source, bos, eos string) (t *Template, err error) {
	defer caught(&err)
	if len(source) > maxSource {
		return nil, fmt.Errorf("%d bytes, more than %d", len(source), maxSource)
	}
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true // as transformers sets them
	if err := refuse(tokens.LexAll(source, c)); err != nil {
		return nil, err
	}
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": source})
	if err != nil {
		return nil, err
	}
	x, err := exec.NewTemplate("/chat", c, loader, environment())
	if deep, ok := errors.AsType[depthError](err); ok {
		return nil, deep
	}
	if err != nil {
		// The parser repeats the whole source before it comes to the point.
		return nil, errors.New(strings.Replace(err.Error(), source, "chat template", 1))
	}
	if n := pythonOperators(reflect.ValueOf(x.Root()), map[unsafe.Pointer]int{}); n > maxChain {
		return nil, tooDeep("%d method calls in one chain, more than %d", n, maxChain)
	}
	sum := sha256.Sum256([]byte(source))
	return &Template{exec: x, source: source, hash: hex.EncodeToString(sum[:]), bos: bos, eos: eos}, nil
}

// Hash is the SHA-256 of the template's text, in hexadecimal.
func (t *Template) Hash() string { return t.hash }

// Source is the template's text.
func (t *Template) Source() string { return t.source }

// BOS and EOS are the texts of the first and last token; empty: none is named.
func (t *Template) BOS() string { return t.bos }

// EOS: see BOS.
func (t *Template) EOS() string { return t.eos }

// AddBOS tells whether the settings put BOS before a text that is no conversation. The
// post-processor of tokenizer.json, where it has a template, says so instead.
func (t *Template) AddBOS() bool { return t.addBOS }

// Render renders a conversation.
func (t *Template) Render(in Input) (string, error) {
	content := in.Content
	if content == nil {
		content = func(s string) string { return s }
	}
	messages := make([]any, len(in.Messages))
	for i, m := range in.Messages {
		messages[i] = dict("role", m.Role, "content", content(m.Content))
	}
	ctx := exec.EmptyContext()
	ctx.Set("messages", messages)
	ctx.Set("add_generation_prompt", in.Prompt)
	// Qwen 3 begins answers with an empty thought when this is off, in training
	// and in prompts alike.
	ctx.Set("enable_thinking", false)
	if in.Date != "" {
		ctx.Set("date_string", in.Date)
		ctx.Set("strftime_now", func(string) string { return in.Date })
	}
	if len(in.Tools) > 0 {
		tools, err := decode(in.Tools, content)
		if err != nil {
			return "", fmt.Errorf("template: tools: %w", err)
		}
		switch tools := tools.(type) {
		case nil:
		case []any:
			if len(tools) > 0 { // an empty list would still print a header
				ctx.Set("tools", tools)
			}
		default:
			return "", errors.New("template: tools: not a JSON array")
		}
	}
	return t.execute(ctx)
}

// Execute renders any variables, given as a JSON object; bos_token and eos_token
// are there already.
func (t *Template) Execute(variables json.RawMessage) (string, error) {
	v, err := decode(variables, func(s string) string { return s })
	if err != nil {
		return "", fmt.Errorf("template: variables: %w", err)
	}
	d, ok := v.(*exec.Dict)
	if !ok {
		return "", errors.New("template: variables: not a JSON object")
	}
	ctx := exec.EmptyContext()
	for _, p := range d.Pairs {
		ctx.Set(p.Key.String(), p.Value.Interface())
	}
	return t.execute(ctx)
}

func (t *Template) execute(ctx *exec.Context) (text string, err error) {
	defer caught(&err)
	for name, value := range map[string]string{"bos_token": t.bos, "eos_token": t.eos} {
		if !ctx.Has(name) && value != "" {
			ctx.Set(name, value)
		}
	}
	out := &bounded{}
	ctx.Set(budgetName, newBudget())
	if err := t.exec.Execute(out, ctx); err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	return out.String(), nil
}

// caught turns a panic of the template engine into an error: templates and
// values come from outside.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("template: the template engine broke: %v (%s)", p, place(debug.Stack()))
	}
}

// place names the function that panicked.
func place(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") && i+2 < len(lines) {
			return strings.TrimSpace(lines[i+2])
		}
	}
	return "?"
}

func dict(keysAndValues ...string) *exec.Dict {
	d := exec.NewDict()
	for i := 0; i < len(keysAndValues); i += 2 {
		d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(keysAndValues[i]),
			Value: exec.AsValue(keysAndValues[i+1])})
	}
	return d
}
