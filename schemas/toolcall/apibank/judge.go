package apibank

import (
	"fmt"
	"math/big"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Judge says whether an answer calls what the dialogue called. The databases are not changed.
func Judge(answer string, t Truth, db Databases) Verdict {
	call, found := Read(answer)
	if !found {
		return Verdict{Category: NoCall, Executed: true, Why: "it holds no [Name(…)]"}
	}
	if call.Name != t.Name {
		return Verdict{Category: NameMismatch, Executed: true, Why: call.Name + " is called, not " + t.Name}
	}
	a := apis[t.Name]
	args, v := a.arguments(call)
	if v.Category != "" {
		return v
	}
	if a.run == nil {
		return compareArguments(call, t)
	}
	q := &request{args: args, db: db[a.database], accounts: db["Account"]}
	output, err := a.run(q)
	c := &check{input: a.recorded(args), output: output, name: t.Name, truth: t.Result}
	if err != nil {
		c.output, c.exception = nil, err.Error()
	}
	return c.verdict(a.rule)
}

// Runs reports whether calls of an API run here, so that what they return is compared.
func Runs(name string) bool { return apis[name] != nil && apis[name].run != nil }

// arguments converts the arguments as their declared types want. A category says why they cannot be passed.
func (a *api) arguments(call Call) (args map[string]python.Value, v Verdict) {
	for _, name := range []string{"self", "tool_name"} { // parameters of the method that runs all APIs
		if _, given := call.Args[name]; given {
			return nil, Verdict{Category: Raises, Executed: true, Why: "TypeError: " + name + " is given twice"}
		}
	}
	args = map[string]python.Value{}
	for _, name := range call.Names {
		in, declared := a.input(name)
		if !declared {
			why := call.Name + " has no parameter " + name
			return nil, Verdict{Category: InvalidParameter, Executed: true, Why: why}
		}
		text := call.Args[name]
		switch in.kind {
		case "int":
			n, ok := digits(text)
			if !ok {
				why := name + ": want digits, got " + text
				return nil, Verdict{Category: Raises, Executed: true, Why: why}
			}
			args[name] = n
		case "bool":
			args[name] = text == "True"
		default:
			args[name] = text
		}
	}
	for _, in := range a.inputs {
		if _, given := args[in.name]; !given && !in.optional {
			return nil, Verdict{Category: MissingArgument, Executed: true, Why: in.name + " is missing"}
		}
	}
	return args, Verdict{}
}

func digits(text string) (*big.Int, bool) {
	if text == "" || len(text) > 4300 || strings.Trim(text, "0123456789") != "" { // Python reads at most 4300
		return nil, false
	}
	return new(big.Int).SetString(text, 10)
}

// compareArguments judges a call that cannot run: the same arguments, but for case, blanks and underscores.
func compareArguments(call Call, t Truth) Verdict {
	got, want := plainDict(call.dict()), plainDict(t.Args)
	if python.Equal(got, want) {
		return Verdict{Correct: true, Category: Correct}
	}
	return Verdict{Category: InputMismatch, Why: fmt.Sprintf("the arguments differ from those of the dialogue: %s",
		textOf(t.Args))}
}

func plainDict(d *python.Dict) *python.Dict {
	plain := python.NewDict()
	for _, key := range d.Keys() {
		value, _ := d.Get(key)
		if text, ok := value.(string); ok {
			value = strings.Join(strings.Fields(strings.ToLower(strings.ReplaceAll(text, "_", " "))), " ")
		}
		_ = plain.Set(key, value) // it was a key already
	}
	return plain
}

func textOf(v python.Value) string {
	text, err := python.Repr(v)
	if err != nil {
		return python.TypeName(v)
	}
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// verdict sorts an answer into the original's categories.
func (c *check) verdict(rule func(*check) bool) Verdict {
	passed := rule(c)
	v := Verdict{Executed: true}
	switch {
	case c.missing != "":
		v.Category, v.Why = KeyError, "the recorded call has no "+c.missing
	case c.raised != "":
		v.Category, v.Why = Raises, c.raised
	case passed:
		v.Correct, v.Category = true, Correct
	case c.exception != nil:
		v.Category, v.Why = HasException, fmt.Sprint(c.exception)
	case !python.Equal(c.output, c.of("output")):
		v.Category, v.Why = OutputMismatch, "it returns "+textOf(c.output)+", want "+textOf(c.of("output"))
	case !python.Equal(c.kept(c.input), c.kept(c.of("input"))):
		v.Category, v.Why = InputMismatch, "it gives "+textOf(c.input)+", want "+textOf(c.of("input"))
	default:
		v.Category, v.Why = Uncounted, c.left+" differs from the recorded one"
	}
	return v
}
