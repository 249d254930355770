package toolcall_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

func TestParse(t *testing.T) {
	huge := strings.Repeat("9", 40)
	for _, tc := range []struct{ name, in, want string }{
		{"no call", "[]", "[]"},
		{"no argument", "[GetCompetitions()]", "[GetCompetitions()]"},
		{"blanks everywhere", " [ f ( a = 1 , b = 'x' , ) , g() , ] \n", "[f(a=1, b='x'), g()]"},
		{"name with blanks", "[Market Trends API(x=1)]", "[Market Trends API(x=1)]"},
		{"name with a group", "[User Feed (Video Posts) V2(username=\"s\")]",
			"[User Feed (Video Posts) V2(username='s')]"},
		{"name ends in a group", "[Oscillator (DPO)(period=1)]", "[Oscillator (DPO)(period=1)]"},
		{"name with an apostrophe and a comma", "[Today's Wind, Rain(x=1)]", "[Today's Wind, Rain(x=1)]"},
		{"dash, dot and slash", "[/a-b.c/d(x=1)]", "[/a-b.c/d(x=1)]"},
		{"keyword as a parameter", "[f(class='x', start-date=1, from=2)]", "[f(class='x', start-date=1, from=2)]"},
		{"both kinds of constants", "[f(a=True, b=true, c=null, d=None, e=false)]",
			"[f(a=True, b=True, c=None, d=None, e=False)]"},
		{"numbers", "[f(a=-3, b=+2, c=2.50, d=1e20, e=.5, f=1., g=0x1f, h=-0, i=1e-7)]",
			"[f(a=-3, b=2, c=2.5, d=1e+20, e=0.5, f=1.0, g=31, h=0, i=1e-07)]"},
		{"an int keeps its digits", "[f(a=-" + huge + ")]", "[f(a=-" + huge + ")]"},
		{"a float that overflows", "[f(a=-1e400)]", "[f(a=-1e999)]"},
		{"escapes", `[f(a='it\'s\n\x41\u00e9\101\d', b="\U0001F600\ud83d\ude00")]`, `[f(a="it's\nAéA\\d", b='😀😀')]`},
		{"quotes of both kinds", `[f(a="a'b\"c")]`, `[f(a='a\'b"c')]`},
		{"triple quotes", `[f(a="""x"y` + "\n" + `z""")]`, `[f(a='x"y\nz')]`},
		{"control and private characters", "[f(a='\x00\u200b\ue000')]", `[f(a='\x00\u200b\ue000')]`},
		{"lists, tuples, dicts", "[f(a=[1, [2]], b=(1,), c=(1), d=(), e={'k': {}, 2: (1, 2)})]",
			"[f(a=[1, [2]], b=(1,), c=1, d=(), e={'k': {}, 2: (1, 2)})]"},
		{"bare names", "[f(a=Paris, b=Color.RED, c=[x])]", "[f(a='Paris', b='Color.RED', c=['x'])]"},
		{"nested calls", "[f(a=g(b=h()), c=Get It(x=1))]", "[f(a=g(b=h()), c=Get It(x=1))]"},
		{"separators in a string", "[f(a='), g(b=1', c='[')]", "[f(a='), g(b=1', c='[')]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls, err := toolcall.Parse(tc.in)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tc.in, err)
			}
			if got := toolcall.Print(calls); got != tc.want {
				t.Errorf("Print(Parse(%q)) = %q, want %q", tc.in, got, tc.want)
			}
			checkRoundTrip(t, calls)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		offset   int
		want     string
	}{
		{"empty", "", 0, `"["`},
		{"prose", "I cannot do that.", 0, `"["`},
		{"no bracket", "f(a=1)", 0, `"["`},
		{"cut off", "[f(a=1", 6, `"," or ")"`},
		{"cut off in a string", "[f(a='x", 7, "a closing '"},
		{"line end in a string", "[f(a='x\n')]", 7, "a closing '"},
		{"text after the list", "[f()] and more", 6, "the end"},
		{"positional", "[f(1)]", 1, "a call"},
		{"positional, then a call", "[f(1), g(a=2)]", 1, "a call"},
		{"call in a call", "[f(g(a=1))]", 1, "a call"},
		{"a value, no call", "['x']", 1, "a call"},
		{"no value", "[f(a=)]", 5, "a value"},
		{"argument twice", "[f(a=1, a=2)]", 8, "not given yet"},
		{"key twice", "[f(a={1: 1, True: 2})]", 12, "not given yet"},
		{"list as a key", "[f(a={[1]: 1})]", 6, "a key"},
		{"leading zero", "[f(a=007)]", 5, "leading zeros"},
		{"too many digits", "[f(a=" + strings.Repeat("7", 5000) + ")]", 5, "4300 digits"},
		{"name glued to a number", "[f(a=10px)]", 7, "end of a number"},
		{"expression", "[f(a=1 + 2)]", 7, `"," or ")"`},
		{"lone surrogate", `[f(a='\ud83d')]`, 6, "names a character"},
		{"not UTF-8", "[f(a='\xff')]", 6, "UTF-8"},
		{"too deep", "[f(a=" + strings.Repeat("[", 300), 204, "200 levels"},
		{"too deep calls", "[" + strings.Repeat("f(a=", 300), 401, "200 levels"},
		{"too long", strings.Repeat(" ", 1<<20+1), 1 << 20, "1 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := toolcall.Parse(tc.in)
			var syntax *toolcall.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("Parse: got %v, want a SyntaxError", err)
			}
			if syntax.Offset != tc.offset || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Parse: got %v, want byte %d and %q", err, tc.offset, tc.want)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		want       bool
	}{
		{"quotes and blanks", `[f(a="x",b=1)]`, `[ f(a='x', b=1) ]`, true},
		{"order of arguments", "[f(a=1, b=2)]", "[f(b=2, a=1)]", true},
		{"order of keys", "[f(a={'x': 1, 'y': 2})]", "[f(a={'y': 2, 'x': 1})]", true},
		{"order inside nested calls", "[f(a=g(x=1, y=2))]", "[f(a=g(y=2, x=1))]", true},
		{"order of calls", "[f(), g()]", "[g(), f()]", false},
		{"int and float", "[f(a=1)]", "[f(a=1.0)]", false},
		{"int and string", "[f(a=1)]", "[f(a='1')]", false},
		{"list and tuple", "[f(a=[1])]", "[f(a=(1,))]", false},
		{"case of a string", "[f(a='x')]", "[f(a='X')]", false},
		{"one call more", "[f()]", "[f(), f()]", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := mustParse(t, tc.a), mustParse(t, tc.b)
			if got := toolcall.Equal(a, b); got != tc.want {
				t.Errorf("Equal(%s, %s) = %v, want %v", tc.a, tc.b, got, tc.want)
			}
			if got := toolcall.Key(a) == toolcall.Key(b); got != tc.want {
				t.Errorf("same key of %s and %s: got %v, want %v", toolcall.Key(a), toolcall.Key(b), got, tc.want)
			}
		})
	}
}

func mustParse(t testing.TB, s string) []toolcall.Call {
	t.Helper()
	calls, err := toolcall.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return calls
}

// checkRoundTrip checks that Parse(Print(x)) is x, and that printing it again changes nothing.
func checkRoundTrip(t testing.TB, calls []toolcall.Call) {
	t.Helper()
	printed := toolcall.Print(calls)
	again, err := toolcall.Parse(printed)
	if err != nil {
		t.Fatalf("Parse(%q): %v", printed, err)
	}
	if !reflect.DeepEqual(again, calls) || toolcall.Print(again) != printed {
		t.Fatalf("%q reads back as %q", printed, toolcall.Print(again))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"[]", "[f(a=1)]", "[Market Trends API(x='y', z=[1, (2,), {'k': None}])]", `[f(a='\ud83d\ude00\x00')]`,
		"[User Feed (V) V2(u=-1e400, class=g(h=a.b))]", "[f(a=\"it's\", b='''x\ny''')]", "[f (a), g(a =\t1)]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		calls, err := toolcall.Parse(s)
		if err != nil {
			var syntax *toolcall.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(s) {
				t.Fatalf("Parse(%q): %v", s, err)
			}
			return
		}
		if len(calls) == 0 {
			return
		}
		checkRoundTrip(t, calls)
		if toolcall.IsProse(s) {
			t.Fatalf("%q holds calls and is taken for prose", s)
		}
	})
}
