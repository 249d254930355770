package source_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/source"
)

// Values are source text; what it means depends on the declared type.
func Example() {
	calls, err := source.Java(`[Point.move(by=new int[]{1, 2}, name="a b")]`)
	fmt.Println(toolcall.Print(calls), err)
	_, err = source.Java("[Point.move(by={1, 2})]")
	fmt.Println(err)
	// Output:
	// [Point.move(by='new int[]{1,2}', name='a b')] <nil>
	// source: not in the part of the language that is read
}

// What the original's parsers return, by bfcl-eval 2026.3.23 with tree-sitter 0.21.3. "" is an error.
func TestJava(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"values", `some.it(a=5L, b="x y", c='c', d=true)`, `[some.it(a='5L', b='x y', c='c', d='true')]`},
		{"white space is lost", "some.it(a=1  +  2, b=x ? y : z)", "[some.it(a='1+2', b='x?y:z')]"},
		{"… but for that in calls", "some.it(a=f( 1 ,  2 ))", "[some.it(a='f( 1 ,  2 )')]"},
		{"an array", "some.it(a=new int[] {1, 2, }, b=new A[][]{{x}})",
			"[some.it(a='new int[]{1,2,}', b='new A[]{{x}}')]"},
		{"a body is lost", `some.it(a=new A<B, C>(1,"x") {{ add(1); }})`, `[some.it(a='new A<B,C>(1, "x")')]`},
		{"casts and lambdas", "some.it(a=(int) 5, b=(x, y) -> x, c=() -> 1)",
			"[some.it(a='(int)5', b='(x,y)->x', c='()->1')]"},
		{"a class, a method", "some.it(a=int[].class, b=A::new)", "[some.it(a='int[].class', b='A::new')]"},
		{"two calls", "some.it(a=1); some.it(b=2);", "[some.it(a='1')]"},
		{"the first of all", "new A() {{ add(b=2); }}; some.it(a=1);", "[add(b='2')]"},
		{"… in a size", "new int[f(b=2)]; some.it(a=1);", "[f(b='2')]"},
		{"assigned", "x = some.it(a=1)", "[some.it(a='1')]"},
		{"any operator", "some.it(abc+=1)", "[some.it(abc='1')]"},
		{"without a name", "some.it(abc, f(), 5)", "[some.it(='abc')]"},
		{"comments between", "some.it(a=1, /* c */ b=2) // c", "[some.it(a='1', b='2')]"},
		{"behind letters of two bytes", `some.it(a="é", b="xy")`, `[some.it(a='é"', =='y"')]`},
		{"too short to be completed", "f(a=5)", ""},
		{"complete", "f(a=5);", "[f(a='5')]"},
		{"long with two letters", "some.it(a=5LL)", ""},
		{"braces alone", "some.it(a={1, 2})", ""},
		{"a size", "some.it(a=new int[3])", ""},
		{"… in a call is not looked at", "some.it(a=f(new int[3]))", "[some.it(a='f(new int[3])')]"},
		{"words", "some.it(a=x y)", ""},
		{"generics alone", "some.it(a=List<String>)", ""},
		{"twice", "some.it(a=1, a=2)", ""},
		{"a comma last", "some.it(a=1, b=2,)", ""},
		{"unclosed", "some.it(a=1", ""},
		{"prose", "I cannot do that.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) { check(t, source.Java, tc.in, tc.want) })
	}
}

func TestJavaScript(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"values", `f(a=[1, 2], b='x', c={k: "v"})`, `[f(a='[1, 2]', b='x', c='{k: "v"}')]`},
		{"functions", "f(a=(x) => x + 1, b=function(y) { return y; })",
			"[f(a='(x) => x + 1', b='function(y) { return y; }')]"},
		{"templates", "f(a=`x ${g(1)} y`, b=/x[/]/g)", "[f(a='`x ${g(1)} y`', b='/x[/]/g')]"},
		{"a name with dots", "a.b(c=new Map())", "[a.b(c='new Map()')]"},
		{"two calls", "f(a=1); g()", "[f(a='1')]"},
		{"lines", "x\nf(a=1)\ng()", "[f(a='1')]"},
		{"optional", "f?.(a=1)", "[f()]"},
		{"other operators do not count", "f(a=1, b+=2)", "[f(a='1')]"},
		{"without a name", "f(x, true, 5)", ""},
		{"one without a name", "f(x, 5, false)", "[f(='x')]"},
		{"a comma last", "f(a=1,)", "[f(a='1')]"},
		{"a line end before the quote", "f(a='x\n')", "[f(a='x\n')]"},
		{"a line end in a text", "f(a='x\ny')", ""},
		{"awaited", "await f(a=1)", "-"},
		{"assigned", "x = f(a=1)", "-"},
		{"a sequence", "f(a=1), g(b=2)", "-"},
		{"JSON", `{"name": "f"}`, "-"},
		{"two letters behind a number", "f(a=5nn)", ""},
		{"unclosed", "f(a=1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) { check(t, source.JavaScript, tc.in, tc.want) })
	}
}

func check(t *testing.T, read func(string) ([]toolcall.Call, error), in, want string) {
	t.Helper()
	calls, err := read("[" + in + "]")
	got := toolcall.Print(calls)
	switch {
	case errors.Is(err, source.ErrNoCall):
		got = "-"
	case err != nil:
		got = ""
	}
	want = strings.ReplaceAll(want, "\n", `\n`)
	if got != want {
		t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
	}
}

// A naive reader needs quadratic time or a deep stack for these inputs.
func TestHostileLengths(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time, and nothing in it could race; the full test run does it")
	}
	for name, in := range map[string]string{
		"angles": "f(a=" + strings.Repeat("<a", 300_000) + ")", "quotes": "f(a=" + strings.Repeat(`"a"`, 300_000) + ")",
		"brackets": strings.Repeat("f(", 300_000), "parentheses": "f(a=" + strings.Repeat("(", 300_000),
		"comments": "f(a=1" + strings.Repeat("/**/", 250_000) + ")", "casts": "f(a=" + strings.Repeat("(a)",
			300_000) + "1)",
		"arrows": "f(a=" + strings.Repeat("(a", 300_000), "signs": "f(a=" + strings.Repeat("- ", 300_000) + "1)",
		"sum": "f(a=1" + strings.Repeat("+1", 300_000) + ")", "ticks": strings.Repeat("`${", 300_000),
		"statements": strings.Repeat("f();", 250_000), "digits": strings.Repeat("1_", 300_000),
	} {
		start := time.Now()
		source.Java(in)
		source.JavaScript(in)
		if d := time.Since(start); d > 3*time.Minute { // it takes tenths of a second, quadratic time many minutes
			t.Errorf("%s took %v", name, d)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, seed := range []string{
		`f(a=new int[]{1, 2}, b="x");`, "f(a=(int) x -> {}, b=A<B>::new)", "f(a={k: [1], ...x}, b=`x${y}`)",
		"é.f(a='日', b=/x/g)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(string) ([]toolcall.Call, error){source.Java, source.JavaScript} {
			calls, err := read(s)
			again, _ := read(s)
			if !reflect.DeepEqual(calls, again) || (err == nil) != (len(calls) == 1) {
				t.Fatalf("%q: %v, %v", s, calls, err)
			}
		}
	})
}
