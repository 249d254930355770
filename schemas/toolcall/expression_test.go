package toolcall_test

import (
	"fmt"
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

// describe writes an expression with all parts in brackets.
func describe(e toolcall.Expression) string {
	switch e.Kind() {
	case toolcall.ConstantExpression:
		return e.Value().String()
	case toolcall.OtherExpression, toolcall.EllipsisExpression:
		return fmt.Sprint(e.Kind())
	}
	var parts []string
	for _, part := range e.Parts() {
		parts = append(parts, describe(part))
	}
	if e.Kind() == toolcall.CallExpression {
		for _, arg := range e.Named() {
			parts = append(parts, arg.Name+"="+describe(arg.Value))
		}
	}
	return fmt.Sprintf("%d%s<%s>", e.Kind(), e.Text(), strings.Join(parts, " "))
}

func TestReadExpression(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"f.g(1, a=-x)", "5<4g<3f<>> 1 a=10-<3x<>>>"},
		{"[1, (2,), {3}, {4: 5}]", "6<1 7<2> 8<3> 9<4 5>>"},
		{"1 + 2 * 3", "11+<1 11*<2 3>>"},
		{"f(..., x if y else z)", "5<3f<> 2 0>"},
		{`b'a' rB"\x" b'''\x41\n\101'''`, `b'a\\xA\nA'`},
		{"{**x}", "9<0 3x<>>"},
		{"f(", "!"},
		{"f() g()", "!"},
		{"b'é'", "!"},
		{"b'a' 'b'", "!"},
		{"lambda: 1", "0"},
	} {
		e, err := toolcall.ReadExpression(c.text)
		got := "!"
		if err == nil {
			got = describe(e)
		}
		if got != c.want {
			t.Errorf("%s is %s, want %s (%v)", c.text, got, c.want, err)
		}
	}
}

// TestBytesStayOut: answers to single turns have no bytes, as before.
func TestBytesStayOut(t *testing.T) {
	for name, read := range map[string]func(string) ([]toolcall.Call, error){
		"Decode": toolcall.Decode, "Read": toolcall.Read, "Parse": toolcall.Parse,
	} {
		if calls, err := read("[f(a=b'x')]"); err == nil {
			t.Errorf("%s reads bytes: %v", name, calls)
		}
	}
	calls, err := toolcall.DecodeStep("[f(a=b'x')]")
	if err != nil || toolcall.Print(calls) != "[f(a=b'x')]" {
		t.Errorf("DecodeStep: %v, %v", calls, err)
	}
}
