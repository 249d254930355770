package toolcall_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"itool/schemas/toolcall"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"brackets missing", "f(a=1)", "[f(a=1)]"},
		{"two calls without brackets", "f(a=1), g()", "[f(a=1), g()]"},
		{"a fence", "```\n[f(a=1)]\n```", "[f(a=1)]"},
		{"an empty list", "[]", "[]"},
		{"nothing is an empty list", "", "[]"},
		{"dotted name", "[a.b.c(x=1)]", "[a.b.c(x=1)]"},
		{"positional arguments are dropped", "[f(1, *x, a=2)]", "[f(a=2)]"},
		{"unpacked keywords", "[f(**x)]", "[f(**='x')]"},
		{"the last of two wins", "[f(a=1, b=2, a=3)]", "[f(a=3, b=2)]"},
		{"true is a name", "[f(a=true, b=True, c=null)]", "[f(a='true', b=True, c='null')]"},
		{"every sign negates", "[f(a=-1, b=+5, c=not True, d=~2, e=-2.5)]", "[f(a=-1, b=-5, c=-1, d=-2, e=-2.5)]"},
		{"arithmetic",
			"[f(a=2 * 3 + 1, b=7 // -2, c=7 % -2, d=1 / 4, e=2 ** 3 ** 2, f=1 << 4, g=5 & 3 | 8, h=-2 ** 2 + 0)]",
			"[f(a=7, b=-4, c=-1, d=0.25, e=512, f=16, g=9, h=-4)]"},
		{"float arithmetic", "[f(a=7.5 // 2, b=-7.5 % 2, c=2 ** -1, d=0.1 + 0.2, e=0 / -3)]",
			"[f(a=3.0, b=0.5, c=0.5, d=0.30000000000000004, e=-0.0)]"},
		{"joined texts and lists", "[f(a='x' + 'y', b='ab' * 2, c=[1] + [2], d='p' \"q\")]",
			"[f(a='xy', b='abab', c=[1, 2], d='pq')]"},
		{"bools are numbers", "[f(a=True + 1, b=True & False)]", "[f(a=2, b=False)]"},
		{"a call without keywords is text", "[f(a=g( 1,\"x\" , h(y) ), b=now())]",
			`[f(a="g(1, 'x', h(y))", b='now()')]`},
		{"a call with keywords is a dict", "[f(a=g(x=1, y=[h(z=2)]))]",
			"[f(a={'g': {'x': 1, 'y': [{'h': {'z': 2}}]}})]"},
		{"a subscript is text", "[f(a=x[1:2, ::3], b=y['k'])]", `[f(a='x[(1:2, ::3)]', b="y['k']")]`},
		{"parentheses are kept where needed", "[f(a=g((1 + 2) * 3, -(1 + 2), (2 ** 3) ** 2, 2 ** -1, x.y[0](1)))]",
			"[f(a='g((1 + 2) * 3, -(1 + 2), (2 ** 3) ** 2, 2 ** (-1), x.y[0](1))')]"},
		{"ellipsis", "[f(a=..., b=g(...))]", "[f(a='...', b='g(...)')]"},
		{"raw and long strings", `[f(a=r'a\b', b='''x"y''', c=u'z')]`, `[f(a='a\\b', b='x"y', c='z')]`},
		{"a comment", "[f(a=1, # [one]\n b=2)]", "[f(a=1, b=2)]"},
		{"a repeated key", "[f(a={1: 'x', True: 'y'})]", "[f(a={1: 'y'})]"},
		{"number forms", "[f(a=1_000, b=0b11, c=1e3, d=.5, e=1e400)]", "[f(a=1000, b=3, c=1000.0, d=0.5, e=1e999)]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls, err := toolcall.Decode(tc.in)
			if err != nil {
				t.Fatalf("Decode(%q): %v", tc.in, err)
			}
			if got := toolcall.Print(calls); got != tc.want {
				t.Errorf("Decode(%q) = %s, want %s", tc.in, got, tc.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tc := range []struct{ name, in string }{
		{"prose", "I cannot do that."},
		{"fence with a language", "```python\n[f(a=1)]\n```"},
		{"name with blanks", "[Market Trends API(x=1)]"},
		{"keyword as a parameter", "[f(class=1)]"},
		{"dash in a name", "[get-weather(a=1)]"},
		{"not a call", "[f(a=1), 2]"},
		{"nested brackets", "[[f(a=1)]]"},
		{"two lists", "[f()][g()]"},
		{"attribute as a value", "[f(a=Color.RED)]"},
		{"comparison as a value", "[f(a=1 < 2)]"},
		{"choice as a value", "[f(a=1 if x else 2)]"},
		{"set as a value", "[f(a={1})]"},
		{"sign before a name", "[f(a=-x)]"},
		{"two signs", "[f(a=--1)]"},
		{"arithmetic with a name", "[f(a=x + 1)]"},
		{"division by zero", "[f(a=1 / 0)]"},
		{"list as a key", "[f(a={[]: 1})]"},
		{"positional after keyword", "[f(a=1, 2)]"},
		{"unclosed", "[f(a='x)]"},
		{"leading zeros", "[f(a=007)]"},
		{"f-string", "[f(a=f'x')]"},
		{"carriage return after the list", "[f()]\r\n"},
		{"deep brackets", strings.Repeat("[", 5000)},
		{"deep signs", "[f(a=" + strings.Repeat("-", 5000) + "1)]"},
		{"long sum", "[f(a=1" + strings.Repeat("+1", 5000) + ")]"},
		{"a power too high", "[f(a=9**9**9**9)]"},
		{"a shift too far", "[f(a=1<<9**9)]"},
		{"a text too long", "[f(a='x'*10**12)]"},
		{"texts too long together", "[f(a=[" + strings.Repeat("'x'*100000,", 100) + "])]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			if calls, err := toolcall.Decode(tc.in); err == nil {
				t.Errorf("Decode(%q) = %s, want an error", tc.in, toolcall.Print(calls))
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("Decode took %v", d)
			}
		})
	}
}

// A naive reader needs quadratic time for these long inputs.
func TestHostileLengths(t *testing.T) {
	var args strings.Builder
	for i := 0; args.Len() < 900_000; i++ {
		args.WriteString("a")
		args.WriteString(strings.Repeat("b", i%7))
		args.WriteString(toolcall.Integer(int64(i)).Text + "=1,")
	}
	for _, tc := range []struct{ name, in string }{
		{"many arguments", "[f(" + args.String() + ")]"},
		{"many keys", "[f(a={" + strings.NewReplacer("=", ":").Replace(args.String()) + "})]"},
		{"many calls", "[" + strings.Repeat("f(a=1),", 100_000) + "]"},
		{"many links", strings.Repeat("[f()](", 100_000)},
		{"many openings", strings.Repeat("[a(b(c", 100_000)},
		{"calls in strings", strings.Repeat(`[f(a="[f(b=1)](`, 50_000)},
		{"many quotes", "f(a=" + strings.Repeat(`"a"`, 300_000) + ")"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			toolcall.Read(tc.in)
			toolcall.IsProse(tc.in)
			if d := time.Since(start); d > 3*time.Minute { // it takes tenths of a second, quadratic time many minutes
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestRead(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"own grammar", "[Market Trends API(x=true)]", "[Market Trends API(x=True)]"},
		{"a fence", "```\nf(a=1 + 1)\n```", "[f(a=2)]"},
		{"neither", "no call", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls, err := toolcall.Read(tc.in)
			if (err != nil) != (tc.want == "") || err == nil && toolcall.Print(calls) != tc.want {
				t.Errorf("Read(%q) = %s, %v, want %q", tc.in, toolcall.Print(calls), err, tc.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"f(a=1)", "[a.b(x=g(1), y=g(z=2)), f(**k)]", "[f(a=2**-1 // 3, b='x' 'y' * 2)]", "```\n[f(a=x[1:], # c\n)]```",
		"0 ()",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		calls, err := toolcall.Decode(s)
		if err == nil {
			again, err := toolcall.Decode(s)
			if err != nil || !reflect.DeepEqual(calls, again) {
				t.Fatalf("Decode(%q) gives different calls the second time", s)
			}
			if !toolcall.Equal(calls, again) {
				t.Fatalf("%q: not equal to itself", s)
			}
			if len(calls) > 0 && toolcall.IsProse(s) && strings.Contains(s, "=") { // "Yes (both)" is prose, and a call
				t.Fatalf("%q: a call with an argument is prose", s)
			}
			for _, c := range calls {
				if c.Name == "" { // (f)()(a=1): no name, as in BFCL
					return
				}
			}
			checkRoundTrip(t, append([]toolcall.Call(nil), calls...))
		}
		toolcall.IsProse(s)
	})
}
