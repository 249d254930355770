package synth

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// refusal answers a request that no tool fits.
const refusal = "I have no tool for that."

// openers may stand before a request, joints between two.
var (
	openers = []string{"", "", "please ", "can you help: "}
	joints  = []string{" and ", ", then ", "; also "}
)

// writer makes rows from one stream of random numbers.
type writer struct {
	Config
	rand    *rand.Rand
	literal bool // of this row
}

// tool is an action in the words of one row.
type tool struct {
	action
	name   string
	params []string // names, one per param of the action
}

// row is one conversation: candidate tools, then a request that they fit or not.
func (w *writer) row() Row {
	w.literal = w.rand.Float64() < w.Literal
	dialect := w.rand.IntN(2)
	actions := w.candidates()
	kind := w.rand.Float64()
	var left action // what no tool does
	if kind < w.NoTool {
		if len(actions) == 1 {
			actions = append(actions, w.other(actions))
		}
		left, actions = actions[len(actions)-1], actions[:len(actions)-1]
	}
	w.rand.Shuffle(len(actions), func(i, j int) { actions[i], actions[j] = actions[j], actions[i] })
	tools := make([]tool, len(actions))
	for i, a := range actions {
		tools[i] = w.tool(a, dialect)
	}
	var ask, answer string
	switch {
	case kind < w.NoTool:
		ask, _ = w.request(w.tool(left, dialect))
		answer = refusal
	case kind < w.NoTool+w.Missing:
		ask, answer = w.incomplete(pick(w, tools))
	default:
		ask, answer = w.requests(tools)
	}
	return Row{
		Messages: []Message{{"user", pick(w, openers) + ask}, {"assistant", answer}},
		Tools:    schema(tools),
	}
}

// candidates picks different actions, mostly of one domain, so that the right one
// has near-duplicates.
func (w *writer) candidates() []action {
	list := []action{pick(w, pick(w, domains))}
	for n := 1 + w.rand.IntN(w.Tools); len(list) < n; {
		list = append(list, w.other(list))
	}
	return list
}

// other picks an action that is not among list, a neighbour of its first one by
// preference.
func (w *writer) other(list []action) action {
	for {
		domain := pick(w, domains)
		if w.rand.IntN(4) > 0 {
			domain = home(list[0])
		}
		a := pick(w, domain)
		known := false
		for _, b := range list {
			known = known || a.names[0] == b.names[0]
		}
		if !known {
			return a
		}
	}
}

// home is the domain of an action.
func home(a action) []action {
	for _, d := range domains {
		for _, b := range d {
			if a.names[0] == b.names[0] {
				return d
			}
		}
	}
	return nil
}

// tool chooses how a tool calls itself and its parameters; the tools of a row name
// the same parameter alike, as those of one service do.
func (w *writer) tool(a action, dialect int) tool {
	t := tool{action: a, name: pick(w, a.names)}
	for _, p := range a.params {
		t.params = append(t.params, p.names[dialect])
	}
	return t
}

// requests asks for one to Calls calls.
func (w *writer) requests(tools []tool) (ask, answer string) {
	n := 1
	for n < w.Calls && w.rand.IntN(4) == 0 {
		n++
	}
	var calls []toolcall.Call
	for i := range n {
		if i > 0 {
			ask += pick(w, joints)
		}
		said, call := w.request(pick(w, tools))
		ask, calls = ask+said, append(calls, call)
	}
	return ask, toolcall.Print(calls)
}

// request asks for one call: all required parameters and perhaps optional ones.
func (w *writer) request(t tool) (string, toolcall.Call) {
	ask := pick(w, t.ask)
	call := toolcall.Call{Name: t.name}
	for i, p := range t.action.params {
		if p.clause != "" {
			if w.rand.IntN(2) == 0 {
				continue
			}
			ask += p.clause
		}
		said, v := w.value(p.values, ask)
		ask = strings.ReplaceAll(ask, "{"+p.key+"}", said)
		call.Args = append(call.Args, toolcall.Arg{Name: t.params[i], Value: v})
	}
	return ask, call
}

// incomplete asks without saying one parameter; the answer asks back.
func (w *writer) incomplete(t tool) (ask, answer string) {
	l := pick(w, t.lack)
	ask = l.ask
	for i, p := range t.action.params {
		if p.key == l.key {
			answer = "Please tell me the " + t.params[i] + "."
		}
		said, _ := w.value(p.values, ask)
		ask = strings.ReplaceAll(ask, "{"+p.key+"}", said)
	}
	return ask, answer
}

// value draws a value that is not said yet, and how the request says it.
func (w *writer) value(v values, ask string) (said string, out toolcall.Value) {
	said, out = w.draw(v, ask)
	if w.literal {
		out = toolcall.Text(said)
	}
	return said, out
}

func (w *writer) draw(v values, ask string) (said string, out toolcall.Value) {
	if v.kind == "integer" {
		n := v.from + w.rand.IntN(v.to-v.from+1)
		return strconv.Itoa(n), toolcall.Integer(int64(n))
	}
	for {
		word := pick(w, v.words)
		if v.open && w.rand.Float64() < w.Open {
			word = w.word()
		}
		said = word
		if ways := v.said[word]; len(ways) > 0 {
			said = pick(w, ways)
		}
		if v.kind == "boolean" {
			return said, toolcall.Truth(word == "true")
		}
		if !strings.Contains(ask, said) { // from Rome to Rome is no request
			return said, toolcall.Text(word)
		}
	}
}

// word makes a word of two or three syllables that stands on no list.
func (w *writer) word() string {
	var b strings.Builder
	for range 2 + w.rand.IntN(2) {
		b.WriteByte("bdfgklmnprstvz"[w.rand.IntN(14)])
		b.WriteByte("aeiou"[w.rand.IntN(5)])
	}
	s := b.String()
	return strings.ToUpper(s[:1]) + s[1:]
}

// schema writes tools as JSON by hand: the parameters keep their order, which the
// chat template shows.
func schema(tools []tool) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, t := range tools {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"name":"` + t.name + `","description":"` + t.about + `","parameters":{"type":"object","properties":{`)
		var required []string
		for j, p := range t.action.params {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + t.params[j] + `":{"type":"` + p.values.kind + `"`)
			if p.values.enum {
				b.WriteString(`,"enum":["` + strings.Join(p.values.words, `","`) + `"]`)
			}
			b.WriteByte('}')
			if p.clause == "" {
				required = append(required, t.params[j])
			}
		}
		b.WriteString(`},"required":["` + strings.Join(required, `","`) + `"]}}`)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// pick draws one of list.
func pick[T any](w *writer, list []T) T { return list[w.rand.IntN(len(list))] }
