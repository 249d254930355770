// Package toolcalltest has data for tests of tool calls: calls that every format must keep, and
// readers of third-party data that lies beside the repository.
package toolcalltest

import (
	"testing"

	"itool/schemas/toolcall"
)

// Formats are all formats.
var Formats = []toolcall.Format{toolcall.Pythonic, toolcall.Hermes, toolcall.LlamaJSON}

// answers are in the form of toolcall.Parse.
var answers = map[string]string{
	"no arguments": `[now()]`,
	"quotes":       `[say(a='it\'s "so", he said', b="it's", c='"', d='\\', e='\\"')]`,
	"brackets": `[say(a='[f(a=1)], {x}', b=')', c=']}', d='{"name": "g"}; {', ` +
		`e='</tool_call>\n<tool_call>')]`,
	"line ends":           `[say(a='one\ntwo\r\n\tthree', b=' ', c='', d='. ')]`,
	"Unicode":             `[find(a='Größe', b='東京', c='👍🏽', d='e\u0301', größe=1)]`,
	"numbers":             `[add(a=-1, b=0, c=-0.5, d=1e-07, e=1.0, f=12345678901234567890)]`,
	"none, true, false":   `[set(a=None, b=True, c=False, d='None', e='true')]`,
	"lists":               `[plot(a=[], b=[[1, -2], [3.5]], c=['x, y', None, True])]`,
	"objects":             `[make(a={}, b={'k': {'l': [1, {'m': "it's"}]}, 'a b': -1}, c={'"': ']'})]`,
	"several":             `[now(), say(a='x; y', b=2), get.weather(city='Oslo', days=[1, 2])]`,
	"everything in a few": `[say(a='it\'s "so" [f(a=1)]}', b={'k': [-1, None, {'é': True}]}), now()]`,
}

// Calls returns calls by the name of their case: strings with quotes and brackets, nested
// objects, Unicode, negative numbers, none and true. JSON can hold all of them.
func Calls(t testing.TB) map[string][]toolcall.Call {
	t.Helper()
	all := map[string][]toolcall.Call{}
	for name, text := range answers {
		calls, err := toolcall.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = calls
	}
	return all
}
