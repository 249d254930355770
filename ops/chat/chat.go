// Package chat talks with a model in a terminal: words are shown as they come, calls of tools are shown and their
// results are typed in. It knows no model, only an address that speaks OpenAI's chat completions.
//
//	c := chat.Chat{URL: "http://127.0.0.1:8000/v1", In: os.Stdin, Out: os.Stdout}
//	err := c.Run(ctx)
package chat

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Chat is a conversation. Zero values of the settings leave them to the server.
type Chat struct {
	URL    string // up to /v1
	Key    string // bearer token; "": none
	Tools  json.RawMessage
	System string // the first message; "": none
	In     io.Reader
	Out    io.Writer

	Temperature *float64
	Seed        *int64
	MaxTokens   int

	lines    <-chan line
	messages []message
}

// line is one that was typed, or the error that ended the input.
type line struct {
	text string
	err  error
}

const help = `Type a message. When the model calls a tool, type the call's result, or @FILE for what is in a file.
/new forgets the conversation, /quit or the end of input ends it.
`

// maxRounds bounds the calls that follow one message without words for the person between.
const maxRounds = 20

// Run talks until the input ends, or ctx. What the server refuses is shown, and the conversation goes on from before
// that message.
func (c *Chat) Run(ctx context.Context) error {
	c.lines = readLines(ctx, c.In)
	c.forget()
	fmt.Fprint(c.Out, help)
	for {
		text, err := c.ask(ctx, "> ")
		switch {
		case errors.Is(err, io.EOF), err == nil && text == "/quit":
			return nil
		case err != nil:
			return err
		case text == "":
			continue
		case text == "/new":
			c.forget()
			continue
		case strings.HasPrefix(text, "/"):
			fmt.Fprint(c.Out, help)
			continue
		}
		before := len(c.messages)
		c.messages = append(c.messages, message{Role: "user", Content: &text})
		err = c.answer(ctx)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			fmt.Fprintf(c.Out, "refused: %s\n", refused.text)
			c.messages = c.messages[:before]
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// forget begins a new conversation.
func (c *Chat) forget() {
	c.messages = nil
	if c.System != "" {
		c.messages = append(c.messages, message{Role: "system", Content: &c.System})
	}
}

// answer shows the model's turn. As long as it calls tools, it asks for the results and goes on.
func (c *Chat) answer(ctx context.Context) error {
	for range maxRounds {
		turn, finish, err := c.complete(ctx)
		if err != nil {
			return err
		}
		c.messages = append(c.messages, turn)
		if finish == "length" {
			fmt.Fprintln(c.Out, "(the answer was cut off: allow more tokens)")
		}
		if len(turn.Calls) == 0 {
			return nil
		}
		if err := c.results(ctx, turn.Calls); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Out, "(%d calls of tools in a row: say what to do now)\n", maxRounds)
	return nil
}

// results shows calls and asks for the result of each.
func (c *Chat) results(ctx context.Context, calls []call) error {
	for _, call := range calls {
		fmt.Fprintf(c.Out, "→ %s(%s)\n", plain(call.Function.Name), plain(call.Function.Arguments))
	}
	for _, call := range calls {
		text, err := c.result(ctx, "result of "+plain(call.Function.Name)+": ")
		if err != nil {
			return err
		}
		c.messages = append(c.messages, message{Role: "tool", Content: &text, ID: call.ID})
	}
	return nil
}

// result is a typed line, or the content of a file.
func (c *Chat) result(ctx context.Context, prompt string) (string, error) {
	for {
		text, err := c.ask(ctx, prompt)
		name, isFile := strings.CutPrefix(text, "@")
		if err != nil || !isFile {
			return cmp.Or(text, "null"), err
		}
		data, err := os.ReadFile(name)
		if err == nil {
			return string(data), nil
		}
		fmt.Fprintln(c.Out, err)
	}
}

// ask shows a prompt and waits for a line.
func (c *Chat) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(c.Out, prompt)
	select {
	case l := <-c.lines:
		if l.err != nil {
			fmt.Fprintln(c.Out)
		}
		return strings.TrimSpace(l.text), l.err
	case <-ctx.Done():
		fmt.Fprintln(c.Out)
		return "", ctx.Err()
	}
}

// maxLine bounds a typed line, in bytes.
const maxLine = 1 << 20

// readLines reads in a goroutine, because a read of a terminal cannot be cancelled. The goroutine ends with the input,
// or with the line after ctx ends.
func readLines(ctx context.Context, in io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		s := bufio.NewScanner(in)
		s.Buffer(nil, maxLine)
		for {
			l := line{err: io.EOF}
			if s.Scan() {
				l = line{text: s.Text()}
			} else if s.Err() != nil {
				l.err = fmt.Errorf("input: %w", s.Err())
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
			if l.err != nil {
				return
			}
		}
	}()
	return lines
}

// plain replaces what a model could do to a terminal: control characters but line ends and tabs.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, text)
}
