package judge_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/judge"
)

func TestGraded(t *testing.T) {
	const two = `[{"name":"f","parameters":{"type":"dict","properties":{"a":{"type":"integer"},"b":{"type":"string"}},
		"required":["a"]}},{"name":"g","parameters":{"type":"dict","properties":{"x":{"type":"integer"}}}}]`
	call := schemas.Example{ID: "e", Tools: two, Reference: "[f(a=1, b='x')]", Calls: 1} // 5 units
	several := call
	several.Reference, several.Calls = "[f(a=1, b='x'), g(x=2)]", 2 // 8 units
	bench := call
	bench.Category, bench.Acceptable = "live_simple", `[{"f":{"a":[1,2],"b":["","x"]}}]` // 3 units, b is optional
	hermes := call
	hermes.Reference = `<tool_call>{"name": "f", "arguments": {"a": 1, "b": "x"}}</tool_call>`
	hermesOf := func(a string) string { return `<tool_call>{"name": "f", "arguments": {"a": ` + a + `}}</tool_call>` }
	prose := schemas.Example{ID: "e", Tools: two, Reference: "No tool fits."}
	open := schemas.Example{ID: "e", Tools: two, Calls: 1, Category: "live_relevance", Acceptable: `[]`}
	of := func(units, faults float64) float64 { return (units - 2*faults) / (units + 2*faults) }
	for name, c := range map[string]struct {
		ex     schemas.Example
		answer string
		want   float64
	}{
		"the reference":                     {call, "[f(a=1, b='x')]", 1},
		"another order":                     {call, "[f(b='x', a=1)]", 1},
		"a wrong value":                     {call, "[f(a=2, b='x')]", of(5, 1)},
		"a value of the wrong type":         {call, "[f(a='1', b='x')]", of(5, 1)},
		"two wrong values":                  {call, "[f(a=2, b='y')]", of(5, 2)},
		"the wrong tool":                    {call, "[g(a=1, b='x')]", of(5, 1)},
		"a missing argument":                {call, "[f(a=1)]", of(5, 2)},
		"a superfluous argument":            {call, "[f(a=1, b='x', c=3)]", of(5, 2)},
		"an argument by another name":       {call, "[f(a=1, c='x')]", of(5, 4)},
		"a superfluous call":                {call, "[f(a=1, b='x'), g(x=1)]", of(5, 3)},
		"nothing is right":                  {call, "[g(x=1)]", of(5, 7)},
		"calls in another order":            {several, "[g(x=2), f(a=1, b='x')]", 1},
		"a missing call":                    {several, "[g(x=2)]", of(8, 5)},
		"one of two calls is wrong":         {several, "[g(x=3), f(a=1, b='x')]", of(8, 1)},
		"an acceptable value":               {bench, "[f(a=2)]", 1},
		"as the benchmark compares text":    {bench, "[f(a=2, b='X ')]", 1},
		"an optional argument may be right": {bench, "[f(a=3, b='x')]", of(3, 1)},
		"… or absent":                       {bench, "[f(a=3)]", of(3, 1)},
		"an optional argument is wrong":     {bench, "[f(a=1, b='y')]", of(3, 1)},
		"hermes":                            {hermes, hermesOf("2"), of(5, 3)},
		"does not read":                     {call, "[f(a=1, b='x'", -1},
		"another format":                    {hermes, "[f(a=1, b='x')]", -1},
		"prose":                             {call, "I cannot do that.", -1},
		"no call":                           {call, "[]", -1},
		"a reference without calls":         {prose, "I cannot do that.", 1},
		"… that is called":                  {prose, "[f(a=1, b='x')]", -1},
		"any call is right":                 {open, "[g()]", 1},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := judge.NewExaminer(&c.ex)
			if err != nil {
				t.Fatal(err)
			}
			r, got := x.Graded(c.answer, false)
			if got != c.want || r != x.Outcome(c.answer, false) {
				t.Errorf("%q: O = %.3f, want %.3f; %+v", c.answer, got, c.want, r)
			}
			if r, o := x.Graded(c.answer, true); o != -1 || r.Pass {
				t.Errorf("%q, cut: O = %g, %+v; want −1", c.answer, o, r)
			}
		})
	}
}

// world is a random expectation, with what counts as right for each argument.
type world struct {
	tools  []toolcall.Tool
	want   []toolcall.Call // a right answer, without optional arguments
	accept []map[string]accept
	ex     schemas.Example
}

type accept struct {
	values   []toolcall.Value
	optional bool
}

const worldTools = `[
	{"name":"f","parameters":{"type":"dict","properties":{
		"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"float"}}}},
	{"name":"g","parameters":{"type":"dict","properties":{
		"a":{"type":"integer"},"b":{"type":"array","items":{"type":"integer"}}}}},
	{"name":"h","parameters":{"type":"dict","properties":{"c":{"type":"float"}}}}]`

var values = map[string]func(*rand.Rand) toolcall.Value{
	"a": func(r *rand.Rand) toolcall.Value {
		return toolcall.Value{Kind: toolcall.Int, Text: string('0' + rune(r.IntN(4)))}
	},
	"b": func(r *rand.Rand) toolcall.Value { return toolcall.Text(string('a' + rune(r.IntN(4)))) },
	"c": func(r *rand.Rand) toolcall.Value { return toolcall.Number(float64(r.IntN(4)) / 2) },
	"d": func(r *rand.Rand) toolcall.Value { return toolcall.Truth(r.IntN(2) == 0) },
}

// newWorld draws an expectation as BFCL writes it: lists of possible values, "" where one is optional.
func newWorld(t *testing.T, r *rand.Rand) *world {
	w := &world{}
	var err error
	if w.tools, err = toolcall.ParseTools(json.RawMessage(worldTools)); err != nil {
		t.Fatal(err)
	}
	var truth []map[string]map[string][]any
	for range 1 + r.IntN(3) {
		tool := w.tools[r.IntN(len(w.tools))]
		call, accepts, args := toolcall.Call{Name: tool.Name}, map[string]accept{}, map[string][]any{}
		for _, p := range tool.Params {
			if r.IntN(5) == 0 {
				continue
			}
			a := accept{optional: r.IntN(4) == 0}
			for range 1 + r.IntN(2) {
				v := values[p.Name](r)
				if p.Type == "array" {
					v = toolcall.ListOf(values["a"](r), values["a"](r))
				}
				a.values = append(a.values, v)
				var plain map[string]json.RawMessage
				text := toolcall.Call{Args: []toolcall.Arg{{Name: "v", Value: v}}}.JSON()
				if err := json.Unmarshal([]byte(text), &plain); err != nil {
					t.Fatal(err)
				}
				args[p.Name] = append(args[p.Name], plain["v"])
			}
			if accepts[p.Name] = a; a.optional {
				args[p.Name] = append(args[p.Name], "")
			} else {
				call.Args = append(call.Args, toolcall.Arg{Name: p.Name, Value: a.values[0]})
			}
		}
		w.want, w.accept = append(w.want, call), append(w.accept, accepts)
		truth = append(truth, map[string]map[string][]any{tool.Name: args})
	}
	text, err := json.Marshal(truth)
	if err != nil {
		t.Fatal(err)
	}
	w.ex = schemas.Example{
		ID: "w", Tools: worldTools, Calls: int32(len(w.want)), Category: "parallel", Acceptable: string(text),
		Reference: toolcall.Print(w.want),
	}
	return w
}

// answer is a right answer with some random changes.
func (w *world) answer(r *rand.Rand) []toolcall.Call {
	var calls []toolcall.Call
	for i, c := range w.want {
		c.Args = slices.Clone(c.Args)
		for _, name := range []string{"a", "b", "c"} {
			if a := w.accept[i][name]; a.optional && r.IntN(3) == 0 {
				c.Args = append(c.Args, toolcall.Arg{Name: name, Value: a.values[r.IntN(len(a.values))]})
			}
		}
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b toolcall.Call) int { return len(a.Args) - len(b.Args) })
	for range r.IntN(5) {
		calls = change(calls, r)
	}
	for i := range calls {
		r.Shuffle(len(calls[i].Args), func(a, b int) { x := calls[i].Args; x[a], x[b] = x[b], x[a] })
	}
	r.Shuffle(len(calls), func(a, b int) { calls[a], calls[b] = calls[b], calls[a] })
	return calls
}

func change(calls []toolcall.Call, r *rand.Rand) []toolcall.Call {
	names := []string{"a", "b", "c", "d"}
	if len(calls) == 0 || r.IntN(6) == 0 {
		n := names[r.IntN(4)]
		return append(calls, toolcall.Call{Name: "g", Args: []toolcall.Arg{{Name: n, Value: values[n](r)}}})
	}
	c := &calls[r.IntN(len(calls))]
	switch n := names[r.IntN(4)]; r.IntN(5) {
	case 0:
		c.Name = []string{"f", "g", "h", "unknown"}[r.IntN(4)]
	case 1:
		return calls[1:]
	case 2:
		if _, given := c.Arg(n); !given {
			c.Args = append(c.Args, toolcall.Arg{Name: n, Value: values[n](r)})
		}
	case 3:
		if len(c.Args) > 0 {
			c.Args = c.Args[1:]
		}
	default:
		if len(c.Args) > 0 {
			c.Args[0].Value = values[n](r)
		}
	}
	return calls
}

// fits asks the checker about one argument alone.
func (w *world) fits(i int, arg toolcall.Arg) bool {
	a, wanted := w.accept[i][arg.Name]
	if !wanted {
		return false
	}
	single := bfcl.Expected{{Name: w.want[i].Name, Args: []bfcl.Accept{{Name: arg.Name, Values: a.values}}}}
	calls := []toolcall.Call{{Name: w.want[i].Name, Args: []toolcall.Arg{arg}}}
	return bfcl.Check(calls, w.tools, single, bfcl.Multiple) == nil
}

// cost is what one call costs that stands for wanted call i; −1 stands for none.
func (w *world) cost(c *toolcall.Call, i int) (n int) {
	if c == nil || i < 0 {
		if c != nil {
			return 1 + 2*len(c.Args)
		}
		return 1 + 2*len(w.want[i].Args)
	}
	if c.Name != w.want[i].Name {
		n++
	}
	for _, arg := range c.Args {
		switch _, wanted := w.accept[i][arg.Name]; {
		case !wanted:
			n += 2
		case !w.fits(i, arg):
			n++
		}
	}
	for _, arg := range w.want[i].Args {
		if _, given := c.Arg(arg.Name); !given {
			n += 2
		}
	}
	return n
}

// cheapest tries every way in which calls can stand for wanted ones: the slow, obvious twin. It returns
// the cost and, for each call, the wanted one.
func (w *world) cheapest(calls []toolcall.Call) (int, []int) {
	best, stands := math.MaxInt, []int(nil)
	taken, at := make([]bool, len(w.want)), make([]int, len(calls))
	var try func(k, cost int)
	try = func(k, cost int) {
		if k == len(calls) {
			for i, t := range taken {
				if !t {
					cost += w.cost(nil, i)
				}
			}
			if cost < best {
				best, stands = cost, slices.Clone(at)
			}
			return
		}
		at[k] = -1
		try(k+1, cost+w.cost(&calls[k], -1))
		for i := range w.want {
			if !taken[i] {
				taken[i], at[k] = true, i
				try(k+1, cost+w.cost(&calls[k], i))
				taken[i] = false
			}
		}
	}
	try(0, 0)
	return best, stands
}

func (w *world) units() (n int) {
	for _, c := range w.want {
		n += 1 + 2*len(c.Args)
	}
	return n
}

// repairs are all answers with one fault less.
func (w *world) repairs(calls []toolcall.Call, stands []int) (out [][]toolcall.Call) {
	with := func(k int, c toolcall.Call) {
		next := slices.Clone(calls)
		next[k] = c
		out = append(out, next)
	}
	for k, c := range calls {
		i := stands[k]
		if i < 0 {
			out = append(out, slices.Delete(slices.Clone(calls), k, k+1))
			continue
		}
		if c.Name != w.want[i].Name {
			with(k, toolcall.Call{Name: w.want[i].Name, Args: c.Args})
		}
		for j, arg := range c.Args {
			a, wanted := w.accept[i][arg.Name]
			right := slices.Clone(c.Args)
			switch {
			case !wanted:
				with(k, toolcall.Call{Name: c.Name, Args: slices.Delete(right, j, j+1)})
				for name := range w.accept[i] { // under its right name, its value being right or not
					if _, given := c.Arg(name); !given {
						renamed := slices.Clone(c.Args)
						renamed[j].Name = name
						with(k, toolcall.Call{Name: c.Name, Args: renamed})
					}
				}
			case !w.fits(i, arg):
				right[j].Value = a.values[0]
				with(k, toolcall.Call{Name: c.Name, Args: right})
			}
		}
		for _, arg := range w.want[i].Args {
			if _, given := c.Arg(arg.Name); !given {
				with(k, toolcall.Call{Name: c.Name, Args: append(slices.Clone(c.Args), arg)})
			}
		}
	}
	for i, c := range w.want {
		if !slices.Contains(stands, i) {
			out = append(out, append(slices.Clone(calls), c))
		}
	}
	return out
}

// TestGradedOfRandomAnswers: O is that of the twin; it is +1 for answers that pass and for no others; it is
// bounded; every repair raises it; and no order changes it.
func TestGradedOfRandomAnswers(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 1))
	passed, repaired := 0, 0
	for range 3000 {
		w := newWorld(t, r)
		x, err := judge.NewExaminer(&w.ex)
		if err != nil {
			t.Fatal(err)
		}
		calls := w.answer(r)
		result, o := x.Graded(toolcall.Print(calls), false)
		faults, stands := w.cheapest(calls)
		units := float64(w.units())
		want := (units - 2*max(0.5, float64(faults))) / (units + 2*max(0.5, float64(faults)))
		switch {
		case result.Pass:
			passed++
			want = 1
		case len(calls) == 0:
			want = -1
		}
		if math.Abs(o-want) > 1e-12 || (o == 1) != result.Pass || o < -1 || o > 1 {
			t.Fatalf("%s against %s: O = %g, want %g; pass %t",
				toolcall.Print(calls), w.ex.Acceptable, o, want, result.Pass)
		}
		for _, better := range w.repairs(calls, stands) {
			repaired++
			if _, after := x.Graded(toolcall.Print(better), false); after <= o && o < 1 {
				t.Fatalf("against %s: the repair of\n%s to\n%s changes O from %g to %g", w.ex.Acceptable,
					toolcall.Print(calls), toolcall.Print(better), o, after)
			}
		}
		r.Shuffle(len(calls), func(a, b int) { calls[a], calls[b] = calls[b], calls[a] })
		for i := range calls {
			slices.Reverse(calls[i].Args)
		}
		// BFCL's checker matches calls greedily, so in rare cases the verdict itself depends on the order.
		if again, after := x.Graded(toolcall.Print(calls), false); again.Pass == result.Pass && after != o {
			t.Fatalf("%s: O = %g in one order, %g in another", toolcall.Print(calls), o, after)
		}
	}
	if passed < 100 || repaired < 1000 {
		t.Errorf("%d answers passed, %d were repaired: the test shows little", passed, repaired)
	}
}
