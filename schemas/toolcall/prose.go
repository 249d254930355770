package toolcall

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	// A call at the beginning, complete or cut off: get_weather(city=
	opensWithCall = regexp.MustCompile(`^[A-Za-z_][\w.]*\((\)\s*$|\s*[A-Za-z_]\w*\s*=[^=])`)
	// A call as JSON, anywhere: {"name": "f", "arguments": ...
	jsonCall = regexp.MustCompile(`"name"\s*:\s*"[^"]*"\s*,\s*"(?:arguments|parameters)"\s*:`)
	// The marks that models put around their calls.
	callMark = regexp.MustCompile(
		`(?i)</?tool_?calls?>|<\|python_tag\|>|\[TOOL_CALLS\]|</?function_?calls?>|<function=|<invoke name=|` +
			`<\|tool_call|<｜tool▁call|<start_function_call>|✿FUNCTION✿|<\|channel\|>|\bto=functions\.`)
	// A call as agents of ReAct and authors of datasets write it: Action: f ⏎ Action Input: {…}, and
	// {"tool": "f", "args": …}.
	agentCall = regexp.MustCompile(`(?m)^\s*Action:.*\n+\s*Action Input:|` +
		`\{\s*"(?:tool|tool_name|function|function_name|api|api_name|action)"\s*:\s*"[\w.:/-]*"\s*,\s*"` +
		`(?:(?:args|arguments|tool_args|kwargs|tool_input|action_input)"\s*:|` +
		`(?:params|parameters|input)"\s*:\s*"?\s*\{)`)
)

// IsProse reports whether an answer is a refusal, a question or a statement: it has words,
// a number ("42") or a symbol, and no call, complete or cut off, in any of the formats that
// models use. A right answer is prose if no call is wanted. What stands in <think>…</think>
// before it does not count. Only the caller knows whether the answer was cut off at its
// maximal length. A link such as [f()](url) is prose.
func IsProse(answer string) bool {
	_, answer = CutThought(answer)
	text := strings.Trim(answer, "` \t\r\n")
	if !strings.ContainsFunc(text, says) || strings.HasPrefix(text, openThought) || len(text) > MaxBytes ||
		opensWithCall.MatchString(text) {
		return false
	}
	if jsonCall.MatchString(text) || callMark.MatchString(text) || agentCall.MatchString(text) {
		return false
	}
	if f := FormatOf(answer); f != Pythonic {
		if _, err := f.Read(answer); err == nil {
			return false
		}
	}
	if calls, err := Decode(answer); err == nil && len(calls) > 0 && !aside.MatchString(text) {
		return false
	}
	return !holdsCall(text)
}

// aside is words with more in parentheses, such as "42 (approximately)" or "Yes (both)": Python
// reads them as a call.
var aside = regexp.MustCompile(`^[\p{L}\p{N}_]+\s+\([^=]*\)\W*$`)

// says reports whether a character can carry meaning: a letter, a number or a symbol such as 👍.
func says(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.So, r)
}

// holdsCall looks for a bracketed call, complete or cut off, anywhere in the text. A name ends
// at the next bracket, and no part is read twice as a call: the work is linear.
func holdsCall(text string) bool {
	c, err := newCursor(text)
	if err != nil {
		return true // not valid UTF-8, or too long
	}
	for {
		next := strings.IndexByte(text[c.pos:], '[')
		if next < 0 {
			return false
		}
		c.pos += next
		start := *c
		c.pos++
		if c.blanks(); c.callName() == "" {
			continue
		}
		*c = start
		// What reads as calls and has a parenthesis behind it is a link: [f()](url).
		if _, err := c.answer(); err != nil || c.peek() != '(' {
			return true
		}
	}
}
