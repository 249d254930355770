package eval

import (
	"fmt"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
)

// chatMessage is a message as OpenAI's API has it.
type chatMessage struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []chatCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type chatCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// chat writes a conversation for the API, in which a result names its call. Where calls and results do not
// match, such as calls that only BFCL's reader finds in a text, the results are the user's words.
func chat(messages []multiturn.Message) []chatMessage {
	var out []chatMessage
	for i := 0; i < len(messages); i++ {
		m := messages[i]
		results := resultsAt(messages[i+1:])
		calls := chatCalls(m, len(results), i)
		if m.Role != "assistant" || len(results) == 0 {
			out = append(out, chatMessage{Role: m.Role, Content: m.Content})
			continue
		}
		i += len(results)
		if calls == nil {
			out = append(out, chatMessage{Role: m.Role, Content: m.Content},
				chatMessage{Role: "user", Content: "Results of the calls:\n" + strings.Join(results, "\n")})
			continue
		}
		out = append(out, chatMessage{Role: m.Role, ToolCalls: calls})
		for k, result := range results {
			out = append(out, chatMessage{Role: "tool", Content: result, ToolCallID: calls[k].ID})
		}
	}
	return out
}

// resultsAt are the results that messages begin with.
func resultsAt(messages []multiturn.Message) (results []string) {
	for _, m := range messages {
		if m.Role != "tool" {
			break
		}
		results = append(results, m.Content)
	}
	return results
}

// chatCalls reads the n calls of a message; nil where it has another number.
func chatCalls(m multiturn.Message, n, at int) []chatCall {
	turn, err := toolcall.Pythonic.ReadTurn(m.Content)
	if err != nil || len(turn.Calls) != n {
		return nil
	}
	calls := make([]chatCall, n)
	for i, c := range turn.Calls {
		args := toolcall.Value{Kind: toolcall.Dict}
		for _, a := range c.Args {
			args.Pairs = append(args.Pairs, toolcall.Pair{Key: toolcall.Text(a.Name), Value: a.Value})
		}
		calls[i] = chatCall{ID: fmt.Sprintf("call_%d_%d", at, i), Type: "function"}
		calls[i].Function.Name, calls[i].Function.Arguments = plainName(c.Name), args.JSON()
	}
	return calls
}
