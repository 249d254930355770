// Package toolcall is the grammar of an answer: it reads, prints and compares tool
// calls such as
//
//	[get_weather(city='Paris', days=3), Market Trends API(country='us')]
//
// Two readers, on purpose:
//
//   - [Parse] reads our own grammar, strictly: names with blanks (ToolACE), keywords
//     as parameter names, true/null beside True/None, nothing evaluated.
//   - [Decode] reads what BFCL's checker reads: lenient at the rim (fences, missing
//     brackets), then a Python expression; [DecodeSource] is its sibling for Java and
//     JavaScript.
//
// [Read] tries the first, then the second: right for a model's answer when the
// judgement need not equal BFCL's to the letter.
//
// The package does not judge: package bfcl compares calls with the expected ones. It
// knows no model, no file and no clock; it never panics on input, and every reader is
// bounded in size and depth. The smallest use:
//
//	calls, err := toolcall.Read(answer)
//	if err != nil { ... }
//	fmt.Println(toolcall.Print(calls))
package toolcall

// A Call is one tool call: its name and its keyword arguments in written order.
type Call struct {
	Name string // as written, outer blanks removed; may hold blanks, dots, slashes
	Args []Arg  // names are distinct
}

// An Arg is one keyword argument.
type Arg struct {
	Name  string
	Value Value
}

// Arg returns the value of the argument called name, and whether it was given.
func (c Call) Arg(name string) (Value, bool) {
	for _, a := range c.Args {
		if a.Name == name {
			return a.Value, true
		}
	}
	return Value{}, false
}

// Read parses a model's answer: our own grammar first, then BFCL's decoding. The
// error is that of the grammar that got further into the text.
func Read(answer string) ([]Call, error) {
	calls, err := Parse(answer)
	if err == nil {
		return calls, nil
	}
	lenient, lenientErr := Decode(answer)
	if lenientErr == nil {
		return lenient, nil
	}
	if offsetOf(lenientErr) > offsetOf(err) {
		return nil, lenientErr
	}
	return nil, err
}
