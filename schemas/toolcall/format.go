package toolcall

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Format is the form in which a model writes its calls. Its chat template asks for it.
type Format string

// The formats.
const (
	// Pythonic is [f(a=1), g()].
	Pythonic Format = "pythonic"
	// Hermes is <tool_call>⏎{"name": "f", "arguments": {"a": 1}}⏎</tool_call>, one block
	// per call, where ⏎ is a line end. Hermes and Qwen use it.
	Hermes Format = "hermes"
	// LlamaJSON is {"name": "f", "parameters": {"a": 1}}, with "; " between calls. Llama 3.1
	// and later use it.
	LlamaJSON Format = "llama_json"
)

const (
	openCall  = "<tool_call>"
	closeCall = "</tool_call>"
	pythonTag = "<|python_tag|>"
)

// FormatOf returns the format of an answer. The beginning of the text behind a thought
// decides. If words stand there, the first mark of a format behind them does.
func FormatOf(answer string) Format {
	_, rest := CutThought(answer)
	text := strings.TrimSpace(rest)
	switch {
	case strings.HasPrefix(text, openCall):
		return Hermes
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, pythonTag):
		return LlamaJSON
	case strings.HasPrefix(text, "["):
		return Pythonic
	}
	first, at := Pythonic, Pythonic.callsAt(text)
	for _, f := range []Format{Hermes, LlamaJSON} {
		if i := f.callsAt(text); i >= 0 && (at < 0 || i < at) {
			first, at = f, i
		}
	}
	return first
}

// FormatOfTemplate returns the format that a chat template asks for.
func FormatOfTemplate(jinja string) Format {
	switch {
	case strings.Contains(jinja, openCall):
		return Hermes
	case strings.Contains(jinja, `"parameters": dictionary of argument name`):
		return LlamaJSON
	}
	return Pythonic
}

// foreignMarks begin calls in formats that this package does not read, in the chat templates of published models.
var foreignMarks = []string{
	"[TOOL_CALLS]", "[TOOL_CALL]", "<|tool_call|>", "<|tool_call_start|>", "<|tool_calls_section_begin|>",
	"<tool_calls>", "<toolcall>", "<TOOLCALL>", "<function_call>", "<functioncall>", "<function_calls>", "<function=",
	"<start_function_call>", "<invoke name=", "functools[", "to=functions", "<|START_ACTION|>", "<|action_start|>",
	"<|plugin|>", "<｜tool▁calls▁begin｜>", "✿FUNCTION✿",
}

// ForeignMark returns the mark behind which a chat template asks for calls in a format that is none of ours, or
// "" if it names none, or one of ours as well.
func ForeignMark(jinja string) string {
	if FormatOfTemplate(jinja) != Pythonic {
		return ""
	}
	for _, mark := range foreignMarks {
		if strings.Contains(jinja, mark) {
			return mark
		}
	}
	return ""
}

// Reads reports whether text is calls in this format, with the same names, arguments and values as calls. White
// space and the order of the fields may differ from what Print writes.
func (f Format) Reads(text string, calls []Call) bool {
	if f == LlamaJSON && !strings.Contains(text, `"parameters"`) {
		return false // Read also accepts "arguments", which such a model was not taught
	}
	got, err := f.Read(text)
	return err == nil && f.Print(got) == f.Print(calls)
}

// Print writes calls as the model would. The JSON formats write what Python's json.dumps
// writes, as chat templates do: a tuple becomes a list, a nested call an object. Calls that
// JSON cannot hold (infinities, dict keys that are not strings) read back changed.
func (f Format) Print(calls []Call) string {
	if f != Hermes && f != LlamaJSON {
		return Print(calls)
	}
	var b strings.Builder
	for i, c := range calls {
		if f == LlamaJSON {
			if i > 0 {
				b.WriteString("; ")
			}
			jsonCallTo(&b, c, "parameters")
			continue
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(openCall + "\n")
		jsonCallTo(&b, c, "arguments")
		b.WriteString("\n" + closeCall)
	}
	return b.String()
}

// Read reads a model's answer in the format. Text outside the blocks of Hermes is ignored, as
// the programs that serve such models do. The error is a *SyntaxError. ReadTurn also keeps
// the words before the calls.
func (f Format) Read(answer string) ([]Call, error) {
	switch f {
	case Hermes:
		_, rest := CutThought(answer)
		t, err := readHermes(rest)
		return t.Calls, err
	case LlamaJSON:
		t, err := readLlama(answer)
		return t.Calls, err
	}
	return Read(answer)
}

// readHermes reads the blocks of calls.
func readHermes(answer string) (t Turn, err error) {
	c, err := newCursor(answer)
	if err != nil {
		return t, err
	}
	for {
		next := strings.Index(c.text[c.pos:], openCall)
		if next < 0 {
			break
		}
		if len(t.Calls) > 0 {
			t.After += strings.TrimSpace(c.text[c.pos : c.pos+next])
		}
		c.pos += next + len(openCall)
		call, literal, err := c.hermesCall()
		if err != nil {
			return Turn{}, err
		}
		t.Calls, t.Literal = append(t.Calls, call), t.Literal || literal
		if c.blanks(); !c.take(closeCall) {
			return Turn{}, c.want(closeCall)
		}
	}
	if len(t.Calls) == 0 {
		c.pos = 0
		return Turn{}, c.want(openCall)
	}
	t.After, t.Lost = t.After+strings.TrimSpace(c.text[c.pos:]), c.lost
	return t, nil
}

// hermesCall reads the JSON of a block or, like the makers of Hermes, Python's literal of the
// same dict: {'name': 'f', 'arguments': {'a': True}}.
func (c *cursor) hermesCall() (call Call, literal bool, err error) {
	start := *c
	if call, err = c.jsonCall("arguments"); err == nil {
		return call, false, nil
	}
	at := start
	at.plain = true
	at.blanks()
	inner := at
	inner.take("{")
	if inner.blanks(); inner.peek() != '\'' {
		return call, false, err
	}
	v, literalErr := at.value()
	if literalErr != nil {
		return call, false, err
	}
	c.pos = at.pos
	call, err = start.callOf(v, "arguments")
	c.lose(start.lost)
	return call, true, err
}

func readLlama(answer string) (t Turn, err error) {
	c, err := newCursor(answer)
	if err != nil {
		return t, err
	}
	c.blanks()
	c.take(pythonTag)
	for {
		call, err := c.jsonCall("parameters", "arguments")
		if err != nil {
			return Turn{}, err
		}
		t.Calls = append(t.Calls, call)
		c.blanks()
		if c.end() {
			t.Lost = c.lost
			return t, nil
		}
		if !c.take(";") {
			return Turn{}, c.want(`";" or the end`)
		}
	}
}

// jsonCall reads {"name": …, "arguments": {…}}. keys are the possible names of the second
// field. Other fields are noted in lost.
func (c *cursor) jsonCall(keys ...string) (Call, error) {
	c.blanks()
	if c.peek() != '{' {
		return Call{}, c.want(`"{"`)
	}
	start := *c
	dec := json.NewDecoder(strings.NewReader(c.text[c.pos:]))
	dec.UseNumber()
	v, err := fromJSON(dec, 0)
	c.pos += int(dec.InputOffset())
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			c.pos = min(start.pos+int(syntax.Offset), len(c.text))
		}
		return Call{}, c.want("JSON")
	}
	if at := LoneSurrogate([]byte(c.text[start.pos:c.pos])); at >= 0 {
		start.pos += at
		return Call{}, start.want("an escape that names a character")
	}
	if key := RepeatedKey([]byte(c.text[start.pos:c.pos])); key != "" {
		c.lose("a second " + key)
	}
	call, err := start.callOf(v, keys...)
	c.lose(start.lost)
	return call, err
}

// lose notes what the calls that are read do not hold.
func (c *cursor) lose(what string) {
	if c.lost == "" {
		c.lost = what
	}
}

// saysNothing are the fields of a call, its name aside, that no call needs to hold.
var saysNothing = []string{"name", "id", "type", "call_id", "index"}

// callOf makes the call of an object with "name" and one of keys. Arguments that are null or
// a blank text are none. The cursor stands at the object, for errors.
func (c *cursor) callOf(v Value, keys ...string) (Call, error) {
	name, _ := v.get("name")
	if name.Kind != String || name.Text == "" {
		return Call{}, c.want(`an object with "name"`)
	}
	call := Call{Name: name.Text}
	for _, p := range v.Pairs {
		if !slices.Contains(saysNothing, p.Key.Text) && !slices.Contains(keys, p.Key.Text) {
			c.lose(p.Key.Text)
		}
	}
	for _, key := range keys {
		args, given := v.get(key)
		if !given {
			continue
		}
		if len(keys) > 1 && key == keys[0] {
			if _, both := v.get(keys[1]); both {
				c.lose(keys[1])
			}
		}
		var err error
		if call.Args, err = ArgsOf(args); err != nil {
			return Call{}, c.want(fmt.Sprintf("an object at %q", key))
		}
		return call, nil
	}
	return Call{}, c.want(fmt.Sprintf("an object with %q", keys[0]))
}

// ArgsOf takes the arguments out of a dict. Null and a blank text are no arguments, as many
// programs write them for a call without parameters. Any other value is an error.
func ArgsOf(v Value) ([]Arg, error) {
	switch {
	case v.Kind == None, v.Kind == String && strings.TrimSpace(v.Text) == "":
		return nil, nil
	case v.Kind != Dict:
		return nil, fmt.Errorf("want an object, got a %s", v.Kind)
	}
	var args []Arg
	for _, p := range v.Pairs {
		if p.Key.Kind != String {
			return nil, fmt.Errorf("want texts as names, got %s", p.Key.Short())
		}
		args = append(args, Arg{Name: p.Key.Text, Value: p.Value})
	}
	return args, nil
}

// JSON returns the arguments as a JSON object, as Print writes them.
func (c Call) JSON() string {
	var b strings.Builder
	jsonArgs(&b, c)
	return b.String()
}

func jsonCallTo(b *strings.Builder, c Call, key string) {
	b.WriteString(`{"name": `)
	jsonString(b, c.Name)
	b.WriteString(`, "` + key + `": `)
	jsonArgs(b, c)
	b.WriteByte('}')
}

func jsonArgs(b *strings.Builder, c Call) {
	b.WriteByte('{')
	for i, a := range c.Args {
		comma(b, i)
		jsonString(b, a.Name)
		b.WriteString(": ")
		jsonTo(b, a.Value)
	}
	b.WriteByte('}')
}

func jsonTo(b *strings.Builder, v Value) {
	switch v.Kind {
	case None:
		b.WriteString("null")
	case Bool:
		b.WriteString(strconv.FormatBool(v.Bool))
	case String:
		jsonString(b, v.Text)
	case List, Tuple:
		b.WriteByte('[')
		for i, item := range v.Items {
			comma(b, i)
			jsonTo(b, item)
		}
		b.WriteByte(']')
	case Dict:
		b.WriteByte('{')
		for i, p := range v.Pairs {
			comma(b, i)
			key := p.Key.Text
			if p.Key.Kind != String {
				key = printValue(p.Key)
			}
			jsonString(b, key)
			b.WriteString(": ")
			jsonTo(b, p.Value)
		}
		b.WriteByte('}')
	case Nested:
		jsonTo(b, v.CallsAsDicts())
	default: // JSON writes numbers as Python does
		writeValue(b, v, false)
	}
}

// jsonString is json.dumps(s, ensure_ascii=False).
func jsonString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20:
			writeHex(b, `\u`, r, 4)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// Marks returns the texts that calls can begin with.
func (f Format) Marks() []string {
	switch f {
	case Hermes:
		return []string{openCall}
	case LlamaJSON:
		return []string{"{", pythonTag}
	}
	return []string{"["}
}
