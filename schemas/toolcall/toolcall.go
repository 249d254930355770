// Package toolcall is the grammar of an answer: it reads, prints and compares tool
// calls such as
//
//	[get_weather(city='Paris', days=3), Market Trends API(country='us')]
//
// There are two readers of this form:
//
//   - [Parse] reads our own grammar strictly. It accepts names with blanks (ToolACE),
//     keywords as parameter names, and true/null as well as True/None. It evaluates nothing.
//   - [Decode] reads what BFCL's checker reads: fences and missing outer brackets are
//     forgiven, the rest is a Python expression. [DecodeEdition] refuses and reads exactly
//     what one edition of the original does. Package bfcl/source reads Java and JavaScript.
//
// [Read] tries Parse, then Decode. Use it for a model's answer if the result need not be
// exactly BFCL's. A [Format] reads and prints the other forms in which models write calls.
//
// The package does not judge: package bfcl compares calls with the expected ones. It knows
// no model, no file and no clock. It does not panic on any input, and every reader has
// limits of size and depth. For an answer that cannot be read, Parse and Read return a
// *[SyntaxError] with the place. The smallest use:
//
//	calls, err := toolcall.Read(answer)
//	if err != nil { ... }
//	fmt.Println(toolcall.Print(calls))
package toolcall

// A Call is one tool call: its name and its keyword arguments in the order of the text.
type Call struct {
	Name string // as written, without outer blanks; can hold blanks, dots, slashes
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

// Read reads a model's answer: with Parse, and if that fails with Decode. The error is that
// of the reader that got further into the text.
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
