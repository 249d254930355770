package toolcall_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
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
	const simple, multiple, parallel = toolcall.Simple, toolcall.Multiple, toolcall.Parallel
	for _, tc := range []struct {
		name, answer, want string
		rule               toolcall.Rule
		error              string // "" for a pass
		kind               toolcall.ErrorType
	}{
		{"pass", "f(s='New York')", `[{"f": {"s": ["new-york"]}}]`, simple, "", ""},
		{"two calls", "f(s='x'), f(s='x')", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:wrong_count", toolcall.ToolsCount},
		{"another name", "h(s='x')", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:wrong_func_name", toolcall.ToolName},
		{"required missing", "f(i=1)", `[{"f": {"s": ["x"], "i": [1]}}]`, simple, "simple_function_checker:missing_required", toolcall.ParameterCount},
		{"optional missing", "f(s='x')", `[{"f": {"s": ["x"], "i": [1]}}]`, simple, "simple_function_checker:missing_optional", toolcall.ParameterCount},
		{"optional left out", "f(s='x')", `[{"f": {"s": ["x"], "i": [1, ""]}}]`, simple, "", ""},
		{"unknown", "f(s='x', q=1)", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:unexpected_param", toolcall.ParameterName},
		{"known but not wanted", "f(s='x', i=1)", `[{"f": {"s": ["x"]}}]`, simple, "simple_function_checker:unexpected_param", toolcall.ParameterName},
		{"bool is no int", "f(s='x', i=True)", `[{"f": {"s": ["x"], "i": [1]}}]`, simple, "type_error:simple", toolcall.ParameterValue},
		{"10.0 is not 10", "f(s='x', i=10.0)", `[{"f": {"s": ["x"], "i": [10]}}]`, simple, "type_error:simple", toolcall.ParameterValue},
		{"int for float", "f(s='x', x=10)", `[{"f": {"s": ["x"], "x": [10.0]}}]`, simple, "", ""},
		{"int for float, int in the answer", "f(s='x', x=10)", `[{"f": {"s": ["x"], "x": [10]}}]`, simple, "", ""},
		{"wrong number", "f(s='x', i=2)", `[{"f": {"s": ["x"], "i": [1, 3]}}]`, simple, "value_error:others", toolcall.ParameterValue},
		{"wrong string", "f(s='y')", `[{"f": {"s": ["x"]}}]`, simple, "value_error:string", toolcall.ParameterValue},
		{"a variable for a number", "f(s='x', i=count)", `[{"f": {"s": ["x"], "i": ["count"]}}]`, simple, "", ""},
		{"a variable is exact", "f(s='x', i=Count)", `[{"f": {"s": ["x"], "i": ["count"]}}]`, simple, "value_error:others", toolcall.ParameterValue},
		{"any is a string", "f(s='x', any='A b')", `[{"f": {"s": ["x"], "any": ["ab"]}}]`, simple, "", ""},
		{"any with a number", "f(s='x', any=5)", `[{"f": {"s": ["x"], "any": [5]}}]`, simple, "", ""},
		{"list", "f(s='x', l=['A.', 'b'])", `[{"f": {"s": ["x"], "l": [["a", "B"]]}}]`, simple, "", ""},
		{"list in another order", "f(s='x', l=['b', 'a'])", `[{"f": {"s": ["x"], "l": [["a", "b"]]}}]`, simple, "value_error:list/tuple", toolcall.ParameterValue},
		{"empty list for an optional one", "f(s='x', l=[])", `[{"f": {"s": ["x"], "l": [["a"], ""]}}]`, simple, "", ""},
		{"elements of another kind", "f(s='x', l=['a', 1])", `[{"f": {"s": ["x"], "l": [["a", "b"]]}}]`, simple, "type_error:nested", toolcall.ParameterValue},
		{"elements of the answer's kind", "f(s='x', l=[1])", `[{"f": {"s": ["x"], "l": [[1]]}}]`, simple, "", ""},
		{"int elements are equal to floats", "f(s='x', t=(1, 2))", `[{"f": {"s": ["x"], "t": [[1, 2.0]]}}]`, simple, "", ""},
		{"tuple for a tuple", "f(s='x', t=(1.5, 2.0))", `[{"f": {"s": ["x"], "t": [[1.5, 2.0]]}}]`, simple, "", ""},
		{"tuple for a list", "f(s='x', n=(1, 2))", `[{"f": {"s": ["x"], "n": [[1, 2]]}}]`, simple, "type_error:simple", toolcall.ParameterValue},
		{"dict", "f(s='x', d={'k': 'A', 'm': 1})", `[{"f": {"s": ["x"], "d": [{"k": ["a"], "m": [1, 2], "o": ["z", ""]}]}}]`, simple, "", ""},
		{"dict with an unknown key", "f(s='x', d={'q': 1})", `[{"f": {"s": ["x"], "d": [{"k": ["a", ""]}]}}]`, simple, "value_error:dict_key", toolcall.ParameterValue},
		{"dict without a key", "f(s='x', d={})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}]}}]`, simple, "value_error:dict_key", toolcall.ParameterValue},
		{"dict with a wrong value", "f(s='x', d={'k': 'b'})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}]}}]`, simple, "value_error:dict_value", toolcall.ParameterValue},
		{"the missing key names it", "f(s='x', d={'k': 'b'})", `[{"f": {"s": ["x"], "d": [{"k": ["a"], "m": [1]}]}}]`, simple, "value_error:dict_key", toolcall.ParameterValue},
		{"the second dict", "f(s='x', d={'k': 'b'})", `[{"f": {"s": ["x"], "d": [{"k": ["a"]}, {"k": ["b"]}]}}]`, simple, "", ""},
		{"a nested call is a dict", "f(s='x', d=h(k=1))", `[{"f": {"s": ["x"], "d": [{"h": [{"k": 1}]}]}}]`, simple, "", ""},
		{"list of dicts", "f(s='x', ld=[{'k': 1}, {'k': 2}])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}, {"k": [2]}]]}}]`, simple, "", ""},
		{"list of too few dicts", "f(s='x', ld=[{'k': 1}])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}, {"k": [2]}]]}}]`, simple, "value_error:list_dict_count", toolcall.ParameterValue},
		{"list of a wrong dict", "f(s='x', ld=[{'k': 3}])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}]]}}]`, simple, "value_error:dict_value", toolcall.ParameterValue},
		{"no dict in the list", "f(s='x', ld=[3])", `[{"f": {"s": ["x"], "ld": [[{"k": [1]}]]}}]`, simple, "type_error:nested", toolcall.ParameterValue},
		{"multiple finds the tool", "g(i=1)", `[{"g": {"i": [1]}}]`, multiple, "", ""},
		{"multiple with one too many", "g(i=1), g(i=1)", `[{"g": {"i": [1]}}]`, multiple, "multiple_function_checker:wrong_count", toolcall.ToolsCount},
		{"multiple with a tool nobody knows", "q(i=1)", `[{"q": {"i": [1]}}]`, multiple, "simple_function_checker:unexpected_param", toolcall.ParameterName},
		{"parallel in any order", "g(i=2), f(s='x'), g(i=1)", `[{"g": {"i": [1]}}, {"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel, "", ""},
		{"parallel, one missing", "g(i=2)", `[{"g": {"i": [1]}}, {"g": {"i": [2]}}]`, parallel, "parallel_function_checker_no_order:wrong_count", toolcall.ToolsCount},
		{"parallel, nearest is a value", "g(i=2), f(s='y')", `[{"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel, "parallel_function_checker_no_order:cannot_find_match", toolcall.ParameterValue},
		{"parallel, nearest is a name", "g(i=2), h()", `[{"g": {"i": [2]}}, {"f": {"s": ["x"]}}]`, parallel, "parallel_function_checker_no_order:cannot_find_match", toolcall.ToolName},
		{"parallel takes nothing back", "g(i=1), g(i=2)", `[{"g": {"i": [1, 2]}}, {"g": {"i": [1]}}]`, parallel, "parallel_function_checker_no_order:cannot_find_match", toolcall.ParameterValue},
		{"irrelevance with prose", "I cannot.", `[]`, toolcall.Irrelevance, "", ""},
		{"irrelevance with a call", "f(s='x')", `[]`, toolcall.Irrelevance, "irrelevance_error:decoder_success", toolcall.ToolsCount},
		{"relevance with a call", "h()", `[]`, toolcall.Relevance, "", ""},
		{"relevance with prose", "I cannot.", `[]`, toolcall.Relevance, "relevance_error:decoder_failed", toolcall.ToolsCount},
		{"does not decode", "f(s='x", `[{"f": {"s": ["x"]}}]`, simple, "ast_decoder:decoder_failed", toolcall.CodeSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, err := toolcall.ParseExpected([]byte(tc.want))
			if err != nil {
				t.Fatal(err)
			}
			m := toolcall.Judge(tc.answer, tools, want, tc.rule)
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
			m := toolcall.Check(mustParse(t, tc.answer), tools, toolcall.Reference(reference), toolcall.RuleFor(reference))
			if (m == nil) != (tc.error == "") || m != nil && m.Name != tc.error {
				t.Errorf("%s against %s: got %s, want %q", tc.answer, tc.reference, m, tc.error)
			}
		})
	}
}

func TestRuleOf(t *testing.T) {
	for category, want := range map[string]toolcall.Rule{
		"simple": toolcall.Simple, "live_simple": toolcall.Simple, "java": toolcall.SimpleJava,
		"javascript": toolcall.SimpleJavaScript, "multiple": toolcall.Multiple, "live_parallel_multiple": toolcall.Parallel,
		"live_irrelevance": toolcall.Irrelevance, "live_relevance": toolcall.Relevance,
	} {
		if got := toolcall.RuleOf(category); got != want {
			t.Errorf("RuleOf(%q) = %d, want %d", category, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	for _, tc := range []struct{ name, typ, items, answer, want, error string }{
		{"java int", "integer", "", `f(p=5)`, `[5]`, ""},
		{"java int that is none", "integer", "", `f(p=five)`, `["five"]`, ""},
		{"java long", "long", "", `f(p=123L)`, `[123]`, ""},
		{"java long without L stays a string", "long", "", `f(p=123)`, `[123]`, "type_error:simple"},
		{"java float", "float", "", `f(p=3.14f)`, `[3.14]`, ""},
		{"java double", "double", "", `f(p=-2.5e1)`, `[-25.0]`, ""},
		{"java boolean", "boolean", "", `f(p=true)`, `[true]`, ""},
		{"java string", "String", "", `f(p="a, (b")`, `["a, (b"]`, ""},
		{"java any", "any", "", `f(p=new QName("http://x", 'item'))`, `["new QName('http://x','item')"]`, ""},
		{"java array", "Array", "integer", `f(p=new int[]{1, 2})`, `[[1, 2]]`, ""},
		{"java array of strings", "Array", "String", `f(p=new String[]{"a", "b"})`, `[["a", "b"]]`, ""},
		{"java list", "ArrayList", "long", `f(p=new ArrayList<Long>(Arrays.asList(1L, 2L)))`, `[[1, 2]]`, ""},
		{"java list by add", "ArrayList", "String", `f(p=new ArrayList<String>() {{ add("a"); add("b"); }})`, `[["a", "b"]]`, ""},
		{"java empty list", "ArrayList", "any", `f(p=new ArrayList<>())`, `[[], ""]`, ""},
		{"java map", "HashMap", "", `f(p=new HashMap<String, Object>() {{ put("k", 50); put("m", "x"); }})`, `[{"k": [50], "m": ["x"]}]`, ""},
		{"java list that is a variable", "ArrayList", "String", `f(p=items)`, `["items"]`, ""},
		{"script number", "float", "", `f(p=4)`, `[4.0]`, ""},
		{"script bigint", "Bigint", "", `f(p=123n)`, `[123]`, ""},
		{"script boolean", "Boolean", "", `f(p=false)`, `[false]`, ""},
		{"script string", "String", "", `f(p='it')`, `["it"]`, ""},
		{"script array", "array", "String", `f(p=["a", 'b'])`, `[["a", "b"]]`, ""},
		{"script new array", "array", "float", `f(p=new Array(1, 2))`, `[[1.0, 2.0]]`, ""},
		{"script matrix", "array", "float", `f(p=[[1, 2], [3, 4]])`, `[[[1, 2], [3, 4]]]`, ""},
		{"script object", "dict", "", `f(p={"k": "v", n: [1, 2], m: true})`, `[{"k": ["v"], "n": [[1, 2]], "m": [true]}]`, ""},
		{"script wrong object", "dict", "", `f(p={"k": "w"})`, `[{"k": ["v"]}]`, "value_error:dict_value"},
		{"script unclosed", "dict", "", `f(p={"k": "w")`, `[{"k": ["v"]}]`, "ast_decoder:decoder_failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			schema := `{"type": "` + tc.typ + `"}`
			if tc.items != "" {
				schema = `{"type": "` + tc.typ + `", "items": {"type": "` + tc.items + `"}}`
			}
			tools, err := toolcall.ParseTools([]byte(`[{"name": "f", "parameters": {"type": "dict", "properties": {"p": ` + schema + `}, "required": ["p"]}}]`))
			if err != nil {
				t.Fatal(err)
			}
			want, err := toolcall.ParseExpected([]byte(`[{"f": {"p": ` + tc.want + `}}]`))
			if err != nil {
				t.Fatal(err)
			}
			rule := toolcall.SimpleJava
			if strings.HasPrefix(tc.name, "script") {
				rule = toolcall.SimpleJavaScript
			}
			m := toolcall.Judge("["+tc.answer+"]", tools, want, rule)
			if (m == nil) != (tc.error == "") || m != nil && m.Name != tc.error {
				t.Errorf("%s: got %s, want %q", tc.answer, m, tc.error)
			}
		})
	}
}
