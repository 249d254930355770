package format

import (
	"strings"

	"itool/schemas/toolcall"
)

// apiRequest ends the assistant's last words in Hammer's rows of API-Bank: it asks the model
// for the calls and is none of its words.
const apiRequest = "Generate API Request:"

// xlam reads a query, tools and the calls that answer it. Hammer's query is a conversation.
func (im *importer) xlam(in fields) (row Row, err error) {
	if row.Tools, err = im.tools(in, "tools"); err != nil {
		return row, err
	}
	if kind(in.get("query")) == "a list" {
		all, err := list("query", in.get("query"))
		if err != nil {
			return row, err
		}
		if row.Messages, err = im.turns(placed("query", all)); err != nil {
			return row, err
		}
		row.Messages = fenced(row.Messages)
	} else {
		query, err := text("query", in.get("query"))
		if err != nil {
			return row, err
		}
		row.Messages = []Message{{Role: "user", Content: query}}
	}
	system, err := optional("system", in.get("system"))
	if err != nil {
		return row, err
	}
	if err := row.addSystem(system); err != nil {
		return row, err
	}
	if len(in.get("answers")) == 0 {
		return row, fail(NoAnswer, "answers", "missing")
	}
	answers := in.get("answers")
	if kind(answers) == "a text" {
		s, err := text("answers", answers)
		if err != nil {
			return row, err
		}
		if strings.TrimSpace(s) == "" {
			return row, fail(NoAnswer, "answers", "the text is blank")
		}
		calls, err := im.callText("answers", s)
		return row.answered(calls).onlyAnswer(), err
	}
	calls, err := im.functions("answers", answers)
	return row.answered(calls).onlyAnswer(), err
}

// onlyAnswer marks the earlier turns of the assistant as context: the row asks for one answer, and
// what stands before it is its question.
func (row Row) onlyAnswer() Row {
	for i := range row.Messages[:max(len(row.Messages)-1, 0)] {
		row.Messages[i].Context = row.Messages[i].Role == "assistant"
	}
	return row
}

// answered adds the calls: to the assistant's turn, if its words are the last.
func (row Row) answered(calls []toolcall.Call) Row {
	last := len(row.Messages) - 1
	if last < 0 || row.Messages[last].Role != "assistant" || len(row.Messages[last].Calls) > 0 {
		row.Messages = append(row.Messages, Message{Role: "assistant", Calls: calls})
		return row
	}
	words := strings.TrimSuffix(strings.TrimSpace(row.Messages[last].Content), apiRequest)
	row.Messages[last].Content = strings.TrimSpace(words)
	row.Messages[last].Calls = calls
	return row
}

// fenced reads the earlier calls of Hammer, ```[{"name": …}]```, and joins them with the words
// before them, which the same model says.
func fenced(messages []Message) []Message {
	im := &importer{}
	im.layout, _ = layoutOf(XLAM)
	var out []Message
	for _, m := range messages {
		inner, opened := strings.CutPrefix(strings.TrimSpace(m.Content), "```")
		inner, closed := strings.CutSuffix(inner, "```")
		if m.Role == "assistant" && opened && closed {
			if calls, err := im.callText("", inner); err == nil {
				out = Row{Messages: out}.answered(calls).Messages
				continue
			}
		}
		out = append(out, m)
	}
	return out
}
