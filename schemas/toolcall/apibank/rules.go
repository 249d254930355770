package apibank

import (
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// check compares the result of a call with the recorded one. As soon as missing or raised is set, the rule has ended
// with an exception, and every comparison is false.
type check struct {
	name      string // of the API
	input     python.Value
	output    python.Value
	exception python.Value // a text or nil
	truth     *python.Dict
	missing   string // KeyError
	raised    string // another exception
	left      string // the input that the rule took out of both
}

// of is a part of the recorded result; readTruth saw to output and exception.
func (c *check) of(part string) python.Value {
	v, ok := c.truth.Get(part)
	if !ok && c.missing == "" {
		c.missing = part
	}
	return v
}

// inputs returns an input as it is given and as it is recorded.
func (c *check) inputs(name string) (got, want python.Value) {
	if c.ended() {
		return nil, nil
	}
	got, okGot := entry(c.input, name)
	want, okWant := entry(c.of("input"), name)
	if !okGot || !okWant {
		c.missing = "input " + name
	}
	return got, want
}

func entry(v python.Value, name string) (python.Value, bool) {
	d, ok := v.(*python.Dict)
	if !ok {
		return nil, false
	}
	return d.Get(name)
}

// texts are inputs that the rule treats as texts.
func (c *check) texts(name string) (got, want string) {
	a, b := c.inputs(name)
	got, okGot := a.(string)
	want, okWant := b.(string)
	if !c.ended() && (!okGot || !okWant) {
		c.raised = "input " + name + " is no text"
	}
	return got, want
}

func (c *check) ended() bool { return c.missing != "" || c.raised != "" }

// load looks all inputs up, as rules do that read them before they compare.
func (c *check) load(names ...string) bool {
	for _, name := range names {
		c.inputs(name)
	}
	return !c.ended()
}

// same compares an input as it is.
func (c *check) same(name string) bool {
	got, want := c.inputs(name)
	return !c.ended() && python.Equal(got, want)
}

// alike compares an input after it is changed. An error of form is an input that equals nothing.
func (c *check) alike(name string, form func(string) (string, error)) bool {
	got, want := c.texts(name)
	if c.ended() {
		return false
	}
	a, errA := form(got)
	b, errB := form(want)
	return errA == nil && errB == nil && a == b
}

// overlapping compares the sets of words of an input: more than half of all words are in both.
func (c *check) overlapping(name string, form func(string) string) bool {
	got, want := c.texts(name)
	if c.ended() {
		return false
	}
	in := map[string]int{}
	for side, text := range []string{got, want} {
		for _, w := range strings.Split(form(text), " ") {
			in[w] |= 1 << side
		}
	}
	both := 0
	for _, sides := range in {
		if sides == 3 {
			both++
		}
	}
	return 2*both > len(in)
}

// without takes an input out of both sides, also for the category of a wrong answer.
func (c *check) without(name string) bool {
	c.inputs(name)
	c.left = name
	return !c.ended() && python.Equal(c.kept(c.input), c.kept(c.of("input")))
}

// kept is an input without what the rule took out.
func (c *check) kept(v python.Value) python.Value {
	d, ok := v.(*python.Dict)
	if !ok || c.left == "" {
		return v
	}
	d = d.Shallow()
	d.Delete(c.left)
	return d
}

func (c *check) sameInput() bool  { return python.Equal(c.input, c.of("input")) && !c.ended() }
func (c *check) sameOutput() bool { return !c.ended() && python.Equal(c.output, c.of("output")) }
func (c *check) sameError() bool  { return !c.ended() && python.Equal(c.exception, c.of("exception")) }
func (c *check) outcome() bool    { return c.sameOutput() && c.sameError() }

// noResult is false where nothing is recorded and something returned; what else is returned does not matter.
func (c *check) noResult() bool { return !c.ended() && (c.of("output") != nil || c.output == nil) }

// sameName says that both results name the same API.
func (c *check) sameName() bool { return python.Equal(c.name, c.of("api_name")) && !c.ended() }

// The rules, by what they compare.

func whole(c *check) bool { return c.sameInput() && c.outcome() }

func named(c *check) bool { return c.sameName() && c.outcome() }

func nameOnly(c *check) bool { return c.sameName() }

// both is two rules, of which the first is about the name.
func both(first, second func(*check) bool) func(*check) bool {
	return func(c *check) bool { return first(c) && second(c) }
}

func meeting(c *check) bool {
	alike := c.overlapping("meeting_topic", asIs)
	return c.without("meeting_topic") && alike && c.outcome()
}

func agenda(c *check) bool {
	return c.overlapping("content", asIs) && c.same("time") && c.same("location") && c.outcome()
}

func reminder(c *check) bool {
	return c.overlapping("content", strings.ToLower) && c.same("time") && c.outcome()
}

func deletion(c *check) bool {
	if c.output == "success" && c.of("output") == "success" {
		return c.same("time")
	}
	return c.outcome()
}

func output(c *check) bool { return c.sameOutput() }

func anyDay(c *check) bool { return c.output != nil && c.exception == nil }

// devices compares two lists. Lists of an answer are texts, on which the original's rule ends.
func devices(c *check) bool {
	if !c.load("name", "devices") {
		return false
	}
	if got, _ := c.inputs("devices"); python.TypeName(got) == "str" {
		c.raised = "TypeError: the devices are a text"
	}
	return false
}

func asIs(s string) string { return s }

// inputsAs is the rule that compares some inputs, each in a form, and then the outcome.
func inputsAs(forms ...form) func(*check) bool {
	return func(c *check) bool {
		return compareForms(c, forms) && c.outcome()
	}
}

// registered is inputsAs with a result that is drawn at random.
func registered(forms ...form) func(*check) bool {
	return func(c *check) bool { return compareForms(c, forms) && c.noResult() && c.sameError() }
}

// recorded does not compare the data.
func recorded(c *check) bool {
	return c.load("user_id", "time", "health_data") && c.alike("user_id", upper) && c.alike("time", moment) &&
		c.outcome()
}

func account(c *check) bool { return c.noResult() && c.sameInput() && c.sameError() }

// form of one input; nil: as it is. An optional one may be None on both sides.
type form struct {
	name     string
	of       func(string) (string, error)
	optional bool
	raises   bool // what has no form ends the original
}

func compareForms(c *check, forms []form) bool {
	for _, f := range forms {
		c.inputs(f.name)
	}
	for _, f := range forms {
		if !f.compare(c) {
			return false
		}
	}
	return !c.ended()
}

func (f form) compare(c *check) bool {
	got, want := c.inputs(f.name)
	if f.of == nil || f.optional && (got == nil || want == nil) {
		return c.same(f.name)
	}
	if text, ok := got.(string); ok && f.raises {
		if _, err := f.of(text); err != nil {
			c.raised = err.Error()
		}
	}
	return c.alike(f.name, f.of)
}
