package toolcall_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

// What the original reads, by bfcl-eval 2025.8.6 (v3) and 2026.3.23 (v4) under Python 3.11. "" is an error.
func TestDecodeEdition(t *testing.T) {
	for _, tc := range []struct{ name, in, v3, v4 string }{
		{"a list", "[f(a=1)]", "[f(a=1)]", "[f(a=1)]"},
		{"a call alone", "f(a=1)", "[f(a=1)]", "[f(a=1)]"},
		{"true is a name", "[f(a=true, b=null)]", "[f(a='true', b='null')]", "[f(a='true', b='null')]"},
		{"an empty list", "[]", "", "[]"},
		{"a list in a list", "[[f(a=1)]]", "[f(a=1)]", ""},
		{"quotes around", "'[f(a=1)]'", "[f(a=1)]", ""},
		{"brackets about", "]f(a=1)[", "[f(a=1)]", ""},
		{"a tuple", "(f(a=1), g())", "[f(a=1), g()]", ""},
		{"a set", "{f(a=1)}", "[f(a=1)]", ""},
		{"a blank first", "[ f(a=1)]", "", "[f(a=1)]"},
		{"a blank last", "[f(a=1) ]", "[f(a=1)]", "[f(a=1)]"},
		{"on lines of their own", "[f(a=1),\n g()]", "", "[f(a=1), g()]"},
		{"a line end inside", "[f(a=1,\n b=2)]", "[f(a=1, b=2)]", "[f(a=1, b=2)]"},
		{"a line end around", "[\nf(a=1)\n]", "[f(a=1)]", "[f(a=1)]"},
		{"a bracket on an indented line", "[f(a=1)\n ]", "", "[f(a=1)]"},
		{"blanks on a last line", "f(a=1)\n\t", "", "[f(a=1)]"},
		{"… that ends", "[f(a=1)\n \n]", "[f(a=1)]", "[f(a=1)]"},
		{"… with a comment", "f(a=1)\n # c", "[f(a=1)]", ""},
		{"more copies than an index", "[f(a=()*10**30)]", "", ""},
		{"a comment last", "f(a=1) # c", "[f(a=1)]", ""},
		{"a comment first", "# c\nf(a=1)", "[f(a=1)]", "[f(a=1)]"},
		{"a form feed", "\f f(a=1)", "", "[f(a=1)]"},
		{"a continued line", "f(a=1), \\\n g()", "[f(a=1), g()]", "[f(a=1), g()]"},
		{"a comma last", "[f(a=1),]", "[f(a=1)]", "[f(a=1)]"},
		{"bytes", `[f(a=b'a\x00"', b=rb'\d')]`, `[f(a=b'a\x00"', b=b'\\d')]`, `[f(a=b'a\x00"', b=b'\\d')]`},
		{"a complex number", "[f(a=1.5j, b=-2J)]", "[f(a=1.5j, b=-2j)]", "[f(a=1.5j, b=-2j)]"},
		{"halves of a pair", `[f(a='\ud83d\ude00')]`, `[f(a='\ud83d\ude00')]`, `[f(a='\ud83d\ude00')]`},
		{"compatible letters", "[ｆ(ａ=ｘ)]", "[f(a='x')]", "[f(a='x')]"},
		{"passed over", "[f(lambda x: x, [y for y in z], (w := 1), a=1)]", "[f(a=1)]", "[f(a=1)]"},
		{"a lambda as value", "[f(a=lambda: 1)]", "", ""},
		{"a star that binds loosely", "[f([*a or b], a=1)]", "", ""},
		{"a prefix kept", "[f(a=g(u'x'))]", `[f(a="g(u'x')")]`, `[f(a="g(u'x')")]`},
		{"a zero byte", "[f(a='\x00')]", "", ""},
		{"a carriage return", "[f(a='''x\r\ny''')]", `[f(a='x\ny')]`, `[f(a='x\ny')]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for edition, want := range map[toolcall.Edition]string{toolcall.V3: tc.v3, toolcall.V4: tc.v4} {
				calls, err := toolcall.DecodeEdition(tc.in, edition)
				if (err != nil) != (want == "") || err == nil && toolcall.Print(calls) != want {
					t.Errorf("edition %d of %q: got %s, %v, want %s", edition, tc.in, toolcall.Print(calls), err, want)
				}
				if errors.Is(err, toolcall.ErrUnsure) {
					t.Errorf("edition %d of %q: not sure: %v", edition, tc.in, err)
				}
			}
		})
	}
}

// What is not read as Python reads it is no error like others.
func TestDecodeEditionIsUnsure(t *testing.T) {
	for _, in := range []string{
		"f(f'{x}', a=1)", `f(a='\N{DASH}')`, "f(a=value + 1)", "f(a=g(1 < 2))", "f(a=" + strings.Repeat("[",
			300) + strings.Repeat("]", 300) + ")", "f(a=1or 2)",
		"f(a=1*1j)", "\\\n f(a=1)", "f(a=1)\\\n",
	} {
		if calls, err := toolcall.DecodeEdition(in, toolcall.V3); !errors.Is(err, toolcall.ErrUnsure) {
			t.Errorf("%q: got %s, %v", in, toolcall.Print(calls), err)
		}
	}
}

// Answers that both readers read have as many calls, and the same answer has the same calls again.
func FuzzDecodeEdition(f *testing.F) {
	for _, seed := range []string{
		"f(a=1)", "[a.b(x=g(1), y=g(z=2)), f(**k)]", "[f(lambda x: x, a=[1j, b'x'])]\n# c",
		"f((yield), [x for x in y if z])",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lenient, lenientErr := toolcall.Decode(s)
		for _, edition := range []toolcall.Edition{toolcall.V3, toolcall.V4} {
			calls, err := toolcall.DecodeEdition(s, edition)
			again, againErr := toolcall.DecodeEdition(s, edition)
			if !reflect.DeepEqual(calls, again) || (err == nil) != (againErr == nil) {
				t.Fatalf("%q: other calls the second time", s)
			}
			if edition == toolcall.V4 && err == nil && lenientErr == nil && len(calls) != len(lenient) {
				t.Fatalf("%q: %s and %s", s, toolcall.Print(calls), toolcall.Print(lenient))
			}
		}
	})
}
