package chat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// message is one turn, as the API has it.
type message struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	Calls   []call  `json:"tool_calls,omitempty"`
	ID      string  `json:"tool_call_id,omitempty"` // of the call whose result it is
}

type call struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"` // JSON
	} `json:"function"`
}

type request struct {
	Messages    []message       `json:"messages"`
	Tools       json.RawMessage `json:"tools,omitempty"`
	Temperature *float64        `json:"temperature,omitempty"`
	Seed        *int64          `json:"seed,omitempty"`
	MaxTokens   int             `json:"max_tokens,omitempty"`
	Stream      bool            `json:"stream"`
}

// event is one of a stream.
type event struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
			Calls   []call `json:"tool_calls"`
		} `json:"delta"`
		Finish string `json:"finish_reason"`
	} `json:"choices"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// refusal is an error that the server explains.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// complete draws the next turn and shows its words.
func (c *Chat) complete(ctx context.Context) (turn message, finish string, err error) {
	body, err := json.Marshal(request{c.messages, c.Tools, c.Temperature, c.Seed, c.MaxTokens, true})
	if err != nil {
		return turn, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return turn, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return turn, "", err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return turn, "", explained(reply)
	}
	return c.read(reply.Body)
}

// explained is the error of a status.
func explained(reply *http.Response) error {
	var e event
	raw, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err == nil && json.Unmarshal(raw, &e) == nil && e.Error != nil {
		return &refusal{plain(e.Error.Message)}
	}
	return &refusal{reply.Status}
}

// read shows the words of a stream and collects the turn.
func (c *Chat) read(stream io.Reader) (turn message, finish string, err error) {
	turn.Role = "assistant"
	var words strings.Builder
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			break
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return turn, "", fmt.Errorf("the server's stream: %w", err)
		}
		if e.Error != nil {
			return turn, "", &refusal{plain(e.Error.Message)}
		}
		for _, choice := range e.Choices {
			fmt.Fprint(c.Out, plain(choice.Delta.Content))
			words.WriteString(choice.Delta.Content)
			turn.Calls = append(turn.Calls, choice.Delta.Calls...)
			finish = choice.Finish
		}
	}
	if err := lines.Err(); err != nil {
		return turn, "", fmt.Errorf("the server's stream: %w", err)
	}
	if finish == "" {
		return turn, "", errors.New("the server ended the stream before the answer")
	}
	if words.Len() > 0 {
		fmt.Fprintln(c.Out)
	}
	if text := words.String(); text != "" || len(turn.Calls) == 0 {
		turn.Content = &text
	}
	return turn, finish, nil
}
