package synth

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// refusal is the answer to a request that no tool fits.
const refusal = "I have no tool for that."

// openers are put before a request, joints between two requests.
var (
	openers = []string{"", "", "please ", "can you help: "}
	joints  = []string{" and ", ", then ", "; also "}
)

// writer makes rows from one stream of random numbers.
type writer struct {
	Config
	Words
	order   *rand.Rand // shuffles arguments; a stream of its own, so that AnyOrder does not change the requests
	literal bool       // whether this row has literal answers
	dialect int        // which names this row uses: its tools give the same parameter the same name
}

// tool is an action in the words of one row.
type tool struct {
	action
	name   string
	maker  string // "" for none; two tools of one action have different makers
	unique bool   // no other tool of the row has this action: a request need not name the maker
}

// row makes one conversation: candidate tools, then requests, for which a tool may be missing.
func (w *writer) row() Row {
	w.literal = w.rand.Float64() < w.Literal
	w.dialect = w.rand.IntN(2)
	tools := w.tools()
	row := Row{Tools: schema(tools, w.dialect)}
	for range 1 + w.rand.IntN(max(1, w.Turns)) {
		ask, answer := w.turn(tools)
		row.Messages = append(row.Messages, Message{"user", pick(w, openers) + ask}, Message{"assistant", answer})
	}
	return row
}

// turn makes one request and its answer.
func (w *writer) turn(tools []tool) (ask, answer string) {
	switch kind := w.rand.Float64(); {
	case kind < w.NoTool:
		t := w.tool(w.unrelated(tools), tools)
		t.unique = true // so the maker is not always named: an unknown maker would reveal the answer
		ask, _ = w.request(t)
		return ask, refusal
	case kind < w.NoTool+w.Missing:
		return w.incomplete(pick(w, tools))
	}
	return w.requests(tools)
}

// tools draws the candidates of a row: one tool, and others that are often similar to it.
func (w *writer) tools() []tool {
	list := []tool{w.tool(pick(w, pick(w, domains)), nil)}
	for n := 1 + w.rand.IntN(w.Tools); len(list) < n; {
		a := pick(w, pick(w, domains))
		switch w.rand.IntN(4) {
		case 0: // the same action by another maker
			a = list[0].action
		case 1, 2: // an action of the same domain
			a = pick(w, domainOf(list[0].action))
		}
		list = append(list, w.tool(a, list))
	}
	for i := range list {
		list[i].unique = w.count(list, list[i].action) == 1
	}
	w.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// tool draws the name of a tool for an action. If other tools have the same action, all of
// them get a maker. No two tools of a row have the same maker.
func (w *writer) tool(a action, others []tool) tool {
	same := false
	for i := range others {
		if o := &others[i]; o.about == a.about {
			if same = true; o.maker == "" {
				o.setMaker(w.maker(others))
			}
		}
	}
	t := tool{action: a, name: w.toolName(a)}
	if same || w.rand.IntN(2) == 0 {
		t.setMaker(w.maker(others))
	}
	return t
}

// setMaker gives a tool a maker and puts it into the tool's name.
func (t *tool) setMaker(maker string) { t.maker, t.name = maker, maker+"_"+t.name }

// maker draws a word that is in no tool's name.
func (w *writer) maker(tools []tool) string {
	for {
		m := w.Word()
		if !slices.ContainsFunc(tools, func(t tool) bool { return strings.Contains(t.name, m) }) {
			return m
		}
	}
}

// toolName draws a tool name of this source's fold. Every second name has an invented
// word, so that a model that has memorized the listed names must still read the tools.
func (w *writer) toolName(a action) string {
	verb, noun := pick(w, a.verbs), pick(w, a.nouns)
	for {
		switch w.rand.IntN(4) {
		case 0:
			return w.Word() + "_" + noun
		case 1:
			return verb + "_" + w.Word()
		}
		if name := verb + "_" + noun; w.inFold(name) {
			return name
		}
		verb, noun = pick(w, a.verbs), pick(w, a.nouns)
	}
}

func (w *writer) count(list []tool, a action) int {
	n := 0
	for _, t := range list {
		if t.about == a.about {
			n++
		}
	}
	return n
}

// unrelated draws an action that no tool of the row has.
func (w *writer) unrelated(tools []tool) action {
	for {
		if a := pick(w, pick(w, domains)); w.count(tools, a) == 0 {
			return a
		}
	}
}

// domainOf returns the domain of an action.
func domainOf(a action) []action {
	for _, d := range domains {
		if slices.ContainsFunc(d, func(b action) bool { return a.about == b.about }) {
			return d
		}
	}
	return nil
}

// requests makes a request for one to Calls calls, and its answer.
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

// request makes a request for one call: with all required parameters, and with each
// optional one half of the time.
func (w *writer) request(t tool) (string, toolcall.Call) {
	ask := pick(w, t.ask)
	call := toolcall.Call{Name: t.name}
	for _, p := range t.params {
		if p.clause != "" {
			if w.rand.IntN(2) == 0 {
				continue
			}
			ask += p.clause
		}
		said, v := w.value(p.values, ask)
		ask = strings.ReplaceAll(ask, "{"+p.key+"}", said)
		call.Args = append(call.Args, toolcall.Arg{Name: p.names[w.dialect], Value: v})
	}
	if w.AnyOrder {
		w.order.Shuffle(len(call.Args), func(i, j int) { call.Args[i], call.Args[j] = call.Args[j], call.Args[i] })
	}
	if t.maker != "" && (!t.unique || w.rand.IntN(2) == 0) {
		ask += " with " + t.maker
	}
	return ask, call
}

// incomplete makes a request that lacks one parameter; the answer asks for it.
func (w *writer) incomplete(t tool) (ask, answer string) {
	l := pick(w, t.incomplete)
	ask = l.ask
	for _, p := range t.params {
		if p.key == l.key {
			answer = "Please tell me the " + p.names[w.dialect] + "."
		}
		said, _ := w.value(p.values, ask)
		ask = strings.ReplaceAll(ask, "{"+p.key+"}", said)
	}
	return ask, answer
}

// value draws a value and how the request says it. It must not be in the request yet, not
// even in other words: "from Rome to Rome" makes no sense, nor does "dollars to bucks".
func (w *writer) value(v values, ask string) (said string, out toolcall.Value) {
	for {
		said, out = w.draw(v)
		ways := append([]string{said}, v.said[out.Text]...)
		if v.kind == "boolean" || !slices.ContainsFunc(ways, func(s string) bool { return strings.Contains(ask, s) }) {
			break
		}
	}
	if w.literal {
		out = toolcall.Text(said)
	}
	return said, out
}

func (w *writer) draw(v values) (said string, out toolcall.Value) {
	switch v.kind {
	case "integer":
		n := w.Number(v.from, v.to)
		return strconv.Itoa(n), toolcall.Integer(int64(n))
	case "number":
		n := w.Number(v.from, v.to)
		f := float64(n) + float64(1+w.rand.IntN(9))/10
		return strconv.FormatFloat(f, 'f', 1, 64), toolcall.Number(f)
	case "object":
		a := v.from + w.rand.IntN(v.to-v.from)
		b := a + 1 + w.rand.IntN(v.to-a)
		return strconv.Itoa(a) + " and " + strconv.Itoa(b), toolcall.Value{Kind: toolcall.Dict, Pairs: []toolcall.Pair{
			{Key: toolcall.Text("from"), Value: toolcall.Integer(int64(a))},
			{Key: toolcall.Text("to"), Value: toolcall.Integer(int64(b))},
		}}
	case "array":
		names, items := []string{}, []toolcall.Value{}
		for range 1 + w.rand.IntN(3) {
			names = append(names, w.Name())
			items = append(items, toolcall.Text(names[len(names)-1]))
		}
		return strings.Join(names, " and "), toolcall.ListOf(items...)
	}
	if v.invented {
		said = w.Name()
		if v.lower {
			said = strings.ToLower(said)
		}
		return said, toolcall.Text(said)
	}
	word := pick(w, v.words)
	said = pick(w, v.said[word])
	if v.kind == "boolean" {
		return said, toolcall.Truth(word == "true")
	}
	return said, toolcall.Text(word)
}

// schema writes the tools as JSON. It does not use encoding/json, so that the parameters
// keep their order, which the chat template shows to the model.
func schema(tools []tool, dialect int) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, t := range tools {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"name":"` + t.name + `","description":"` + t.about + `",`)
		b.WriteString(`"parameters":{"type":"object","properties":{`)
		var required []string
		for j, p := range t.params {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + p.names[dialect] + `":` + p.values.schema())
			if p.clause == "" {
				required = append(required, p.names[dialect])
			}
		}
		b.WriteString(`},"required":["` + strings.Join(required, `","`) + `"]}}`)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func (v values) schema() string {
	switch {
	case v.kind == "array":
		return `{"type":"array","items":{"type":"string"}}`
	case v.kind == "object":
		return `{"type":"object","properties":{"from":{"type":"integer"},"to":{"type":"integer"}},` +
			`"required":["from","to"]}`
	case v.kind == "string" && !v.invented:
		return `{"type":"string","enum":["` + strings.Join(v.words, `","`) + `"]}`
	}
	return `{"type":"` + v.kind + `"}`
}

// pick draws one element of list.
func pick[T any](w *writer, list []T) T { return list[w.rand.IntN(len(list))] }
