package judge_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/judge"
)

func examiner(t testing.TB, ex schemas.Example) *judge.Examiner {
	t.Helper()
	x, err := judge.NewExaminer(&ex)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

const twoTools = `[{"name":"f","parameters":{"type":"dict","properties":{"a":{"type":"integer"},"b":{"type":"string"}},
	"required":["a"]}},{"name":"g","parameters":{"type":"dict","properties":{"x":{"type":"integer"}}}}]`

// TestFragment: after before, the reference prefers better to worse. "$" is the end of the turn.
func TestFragment(t *testing.T) {
	call := schemas.Example{ID: "e", Tools: twoTools, Reference: "[f(a=1, b='x')]", Calls: 1}
	several := call
	several.Reference, several.Calls = "[f(a=1, b='x'), f(a=2), g(x=3)]", 3
	bench := call
	bench.Category, bench.Acceptable = "live_simple", `[{"f":{"a":[1,2],"b":["","x"]}}]`
	flag := call
	flag.Tools = `[{"name":"f","parameters":{"type":"dict","properties":{"on":{"type":"boolean"}}}}]`
	flag.Category, flag.Acceptable, flag.Reference = "live_simple", `[{"f":{"on":[true]}}]`, "[f(on=True)]"
	words := call
	words.Reference = "Let me see.\n[f(a=1, b='x')]"
	hermes := call
	hermes.Reference = `<tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>`
	llama := call
	llama.Reference = `{"name": "f", "parameters": {"a": 1, "b": "x"}}`
	prose := schemas.Example{ID: "e", Tools: twoTools, Reference: "No tool fits."}
	const open = `<tool_call>{"name": "f", "arguments": {`
	for _, c := range []struct {
		name                  string
		ex                    schemas.Example
		before, better, worse string
		want                  judge.Kind
	}{
		{"a value", call, "[f(", "a=1,", "a=2,", judge.KindValue},
		{"a value, the last one", call, "[f(a=1,", " b='x')", " b='y')", judge.KindValue},
		{"the type of a value", call, "[f(", "a=1,", "a='1',", judge.KindValue},
		{"a value, after a wrong one", call, "[f(a=7,", " b='x')", " b='y')", judge.KindValue},
		{"a value, in a whole answer", call, "", "[f(a=1, b='x')]$", "[f(a=2, b='x')]$", judge.KindValue},
		{"as the checker compares", call, "[f(a=1,", " b='x')", " b='X ')", ""},
		{"as the benchmark reads", flag, "[f(", "on=True)", "on=true)", judge.KindValue},
		{"both are acceptable", bench, "[f(", "a=1,", "a=2,", ""},
		{"neither is acceptable", bench, "[f(", "a=3,", "a=4,", ""},
		{"another argument", call, "[f(", "a=1,", "b='y',", ""},
		{"an argument that no call has", call, "[f(", "a=1,", "c=1,", judge.KindParameter},
		{"an argument that is there", call, "[f(a=1,", " b='x')", " a=1)", judge.KindParameter},
		{"a tool", call, "", "[f(", "[g(", judge.KindTool},
		{"a tool that is made up", call, "", "[f(", "[find_f(", judge.KindTool},
		{"any tool that is wanted", several, "", "[f(", "[g(", ""},
		{"a tool that is used up", several, "[g(x=3)", ", f(", ", g(", judge.KindTool},
		{"the arguments end too early", call, "[f(", "a=1,", "a=1)", judge.KindEnd},
		{"… an optional one is left", bench, "[f(", "a=1,", "a=1)", ""},
		{"… and behind a comma", call, "[f(a=1,", " b='x')", ")", judge.KindEnd},
		{"the arguments go on too long", call, "[f(a=1,", " b='x')", " b='x',", judge.KindEnd},
		{"… by one that no call has", call, "[f(a=1, b='x',", ")", " c=1)", judge.KindEnd},
		{"the calls end too early", several, "[f(a=1, b='x')", ", g(", "]", judge.KindEnd},
		{"the calls go on too long", call, "[f(a=1, b='x')", "]$", ", g(", judge.KindEnd},
		{"words behind the calls", call, "[f(a=1, b='x')]", "$", "\nSo", judge.KindEnd},
		{"a call over words", call, "", "[f(", "I cannot. ", judge.KindCall},
		{"words may come first", words, "", "[f(", "I will. ", ""},
		{"… but not alone", words, "I will. ", "", "So.$", ""},
		{"words over a call", prose, "", "I cannot. ", "[f(", judge.KindCall},
		{"a call over one word", call, "", "[f(", "No.$", judge.KindCall},
		{"one word over a call", prose, "", "No.$", "[f(", judge.KindCall},
		{"nothing after a call that is not wanted", prose, "[f(", "a=1)]$", "b=2,", ""},
		{"… not even its end", prose, "[f(", "a=[1')]$", "b=2)]", ""},
		{"words and their end", prose, "I cannot. ", "So.$", "So. ", ""},
		{"what may be a call", call, "", "[f(", "f(a=1)$", ""},
		{"nothing is decided", call, "[f(a", "=1", "=2", ""},
		{"right and then wrong", call, "[f(", "a=1)", "a=2,", ""},
		{"one of several calls", several, "[f(", "a=2)", "a=3)", judge.KindValue},
		{"what is left of several calls", several, "[f(a=2), f(", "a=1,", "a=2,", judge.KindValue},
		{"the call decides what is missing", several, "[f(", "a=2)", "a=1)", judge.KindEnd},
		{"… or superfluous", several, "[f(", "a=1,", "a=2,", judge.KindEnd},
		{"hermes: a value", hermes, open, `"a": 1,`, `"a": 2,`, judge.KindValue},
		{
			"hermes: the end", hermes, open + `"a": 1, "b": "x"}`,
			"}</tool_call>$", "}</tool_call><tool_call>", judge.KindEnd,
		},
		{"hermes: a tool", hermes, "", open, strings.Replace(open, "f", "h", 1), judge.KindTool},
		{"hermes: words", hermes, "", open, "I will. ", judge.KindCall},
		{"llama: a value", llama, `{"name": "f", "parameters": {`, `"a": 1,`, `"a": "1",`, judge.KindValue},
		{"llama: the end", llama, llama.Reference, "$", ";", judge.KindEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := examiner(t, c.ex)
			side := func(text string) judge.Fragment {
				text, ended := strings.CutSuffix(text, "$")
				return x.Fragment(c.before, text, ended)
			}
			better, worse := side(c.better), side(c.worse)
			if got, ok := better.Over(worse); got != c.want || ok != (c.want != "") {
				t.Errorf("%q, then %q over %q: %q %t, want %q", c.before, c.better, c.worse, got, ok, c.want)
			}
			if got, ok := worse.Over(better); ok {
				t.Errorf("%q, then %q over %q: %q", c.before, c.worse, c.better, got)
			}
		})
	}
}

// rightAnswer is a random answer that passes.
func (w *world) rightAnswer(r *rand.Rand) []toolcall.Call {
	calls := slices.Clone(w.want)
	for i := range calls {
		calls[i].Args = nil
		for _, name := range []string{"a", "b", "c"} {
			if a, wanted := w.accept[i][name]; wanted && (!a.optional || r.IntN(2) == 0) {
				calls[i].Args = append(calls[i].Args, toolcall.Arg{Name: name, Value: a.values[r.IntN(len(a.values))]})
			}
		}
		r.Shuffle(len(calls[i].Args), func(a, b int) { x := calls[i].Args; x[a], x[b] = x[b], x[a] })
	}
	r.Shuffle(len(calls), func(a, b int) { calls[a], calls[b] = calls[b], calls[a] })
	return calls
}

// TestFragmentsOfRandomAnswers: where two answers part, the reference never prefers the beginning of any
// answer to that of one that passes. In answers with a single wrong value it prefers the right one.
func TestFragmentsOfRandomAnswers(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 2))
	decided, parted := 0, 0
	for range 4000 {
		w := newWorld(t, r)
		f := toolcalltest.Formats[r.IntN(len(toolcalltest.Formats))]
		w.ex.Reference = f.Print(w.want)
		x := examiner(t, w.ex)
		a, b := f.Print(w.rightAnswer(r)), f.Print(w.rightAnswer(r))
		if r.IntN(2) == 0 {
			b = f.Print(w.answer(r))
		}
		passes := [2]bool{x.Outcome(a, false).Pass, x.Outcome(b, false).Pass}
		n := 0
		for n < min(len(a), len(b)) && a[n] == b[n] {
			n++
		}
		if parted++; n == len(a) || n == len(b) {
			continue
		}
		at := r.IntN(n + 1)
		endA, endB := n+r.IntN(len(a)-n+1), n+r.IntN(len(b)-n+1)
		fragmentA := x.Fragment(a[:at], a[at:endA], endA == len(a))
		fragmentB := x.Fragment(b[:at], b[at:endB], endB == len(b))
		kind, over := fragmentA.Over(fragmentB)
		if over {
			decided++
		}
		if over && passes[1] {
			t.Fatalf("%s: %q over %q by %s, though it passes", w.ex.Acceptable, a[:endA], b[:endB], kind)
		}
		if kind, over := fragmentB.Over(fragmentA); over && passes[0] {
			t.Fatalf("%s: %q over %q by %s, though it passes", w.ex.Acceptable, b[:endB], a[:endA], kind)
		}
	}
	if decided < parted/20 {
		t.Errorf("%d of %d are decided: the test shows little", decided, parted)
	}
}

// TestOneWrongValue: whole answers that differ in one value, which is wrong in one of them, are decided by it.
func TestOneWrongValue(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 3))
	tried := 0
	for range 2000 {
		w := newWorld(t, r)
		f := toolcalltest.Formats[r.IntN(len(toolcalltest.Formats))]
		w.ex.Reference = f.Print(w.want)
		x := examiner(t, w.ex)
		good := w.rightAnswer(r)
		k := r.IntN(len(good))
		if len(good[k].Args) == 0 || !x.Outcome(f.Print(good), false).Pass {
			continue
		}
		bad := slices.Clone(good)
		bad[k].Args = slices.Clone(good[k].Args)
		arg := &bad[k].Args[r.IntN(len(good[k].Args))]
		arg.Value = toolcall.Text("something else")
		a, b := x.Fragment("", f.Print(good), true), x.Fragment("", f.Print(bad), true)
		if kind, over := a.Over(b); !over || kind != judge.KindValue {
			t.Fatalf("%s: %q over %q: %q, want value", w.ex.Acceptable, f.Print(good), f.Print(bad), kind)
		}
		tried++
	}
	if tried < 1000 {
		t.Errorf("only %d answers were tried", tried)
	}
}

func FuzzFragment(f *testing.F) {
	f.Add("[f(", "a=1, b='x')]", true)
	f.Add("", "I cannot. ", false)
	f.Add(`<tool_call>{"name": "f"`, `, "arguments": {"a": 1}}`, false)
	examiners := []*judge.Examiner{
		examiner(f, schemas.Example{ID: "e", Tools: twoTools, Reference: "[f(a=1, b='x'), f(a=2), g(x=3)]", Calls: 3}),
		examiner(f, schemas.Example{ID: "e", Tools: twoTools, Reference: "No tool fits."}),
		examiner(f, schemas.Example{ID: "e", Tools: twoTools, Calls: 1,
			Reference: `<tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>`}),
	}
	f.Fuzz(func(t *testing.T, before, fragment string, ended bool) {
		for _, x := range examiners {
			a, b := x.Fragment(before, fragment, ended), x.Fragment(before, "", false)
			if _, over := a.Over(a); over {
				t.Fatalf("%q, %q is preferred to itself", before, fragment)
			}
			_, _ = b.Over(a)
			// Two different decisions cannot both be preferred to the other.
			c := x.Fragment(before, "a=1,", false)
			_, one := a.Over(c)
			if _, other := c.Over(a); one && other {
				t.Fatalf("%q: %q over \"a=1,\" and the other way round", before, fragment)
			}
		}
	})
}
