package bfcl_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/toolcalltest"
)

const checkTools = `[{"name": "f", "description": "d", "parameters": {"type": "dict", "required": ["s"], "properties": {
	"s": {"type": "string"}, "i": {"type": "integer"}, "x": {"type": "float"}, "b": {"type": "boolean"},
	"l": {"type": "array", "items": {"type": "string"}}, "n": {"type": "array", "items": {"type": "integer"}},
	"t": {"type": "tuple", "items": {"type": "float"}}, "d": {"type": "dict"},
	"ld": {"type": "array", "items": {"type": "dict"}}, "any": {"type": "any"}}}},
	{"name": "g", "parameters": {"type": "object", "properties": {"i": {"type": "integer"}}}}]`

func TestCheck(t *testing.T) {
	tools, err := toolcall.ParseTools([]byte(checkTools))
	if err != nil {
		t.Fatal(err)
	}
	const simple, multiple, parallel = bfcl.Simple, bfcl.Multiple, bfcl.Parallel
	for _, tc := range []struct {
		name, answer, want string
		rule               bfcl.Rule
		error              string // "" for a pass
		kind               bfcl.ErrorType
	}{
		{"pass", "f(s='New York')", `[{"f": {"s": ["new-york"]}}]`, simple, "", ""},
		{"two calls", "f(s='x'), f(s='x')", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:wrong_count",
			bfcl.ToolsCount},
		{"another name", "h(s='x')", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:wrong_func_name",
			bfcl.ToolName},
		{"required missing", "f(i=1)", `[{"f": {"s": ["x"], "i": [1]}}]`, simple,
			"simple_function_checker:missing_required", bfcl.ParameterCount},
		{"optional missing", "f(s='x')", `[{"f": {"s": ["x"], "i": [1]}}]`, simple,
			"simple_function_checker:missing_optional", bfcl.ParameterCount},
		{"optional left out", "f(s='x')", `[{"f": {"s": ["x"], "i": [1, ""]}}]`, simple, "", ""},
		{"unknown", "f(s='x', q=1)", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:unexpected_param",
			bfcl.ParameterName},
		{"known but not expected", "f(s='x', i=1)", `[{"f": {"s": ["x"]}}]`, simple,
			"simple_function_checker:unexpected_param", bfcl.ParameterName},
		{"bool is no int", "f(s='x', i=True)", `[{"f": {"s": ["x"], "i": [1]}}]`, simple, "type_error:simple",
			bfcl.ParameterValue},
		{"10.0 is not 10", "f(s='x', i=10.0)", `[{"f": {"s": ["x"], "i": [10]}}]`, simple, "type_error:simple",
			bfcl.ParameterValue},
		{"int for float", "f(s='x', x=10)", `[{"f": {"s": ["x"], "x": [10.0]}}]`, simple, "", ""},
		{"int for float, int in the answer", "f(s='x', x=10)", `[{"f": {"s": ["x"], "x": [10]}}]`, simple, "", ""},
		{"wrong number", "f(s='x', i=2)", `[{"f": {"s": ["x"], "i": [1, 3]}}]`, simple, "value_error:others",
			bfcl.ParameterValue},
		{"wrong string", "f(s='y')", `[{"f": {"s": ["x"]}}]`, simple, "value_error:string", bfcl.ParameterValue},
		{"a variable for a number", "f(s='x', i=count)", `[{"f": {"s": ["x"], "i": ["count"]}}]`, simple, "", ""},
		{"a variable is exact", "f(s='x', i=Count)", `[{"f": {"s": ["x"], "i": ["count"]}}]`, simple,
			"value_error:others", bfcl.ParameterValue},
		{"any is a string", "f(s='x', any='A b')", `[{"f": {"s": ["x"], "any": ["ab"]}}]`, simple, "", ""},
		{"any with a number", "f(s='x', any=5)", `[{"f": {"s": ["x"], "any": [5]}}]`, simple, "", ""},
		{"list", "f(s='x', l=['A.', 'b'])", `[{"f": {"s": ["x"], "l": [["a", "B"]]}}]`, simple, "", ""},
		{"list in another order", "f(s='x', l=['b', 'a'])", `[{"f": {"s": ["x"], "l": [["a", "b"]]}}]`, simple,
			"value_error:list/tuple", bfcl.ParameterValue},
		{"empty list for an optional one", "f(s='x', l=[])", `[{"f": {"s": ["x"], "l": [["a"], ""]}}]`, simple, "", ""},
		{"elements of another kind", "f(s='x', l=['a', 1])", `[{"f": {"s": ["x"], "l": [["a", "b"]]}}]`, simple,
			"type_error:nested", bfcl.ParameterValue},
		{"elements of the answer's kind", "f(s='x', l=[1])", `[{"f": {"s": ["x"], "l": [[1]]}}]`, simple, "", ""},
		{"int elements are equal to floats", "f(s='x', t=(1, 2))", `[{"f": {"s": ["x"], "t": [[1, 2.0]]}}]`, simple, "",
			""},
		{"tuple for a tuple", "f(s='x', t=(1.5, 2.0))", `[{"f": {"s": ["x"], "t": [[1.5, 2.0]]}}]`, simple, "", ""},
		{"tuple for a list", "f(s='x', n=(1, 2))", `[{"f": {"s": ["x"], "n": [[1, 2]]}}]`, simple, "type_error:simple",
			bfcl.ParameterValue},
		{"dict", "f(s='x', d={'k': 'A', 'm': 1})",
			`[{"f": {"s": ["x"], "d": [{"k": ["a"], "m": [1, 2], "o": ["z", ""]}]}}]`, simple, "", ""},
		{"dict with an unknown key", "f(s='x', d={'q': 1})", `[{"f": {"s": ["x"], "d": [{"k": ["a", ""]}]}}]`, simple,
			"value_error:dict_key", bfcl.ParameterValue},
		{"dict without a key", "f(s='x', d={})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}]}}]`, simple,
			"value_error:dict_key", bfcl.ParameterValue},
		{"dict with a wrong value", "f(s='x', d={'k': 'b'})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}]}}]`, simple,
			"value_error:dict_value", bfcl.ParameterValue},
		{"a missing key decides the name", "f(s='x', d={'k': 'b'})",
			`[{"f": {"s": ["x"], "d": [{"k": ["a"], "m": [1]}]}}]`, simple, "value_error:dict_key",
			bfcl.ParameterValue},
		{"the second dict", "f(s='x', d={'k': 'b'})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}, {"k": ["b"]}]}}]`,
			simple, "", ""},
		{"a nested call is a dict", "f(s='x', d=h(k=1))", `[{"f": {"s": ["x"], "d": [{"h": [{"k": 1}]}]}}]`, simple, "",
			""},
		{"list of dicts", "f(s='x', ld=[{'k': 1}, {'k': 2}])",
			`[{"f": {"s": ["x"], "ld": [[{"k": [1]}, {"k": [2]}]]}}]`, simple, "", ""},
		{"list of too few dicts", "f(s='x', ld=[{'k': 1}])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}, {"k": [2]}]]}}]`,
			simple, "value_error:list_dict_count", bfcl.ParameterValue},
		{"list of a wrong dict", "f(s='x', ld=[{'k': 3}])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}]]}}]`, simple,
			"value_error:dict_value", bfcl.ParameterValue},
		{"no dict in the list", "f(s='x', ld=[3])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}]]}}]`, simple,
			"type_error:nested", bfcl.ParameterValue},
		{"multiple finds the tool", "g(i=1)", `[{"g": {"i": [1]}}]`, multiple, "", ""},
		{"multiple with one too many", "g(i=1), g(i=1)", `[{"g": {"i": [1]}}]`, multiple,
			"multiple_function_checker:wrong_count", bfcl.ToolsCount},
		{"multiple with an unknown tool", "q(i=1)", `[{"q": {"i": [1]}}]`, multiple,
			"simple_function_checker:unexpected_param", bfcl.ParameterName},
		{"parallel in any order", "g(i=2), f(s='x'), g(i=1)",
			`[{"g": {"i": [1]}}, {"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel, "", ""},
		{"parallel, one missing", "g(i=2)", `[{"g": {"i": [1]}}, {"g": {"i": [2]}}]`, parallel,
			"parallel_function_checker_no_order:wrong_count", bfcl.ToolsCount},
		{"parallel, nearest is a value", "g(i=2), f(s='y')", `[{"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel,
			"parallel_function_checker_no_order:cannot_find_match", bfcl.ParameterValue},
		{"parallel, nearest is a name", "g(i=2), h()", `[{"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel,
			"parallel_function_checker_no_order:cannot_find_match", bfcl.ToolName},
		{"parallel never undoes a match", "g(i=1), g(i=2)", `[{"g": {"i": [1, 2]}}, {"g": {"i": [1]}}]`, parallel,
			"parallel_function_checker_no_order:cannot_find_match", bfcl.ParameterValue},
		{"irrelevance with prose", "I cannot.", `[]`, bfcl.Irrelevance, "", ""},
		{"irrelevance with a call", "f(s='x')", `[]`, bfcl.Irrelevance, "irrelevance_error:decoder_success",
			bfcl.ToolsCount},
		{"relevance with a call", "h()", `[]`, bfcl.Relevance, "", ""},
		{"relevance with prose", "I cannot.", `[]`, bfcl.Relevance, "relevance_error:decoder_failed", bfcl.ToolsCount},
		{"does not decode", "f(s='x", `[{"f": {"s": ["x"]}}]`, simple, "ast_decoder:decoder_failed", bfcl.CodeSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, err := bfcl.ParseExpected([]byte(tc.want))
			if err != nil {
				t.Fatal(err)
			}
			m := bfcl.Judge(tc.answer, tools, want, tc.rule)
			if (m == nil) != (tc.error == "") || m != nil && (m.Name != tc.error || m.Type != tc.kind) {
				t.Errorf("Judge(%q) = %s, want %q of type %q", tc.answer, m, tc.error, tc.kind)
			}
		})
	}
}

func TestReference(t *testing.T) {
	tools, err := toolcall.ParseTools([]byte(checkTools))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, reference, answer, error string }{
		{"itself", "[f(s='x', i=1)]", "[f(i=1, s='x')]", ""},
		{"as lenient as the checker", "[f(s='New York')]", "[f(s='new york.')]", ""},
		{"itself against its schema", "[g(q=1, r=(1, 'a'))]", "[g(q=1, r=(1, 'a'))]", ""},
		{"a tuple where a tuple is declared", "[f(s='x', t=(1.0, 2.0))]", "[f(s='x', t=[1.0, 2.0])]", ""},
		{"a dict", "[f(s='x', d={'k': 'A b'})]", "[f(s='x', d={'k': 'ab'})]", ""},
		{"an optional parameter added", "[f(s='x')]", "[f(s='x', i=1)]", "simple_function_checker:unexpected_param"},
		{"a parameter left out", "[f(s='x', i=1)]", "[f(s='x')]", "simple_function_checker:missing_optional"},
		{"an empty text is a value", "[f(s='')]", "[f(s='')]", ""},
		{"an empty text may not be left out", "[g(i='')]", "[g()]", "simple_function_checker:missing_optional"},
		{"several calls in another order", "[f(s='x'), g(i=1)]", "[g(i=1), f(s='x')]", ""},
		{"no call wanted", "[]", "[g()]", "irrelevance_error:decoder_success"},
		{"a call wanted", "[g()]", "[]", "multiple_function_checker:wrong_count"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reference := mustParse(t, tc.reference)
			m := bfcl.Check(mustParse(t, tc.answer), tools, bfcl.Reference(reference), bfcl.RuleFor(reference))
			if (m == nil) != (tc.error == "") || m != nil && m.Name != tc.error {
				t.Errorf("%s against %s: got %s, want %q", tc.answer, tc.reference, m, tc.error)
			}
		})
	}
}

func TestRuleOf(t *testing.T) {
	for category, want := range map[string]bfcl.Rule{
		"simple": bfcl.Simple, "live_simple": bfcl.Simple, "java": bfcl.SimpleJava,
		"javascript": bfcl.SimpleJavaScript, "multiple": bfcl.Multiple, "live_parallel_multiple": bfcl.Parallel,
		"live_irrelevance": bfcl.Irrelevance, "live_relevance": bfcl.Relevance,
	} {
		if got := bfcl.RuleOf(category); got != want {
			t.Errorf("RuleOf(%q) = %d, want %d", category, got, want)
		}
	}
}

func TestJavaAndJavaScript(t *testing.T) {
	for _, tc := range []struct{ name, typ, items, answer, want, error string }{
		{"java int", "integer", "", `some.it(p=5)`, `[5]`, ""},
		{"java int that is none", "integer", "", `some.it(p=five)`, `["five"]`, ""},
		{"java long", "long", "", `some.it(p=123L)`, `[123]`, ""},
		{"java long without L stays a string", "long", "", `some.it(p=123)`, `[123]`, "type_error:simple"},
		{"java float", "float", "", `some.it(p=3.14f)`, `[3.14]`, ""},
		{"java double", "double", "", `some.it(p=-2.5e1)`, `[-25.0]`, ""},
		{"java boolean", "boolean", "", `some.it(p=true)`, `[true]`, ""},
		{"java string", "String", "", `some.it(p="a, (b")`, `["a, (b"]`, ""},
		{"java any", "any", "", `some.it(p=new QName("http://x", 'item'))`, `["new QName('http://x','item')"]`, ""},
		{"java array", "Array", "integer", `some.it(p=new int[]{1, 2})`, `[[1, 2]]`, ""},
		{"java array of strings keeps quotes", "Array", "String", `some.it(p=new String[]{"a", "b"})`, `[["a", "b"]]`,
			"value_error:list/tuple"},
		{"java array with a size", "Array", "integer", `some.it(p=new int[3])`, `[[1, 2]]`,
			"ast_decoder:decoder_failed"},
		{"java braces alone", "Array", "integer", `some.it(p={1, 2})`, `[[1, 2]]`, "ast_decoder:decoder_failed"},
		{"java long with two letters", "long", "", `some.it(p=5LL)`, `[5]`, "ast_decoder:decoder_failed"},
		{"java words", "any", "", `some.it(p=x y)`, `["x y"]`, "ast_decoder:decoder_failed"},
		{"java list of strings", "ArrayList", "String", `some.it(p=new ArrayList<>(Arrays.asList("a", "b")))`,
			`[["a", "b"]]`, ""},
		{"java list", "ArrayList", "long", `some.it(p=new ArrayList<Long>(Arrays.asList(1L, 2L)))`, `[[1, 2]]`, ""},
		{"java list by add is empty", "ArrayList", "String",
			`some.it(p=new ArrayList<String>() {{ add("a"); add("b"); }})`,
			`[["a", "b"]]`, "value_error:list/tuple"},
		{"java empty list", "ArrayList", "any", `some.it(p=new ArrayList<>())`, `[[], ""]`, ""},
		{"java map is empty", "HashMap", "",
			`some.it(p=new HashMap<String, Object>() {{ put("k", 50); put("m", "x"); }})`,
			`[{"k": [50], "m": ["x"]}]`, "value_error:dict_key"},
		{"java list that is a variable", "ArrayList", "String", `some.it(p=items)`, `["items"]`, ""},
		{"script number", "float", "", `some.it(p=4)`, `[4.0]`, ""},
		{"script bigint", "Bigint", "", `some.it(p=123n)`, `[123]`, ""},
		{"script boolean", "Boolean", "", `some.it(p=false)`, `[false]`, ""},
		{"script string", "String", "", `some.it(p='it')`, `["it"]`, ""},
		{"script array", "array", "String", `some.it(p=["a", 'b'])`, `[["a", "b"]]`, ""},
		{"script new array", "array", "float", `some.it(p=new Array(1, 2))`, `[[1.0, 2.0]]`, ""},
		{"script matrix", "array", "float", `some.it(p=[[1, 2], [3, 4]])`, `[[[1, 2], [3, 4]]]`, ""},
		{"script object", "dict", "", `some.it(p={"k": "v", n: [1, 2], m: true})`,
			`[{"k": ["v"], "n": [[1, 2]], "m": [true]}]`, ""},
		{"script wrong object", "dict", "", `some.it(p={"k": "w"})`, `[{"k": ["v"]}]`, "value_error:dict_value"},
		{"script digits of another script", "integer", "", `some.it(p=-١٢)`, `[-12]`, ""},
		{"script digits after Unicode 14", "integer", "", `some.it(p=𑽕)`, `[5]`, "type_error:simple"},
		{"script float of another script", "float", "", `some.it(p="٣.𝟓")`, `[3.5]`, ""},
		{"script other blanks", "array", "integer", "some.it(p=new\u3000Array(١,\u00a02))", `[[1, 2]]`, ""},
		{"script matrix with other blanks", "array", "", "some.it(p=[\u1680[1],\u00a0[2] ])", `[[[1], [2]]]`, ""},
		{"script unclosed", "dict", "", `some.it(p={"k": "w")`, `[{"k": ["v"]}]`, "ast_decoder:decoder_failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			schema := `{"type": "` + tc.typ + `"}`
			if tc.items != "" {
				schema = `{"type": "` + tc.typ + `", "items": {"type": "` + tc.items + `"}}`
			}
			tools, err := toolcall.ParseTools([]byte(`[{"name": "some.it", "parameters": {"type": "dict",
				"required": ["p"], "properties": {"p": ` + schema + `}}}]`))
			if err != nil {
				t.Fatal(err)
			}
			want, err := bfcl.ParseExpected([]byte(`[{"some.it": {"p": ` + tc.want + `}}]`))
			if err != nil {
				t.Fatal(err)
			}
			rule := bfcl.SimpleJava
			if strings.HasPrefix(tc.name, "script") {
				rule = bfcl.SimpleJavaScript
			}
			m := bfcl.Judge("["+tc.answer+"]", tools, want, rule)
			if (m == nil) != (tc.error == "") || m != nil && m.Name != tc.error {
				t.Errorf("%s: got %s, want %q", tc.answer, m, tc.error)
			}
		})
	}
}

func TestParseExpectedErrors(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"no list", `{}`, "want a list"},
		{"two functions", `[{"f": {}, "g": {}}]`, "ground truth 0: want an object with one function"},
		{"arguments are a list", `[{"f": []}]`, "f: want an object of arguments"},
		{"values are no list", `[{"f": {"a": 1}}]`, "f: a: want a list of values"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := bfcl.ParseExpected([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// Every reference of the ToolACE sample passes against itself, and fails without its
// last call.
func TestToolACE(t *testing.T) {
	for i, row := range toolcalltest.ToolACE(t) {
		tools, err := toolcall.ParseTools(row.Tools)
		if err != nil {
			t.Errorf("row %d: %v", i, err)
		}
		for _, answer := range row.Answers {
			if !strings.HasPrefix(answer, "[") {
				continue
			}
			calls := mustParse(t, answer)
			rule, want := bfcl.RuleFor(calls), bfcl.Reference(calls)
			if m := bfcl.Check(calls, tools, want, rule); m != nil {
				t.Errorf("row %d: %s: %s", i, answer, m)
			}
			fewer := calls[:len(calls)-1]
			if m := bfcl.Check(fewer, tools, want, rule); m == nil || m.Type != bfcl.ToolsCount {
				t.Errorf("row %d: %s without its last call: %s", i, answer, m)
			}
		}
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

// No answer makes the checker panic, and calls pass against themselves.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"[]", "[f(a=1)]", "[Market Trends API(x='y', z=[1, (2,), {'k': None}])]",
		"[User Feed (V) V2(u=-1e400, class=g(h=a.b))]",
		"f(a=new int[]{1, 2}, b=\"x\")", "[f(a={'k': [1, 'a']}, b=`x`)]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if calls, err := toolcall.Parse(s); err == nil {
			if m := bfcl.Check(calls, nil, bfcl.Reference(calls), bfcl.RuleFor(calls)); m != nil {
				t.Fatalf("%q does not pass against itself: %s", s, m)
			}
		}
		for rule := bfcl.Simple; rule <= bfcl.SimpleJavaScript; rule++ {
			bfcl.Judge(s, nil, nil, rule)
		}
	})
}
