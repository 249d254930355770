package synth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"itool/ops/synth"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/split/format"
)

func dataset(t *testing.T, c synth.Config) []synth.Row {
	t.Helper()
	seq, err := synth.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(seq)
}

func written(t *testing.T, c synth.Config) []byte {
	t.Helper()
	seq, err := synth.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := synth.Write(&b, seq); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameSeedSameBytes(t *testing.T) {
	c := synth.Default()
	c.Rows = 200
	a := written(t, c)
	if !bytes.Equal(a, written(t, c)) {
		t.Error("the same configuration gives different bytes")
	}
	c.Seed++
	if bytes.Equal(a, written(t, c)) {
		t.Error("another seed gives the same bytes")
	}
}

// TestAnswersPass checks every answer with the tools of its row: the tool and its
// parameters are declared, the required ones are given, and the BFCL checker accepts it.
func TestAnswersPass(t *testing.T) {
	difficulties, kinds := map[string]int{}, map[string]int{}
	c := synth.Default()
	c.Rows = 3000
	for i, r := range dataset(t, c) {
		tools, err := toolcall.ParseTools(r.Tools)
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		if strings.ContainsAny(r.Request(), "{}") {
			t.Errorf("row %d: a parameter was not filled into the request %q", i, r.Request())
		}
		calls, err := toolcall.Read(r.Answer())
		if err != nil {
			if !toolcall.IsProse(r.Answer()) {
				t.Errorf("row %d: %q is neither calls nor prose", i, r.Answer())
			}
			kinds["prose"]++
			calls = nil
		} else if m := bfcl.Check(calls, tools, bfcl.Reference(calls), bfcl.RuleFor(calls)); m != nil {
			t.Errorf("row %d: %q: %v", i, r.Answer(), m)
		}
		for _, call := range calls {
			checkDeclared(t, tools, call)
		}
		kinds[strings.Repeat("call ", len(calls))]++
		difficulties[difficulty(len(tools), len(r.Tools), len(calls))]++
	}
	t.Logf("difficulty by the thresholds of split: %v; answers: %v", difficulties, kinds)
	for _, d := range []string{"easy", "medium", "hard"} {
		if difficulties[d] < 300 {
			t.Errorf("only %d of 3000 rows are %s", difficulties[d], d)
		}
	}
	if p := kinds["prose"]; p < 150 || p > 450 {
		t.Errorf("%d of 3000 answers are prose, want about 300", p)
	}
}

// checkDeclared reports the arguments of a call that its tool does not declare, and the
// required ones that the call lacks.
func checkDeclared(t *testing.T, tools []toolcall.Tool, call toolcall.Call) {
	t.Helper()
	for _, tool := range tools {
		if tool.Name != call.Name {
			continue
		}
		for _, a := range call.Args {
			p, ok := tool.Param(a.Name)
			if !ok {
				t.Errorf("%s: no parameter %s", call.Name, a.Name)
			}
			if kind := map[string]toolcall.Kind{
				"string": toolcall.String, "integer": toolcall.Int, "number": toolcall.Float,
				"boolean": toolcall.Bool, "array": toolcall.List, "object": toolcall.Dict,
			}[p.Type]; kind != a.Value.Kind {
				t.Errorf("%s: %s is %v, want a %s", call.Name, a.Name, a.Value, p.Type)
			}
			in := p.Enum == nil
			for _, v := range p.Enum {
				in = in || v.String() == a.Value.String()
			}
			if !in {
				t.Errorf("%s: %s = %v is not in the enum", call.Name, a.Name, a.Value)
			}
		}
		for _, name := range tool.Required {
			if _, ok := call.Arg(name); !ok {
				t.Errorf("%s lacks %s", call.Name, name)
			}
		}
		return
	}
	t.Errorf("no tool %s", call.Name)
}

// difficulty is the rule of stage split for the difficulty of a row with a candidate tools,
// b characters of tools and c calls.
func difficulty(a, b, c int) string {
	switch {
	case a >= 4 || b > 2000 || c >= 4:
		return "hard"
	case a <= 1 && b < 1000 && c <= 1:
		return "easy"
	}
	return "medium"
}

// TestFoldsShareNothing: two folds share no tools and no values, except the values that a
// tool lists, true and false, and numbers below 100.
func TestFoldsShareNothing(t *testing.T) {
	c := synth.Default()
	c.Rows, c.Folds = 800, 3
	seen := map[string]int{} // tool name or value → the fold in which it was seen first
	for c.Fold = range c.Folds {
		c.Seed++
		for _, r := range dataset(t, c) {
			tools, err := toolcall.ParseTools(r.Tools)
			if err != nil {
				t.Fatal(err)
			}
			listed := map[string]bool{}
			words := map[string]bool{}
			for _, tool := range tools {
				words[tool.Name] = true
				for _, p := range tool.Params {
					for _, v := range p.Enum {
						listed[v.String()] = true
					}
				}
			}
			calls, _ := toolcall.Read(r.Answer())
			for _, call := range calls {
				for _, a := range call.Args {
					switch v := a.Value; {
					case v.Kind == toolcall.String && !listed[v.String()], v.Kind == toolcall.Int && len(v.Text) > 2:
						words[v.Text] = true
					case v.Kind == toolcall.List:
						for _, item := range v.Items {
							words[item.Text] = true
						}
					}
				}
			}
			for w := range words {
				if fold, ok := seen[w]; ok && fold != c.Fold {
					t.Fatalf("%q is in folds %d and %d", w, fold, c.Fold)
				}
				seen[w] = c.Fold
			}
		}
	}
	if len(seen) < 2000 {
		t.Errorf("only %d different tools and values", len(seen))
	}
}

// TestVariety: every feature that the package promises occurs often enough.
func TestVariety(t *testing.T) {
	c := synth.Default()
	c.Rows = 3000
	n := map[string]int{}
	for _, r := range dataset(t, c) {
		tools, err := toolcall.ParseTools(r.Tools)
		if err != nil {
			t.Fatal(err)
		}
		abouts := map[string]bool{}
		for _, tool := range tools {
			if abouts[tool.Description] {
				n["one tool by two makers"]++
			}
			abouts[tool.Description] = true
			if len(tool.Required) < len(tool.Params) {
				n["optional parameters"]++
			}
			for _, p := range tool.Params {
				if p.Enum != nil {
					n["listed values"]++
				}
				n["of type "+p.Type]++
			}
		}
		n["tools "+strconv.Itoa(len(tools))]++
		if calls, err := toolcall.Read(r.Answer()); err == nil {
			n["calls "+strconv.Itoa(len(calls))]++
		} else {
			n["prose"]++
		}
	}
	t.Log(n)
	for _, what := range []string{
		"one tool by two makers", "optional parameters", "listed values", "of type array", "of type object",
		"of type number", "of type integer", "of type boolean", "of type string", "tools 1", "tools 6",
		"calls 1", "calls 2", "calls 3", "calls 4", "prose",
	} {
		if n[what] < 20 {
			t.Errorf("%s: %d times in 3000 rows, want at least 20", what, n[what])
		}
	}
}

// TestNoAmbiguity: no two tools of a row have the same name, and no request has the same
// value twice, such as the way from a place to itself.
func TestNoAmbiguity(t *testing.T) {
	c := synth.Default()
	c.Rows, c.Fold, c.Folds = 1500, 7, 100 // a fold with few words, so that collisions are likely
	for i, r := range dataset(t, c) {
		tools, err := toolcall.ParseTools(r.Tools)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, tool := range tools {
			if names[tool.Name] {
				t.Errorf("row %d: two tools are called %s", i, tool.Name)
			}
			names[tool.Name] = true
		}
		calls, _ := toolcall.Read(r.Answer())
		for _, call := range calls {
			values := map[string]bool{}
			for _, a := range call.Args {
				if a.Value.Kind == toolcall.String && values[a.Value.Text] {
					t.Errorf("row %d: %q: %s has %s twice", i, r.Request(), call.Name, a.Value.Text)
				}
				values[a.Value.Text] = true
			}
		}
	}
}

// TestTurns: a conversation has up to Turns requests, in turn with their answers.
func TestTurns(t *testing.T) {
	c := synth.Default()
	c.Rows, c.Turns = 200, 3
	most := 0
	for i, r := range dataset(t, c) {
		most = max(most, len(r.Messages)/2)
		for k, m := range r.Messages {
			if want := []string{"user", "assistant"}[k%2]; m.Role != want {
				t.Fatalf("row %d: turn %d has role %s, want %s", i, k, m.Role, want)
			}
		}
	}
	if most != 3 {
		t.Errorf("at most %d requests, want 3", most)
	}
}

// TestLiteral: literal answers differ from the usual ones, requests and tools do not, and
// every value is a text that the request contains.
func TestLiteral(t *testing.T) {
	c := synth.Default()
	usual := dataset(t, c)
	c.Literal = 1
	literal := dataset(t, c)
	differ := 0
	for i, r := range literal {
		if r.Request() != usual[i].Request() || string(r.Tools) != string(usual[i].Tools) {
			t.Fatalf("row %d: %q, want %q", i, r.Request(), usual[i].Request())
		}
		if r.Answer() == usual[i].Answer() {
			continue
		}
		differ++
		calls, err := toolcall.Read(r.Answer())
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		for _, call := range calls {
			for _, a := range call.Args {
				if a.Value.Kind != toolcall.String || !strings.Contains(r.Request(), a.Value.Text) {
					t.Errorf("row %d: %s = %v to %q", i, a.Name, a.Value, r.Request())
				}
			}
		}
	}
	if differ < len(literal)/2 {
		t.Errorf("%d of %d answers differ, want at least half", differ, len(literal))
	}
}

// TestAnyOrder: AnyOrder changes only the order of arguments. The share of calls with
// another order is as expected for a random order.
func TestAnyOrder(t *testing.T) {
	c := synth.Default()
	usual := dataset(t, c)
	c.AnyOrder = true
	differ, could := 0, 0
	for i, r := range dataset(t, c) {
		if r.Request() != usual[i].Request() || string(r.Tools) != string(usual[i].Tools) {
			t.Fatalf("row %d: %q, want %q", i, r.Request(), usual[i].Request())
		}
		got, err := toolcall.Read(r.Answer())
		if err != nil {
			if r.Answer() != usual[i].Answer() {
				t.Errorf("row %d: %s, want %s", i, r.Answer(), usual[i].Answer())
			}
			continue
		}
		want, err := toolcall.Read(usual[i].Answer())
		if err != nil || !toolcall.Equal(got, want) {
			t.Fatalf("row %d: %v: %s, want %s in any order", i, err, r.Answer(), usual[i].Answer())
		}
		for k, call := range got {
			if len(call.Args) > 1 {
				could++
			}
			if toolcall.Print(got[k:k+1]) != toolcall.Print(want[k:k+1]) {
				differ++
			}
		}
	}
	if share := float64(differ) / float64(could); could < 500 || share < 0.5 || share > 0.85 {
		t.Errorf("%d of %d calls have another order; want half of those with two arguments, and more of the others",
			differ, could)
	}
}

func TestImport(t *testing.T) {
	c := synth.Default()
	c.Rows = 50
	data := written(t, c)
	kind, err := format.Detect("rows.jsonl", data)
	if err != nil {
		t.Fatal(err)
	}
	rows := dataset(t, c)
	n := 0
	for got, err := range format.Read(context.Background(), bytes.NewReader(data), kind, 0, c.Rows) {
		if err != nil || got.Err != nil {
			t.Fatal(err, got.Err)
		}
		want := rows[n]
		if got.Messages[0].Content != want.Request() || got.Messages[1].Content != want.Answer() ||
			!json.Valid(got.Tools) {
			t.Errorf("row %d: got %v, want %v", n, got, want)
		}
		n++
	}
	if n != c.Rows {
		t.Errorf("imported %d rows, want %d", n, c.Rows)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*synth.Config){
		"rows":    func(c *synth.Config) { c.Rows = 0 },
		"tools":   func(c *synth.Config) { c.Tools = 9 },
		"calls":   func(c *synth.Config) { c.Calls = 0 },
		"missing": func(c *synth.Config) { c.Missing = 0.98 },
		"turns":   func(c *synth.Config) { c.Turns = 0 },
		"literal": func(c *synth.Config) { c.Literal = 2 },
		"fold":    func(c *synth.Config) { c.Fold, c.Folds = 2, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			c := synth.Default()
			change(&c)
			if _, err := synth.Make(c); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
		})
	}
}
