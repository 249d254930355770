package jinja_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"itool/stages/policy/template/jinja"
)

const context = `{"n": 7, "s": "Hello World", "xs": [3, 1, 2, 3], "d": {"b": 1, "a": "two", "c": null}, "none_": null,
	"big": 123456789012345678901234567890, "f": 2.5, "messages": [{"role": "user", "content": "Hi"}], "t": "  x \n"}`

// What jinja2 3.1.6 says, set up as transformers does.
func TestRender(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"one-element list from its end", `{{ messages[-1].role }}{{ [1][-1] }}`, "user1"},
		{"reverse keeps the order of values", `{{ xs|reverse|list }}`, "[3, 2, 1, 3]"},
		{"an empty dict is false", `{% if {} %}T{% else %}F{% endif %}`, "F"},
		{"None prints as None", `{{ none_ }}`, "None"},
		{"a space between tags", `{{ n }} {% if n %}x{% endif %}`, "7 x"},
		{"the newline behind a block", "a\n{% if n %}\nx\n{% endif %}\nb\n", "a\nx\nb"},
		{"white space before a block", "a\n  {% if n %}x{% endif %}\n  {{ n }}", "a\nx  7"},
		{"signs", "a  {{- n -}}  b {%- if n +%} \n c{% endif %}", "a7b \n c"},
		{"raw", `{% raw %}{{ x }}{% endraw %}`, "{{ x }}"},
		{"comment", "a{# {{ x }} #}\nb", "ab"},
		{"integers of any size", `{{ big * big }}`, "15241578753238836750495351562536198787501905199875019052100"},
		{"integers and floats",
			`{{ 7 / 2 }} {{ 6 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 1.0 }} {{ 1e20 }}`,
			"3.5 3.0 -4 2 1024 1.0 1e+20"},
		{"half to even",
			`{{ 2.5|round }} {{ 0.125|round(2) }} {{ 7|round }} {{ 1234.5|round(-2) }}`,
			"2.0 0.12 7 1200.0"},
		{"chained comparisons", `{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}`, "TrueFalse"},
		{"tuples", `{{ (1,) }}{{ () }}{{ 1, 2 }}`, "(1,)()(1, 2)"},
		{"repr", `{{ ['a', "it's", 1.0, none, true, {'k': (1,)}] }}`, `['a', "it's", 1.0, None, True, {'k': (1,)}]`},
		{"slices", `{{ s[::-1] }}{{ xs[1:-1] }}{{ s[-5:] }}`, "dlroW olleH[1, 2]World"},
		{"printf", `{{ '%5.2f|%-4s|%03d|%r' % (3.14159, 'a', 7, 'x') }}`, " 3.14|a   |007|'x'"},
		{"format",
			`{{ '{:>5}|{m[role]}|{x!r}|{:{}}|{:,}'.format('a', 7, 3, 12345, x='q', m=messages[0]) }}`,
			"    a|user|'q'|  7|12,345"},
		{"dict order",
			`{% for k, v in d|items %}{{ k }}{% endfor %}{{ d|dictsort }}`,
			"bac[('a', 'two'), ('b', 1), ('c', None)]"},
		{"dict views", `{{ d.keys() }}`, "dict_keys(['b', 'a', 'c'])"},
		{"methods before keys, keys before methods",
			`{{ {'items': 1}.items() }}{{ {'items': 1}['items'] }}`,
			"dict_items([('items', 1)])1"},
		{"loop",
			`{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}`,
			"1/3,2/3,3/3"},
		{"loop else and controls",
			`{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}none{% endfor %}`,
			"3"},
		{"else of a loop that continues", `{% for x in xs %}{% continue %}{% else %}E{% endfor %}`, "E"},
		{"names of a loop stay in it", `{% for x in xs %}{% set n = x %}{% endfor %}{{ n }}`, "7"},
		{"namespace",
			`{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}`,
			"9"},
		{"recursive loop",
			`{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}`,
			"123"},
		{"macro",
			`{% macro f(a, b=2) %}[{{ a }},{{ b }},{{ varargs }},{{ kwargs }}]{% endmacro %}{{ f(1, 2, 3, z=4) }}`,
			"[1,2,(3,),{'z': 4}]"},
		{"call block", `{% macro f() %}<{{ caller(1) }}>{% endmacro %}{% call(x) f() %}{{ x }}{% endcall %}`, "<1>"},
		{"filter and set blocks",
			`{% filter upper %}a{{ s }}{% endfilter %}{% set v | trim %} x {% endset %}{{ v }}`,
			"AHELLO WORLDx"},
		{"generation", `{% generation %}x{% endgeneration %}`, "x"},
		{"a name that the top level assigns later",
			`{% macro f() %}{{ n }}{% endmacro %}{{ f() }}{% set n = 1 %}{{ f() }}`,
			"1"},
		{"a constant that has no item", `{{ 3[1:] }}`, ""},
		{"undefined",
			`{{ missing }}{{ missing|list }}{{ missing is defined }}{{ missing|default('d') }}`,
			"[]Falsed"},
		{"tojson",
			`{{ d|tojson }}{{ '<é"\n>'|tojson }}{{ [1.0, none]|tojson(indent=1) }}`,
			"{\"b\": 1, \"a\": \"two\", \"c\": null}\"<é\\\"\\n>\"[\n 1.0,\n null\n]"},
		{"tojson's arguments",
			`{{ {'b': 1, 'a': 'é'}|tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}`,
			`{"a":"\u00e9","b":1}`},
		{"strftime_now", `{{ strftime_now('%d %b %Y, %-d %j %A') }}`, "09 Mar 2025, 9 068 Sunday"},
		{"strftime_now with flags and what glibc does not know",
			`{{ strftime_now('%^P %#e %^e %0e %-f %_D %^b %q %#i %^o') }}`, "pm  9  9 09 %-f 03/09/25 MAR %q %#i %^O"},
		{"powers near the middle of two floats", `{{ 0.1 ** 2 }} {{ 3 ** 0.5 }}`,
			"0.010000000000000002 1.7320508075688772"},
		{"escapes", `{{ '\x41\u00e9\n\d\N{BULLET}' }}`, "Aé\n\\d•"},
		{"white space of Python",
			`{{ t.strip() }}|{{ "a\u2028b".splitlines() }}|{{ " a  b ".split() }}|{{ "a,b,c".rsplit(",", 1) }}`,
			"x|['a', 'b']|['a', 'b']|['a,b', 'c']"},
		{"case",
			`{{ 'ß'.upper() }}{{ 'ΑΣ'.lower() }}{{ "they're".title() }}{{ "they're"|title }}`,
			"SSαςThey'ReThey're"},
		{"words with hyphens",
			`{{ 'a well-known e-mail--not 12-ab'|wordwrap(6) }}|` +
				`{{ 'over-the-lazy'|wordwrap(7, break_on_hyphens=false) }}`,
			"a\nwell-\nknown\ne-mail\n--not\n12-ab|over-th\ne-lazy"},
		{"a long word is cut behind its last hyphen",
			`{{ 'x-1234567 ---12345'|wordwrap(5) }}|{{ 'ab-cdefgh'|wordwrap(5, true, '/', 1) }}`,
			"x-\n12345\n67 --\n-1234\n5|ab-/cdefg/h"},
		{"the largest sizes", `{{ 1.5e308|filesizeformat(true) }} {{ 1e24|filesizeformat }}`, "inf YiB 1000.0 ZB"},
		{"markup", `{{ ('<'|e) + '<' }}{{ ['<'|e] }}{{ '<'|e ~ '<' }}`, "&lt;&lt;[Markup('&lt;')]&lt;<"},
		{"autoescape",
			`{% autoescape true %}{{ '<' }}{% autoescape false %}{{ '<' }}{% endautoescape %}{% endautoescape %}`,
			"&lt;<"},
		{"generators are read when they are asked", `{{ (['a', 1]|map('upper')|first) }}`, "A"},
		{"groupby",
			`{% for k, g in [{'k': 'B', 'v': 1}, {'k': 'a', 'v': 2}, {'k': 'b', 'v': 3}]|groupby('k') %}` +
				`{{ k }}{{ g|map(attribute='v')|list }}{% endfor %}`,
			"a[2]B[1, 3]"},
		{"sort and unique ignore case",
			`{{ ['b', 'A', 'a', 'B']|sort }}{{ ['b', 'A', 'a', 'B']|unique|list }}`,
			"['A', 'a', 'b', 'B']['b', 'A']"},
	} {
		got, err := render(c.source, json.RawMessage(context))
		if err != nil || got != c.want {
			t.Errorf("%s: %s\ngot  %q, %v\nwant %q", c.name, c.source, got, err, c.want)
		}
	}
}

// What Python raises, with its class.
func TestRaises(t *testing.T) {
	for _, c := range []struct{ source, class string }{
		{`{{ missing.x }}`, "UndefinedError"},
		{`{{ dict(missing) }}`, "UndefinedError"},
		{`{% set ns = namespace(missing, a=1) %}`, "UndefinedError"},
		{`{{ missing + 1 }}`, "UndefinedError"},
		{`{{ s + 1 }}`, "TypeError"},
		{`{{ [1/0] }}`, "ZeroDivisionError"},
		{`{{ [raise_exception("boom")] }}`, "TemplateError"},
		{`{{ none_ | items | list }}`, "TypeError"},
		{`{{ xs.append(1) }}`, "SecurityError"},
		{`{{ s.__class__.x }}`, "SecurityError"},
		{`{{ s|nope }}`, "TemplateAssertionError"},
		{`{% if n %}{{ s|nope }}{% endif %}`, "TemplateRuntimeError"},
		{`{% for x in n %}{% endfor %}`, "TypeError"},
		{`{% for a, b in [[1]] %}{% endfor %}`, "ValueError"},
		{`{% set d.x = 1 %}`, "TemplateRuntimeError"},
		{`{% break %}`, "SyntaxError"},
		{`{% do x %}`, "TemplateSyntaxError"},
		{`{{ x`, "TemplateSyntaxError"},
		{`{# x`, "TemplateSyntaxError"},
		{`{% if x %}`, "TemplateSyntaxError"},
		{`{% for loop in xs %}{% endfor %}`, "TemplateAssertionError"},
		{`{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}`, "TypeError"},
		{`{% include "x" %}`, "TypeError"},
		{`{{ range(100001) }}`, "OverflowError"},
		{`{% if 1e999 %}{% endif %}`, "NameError"},
		{`{{ {[]: 1} }}`, "TypeError"},
		{`{{ range(3)|tojson }}`, "TypeError"},
	} {
		got, err := render(c.source, json.RawMessage(context))
		var e *jinja.Error
		if !errors.As(err, &e) || e.Class != c.class {
			t.Errorf("%s: got %q, %v, want %s", c.source, got, err, c.class)
		}
	}
}

// What is refused although Python renders it.
func TestUnsupported(t *testing.T) {
	for _, source := range []string{
		`{{ lipsum() }}`, `{{ range }}`, `{{ xs|map('string') }}`, `{{ s|urlize }}`,
		`{% autoescape n %}{% endautoescape %}`, `{{ (-8.5) ** 0.5 }}`, `{{ dict.fromkeys(xs) }}`,
	} {
		if got, err := render(source, json.RawMessage(context)); !errors.Is(err, jinja.ErrUnsupported) {
			t.Errorf("%s: got %q, %v, want %v", source, got, err, jinja.ErrUnsupported)
		}
	}
}

// Without a clock a template has no strftime_now.
func TestNoClock(t *testing.T) {
	tmpl, err := jinja.Parse(`{{ strftime_now('%Y') if strftime_now is defined else '2024' }}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(nil, jinja.Options{}); got != "2024" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Templates are foreign code: whatever they ask for, they end, with an error, in little time.
func TestLimits(t *testing.T) {
	deep := func(open, close string, n int) string {
		return "{{" + strings.Repeat(open, n) + "1" + strings.Repeat(close, n) + "}}"
	}
	for _, c := range []struct{ name, source string }{
		{"product of a text", `{{ "x" * 1000000000 }}`},
		{"product of a list", `{{ [1] * 1000000000 }}`},
		{"pads", `{{ "x".ljust(1000000000) }}`},
		{"centers", `{{ "x"|center(1000000000) }}`},
		{"indents", `{{ "x\ny"|indent(1000000000) }}`},
		{"printf", `{{ "%1000000000d" % 1 }}`},
		{"format", `{{ "{:1000000000}".format(1) }}`},
		{"power", `{{ 9 ** (9 ** 9) }}`},
		{"tower", `{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}`},
		{"nested loops", strings.Repeat(`{% for i in range(9999) %}`, 4) + strings.Repeat(`{% endfor %}`, 4)},
		{"doubling",
			`{% set ns = namespace(x="aaaaaaaa") %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`},
		{"doubling lists",
			`{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`},
		{"nesting lists",
			`{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}` +
				`{{ ns.x }}`},
		{"equal trees",
			`{% set ns = namespace(x=[], y=[]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}` +
				`{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}`},
		{"squares", `{% set x = range(9999)|join("aaaaaaaaaaaaaaaaa") %}{{ x|replace("a", x)|length }}`},
		{"batches", `{{ [1]|batch(1000000000, 0)|list }}`},
		{"slices", `{{ [1]|slice(1000000000)|list }}`},
		{"recursion", `{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}`},
		{"default of itself", `{% macro m(a=m()) %}{% endmacro %}{{ m() }}`},
		{"recursive loop", `{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`},
		{"brackets", deep("(", ")", 60000)},
		{"lists", deep("[", "]", 60000)},
		{"mappings", deep("{1:", "}", 60000)},
		{"calls", deep("a(", ")", 60000)},
		{"negations", deep("not (", ")", 40000)},
		{"minus signs", deep("-", "", 60000)},
		{"attributes", "{% set x = a" + strings.Repeat(".b", 100000) + "%}"},
		{"sums", "{{ 1" + strings.Repeat("+1", 100000) + "}}"},
		{"filters", "{{ 1" + strings.Repeat("|e", 100000) + "}}"},
		{"conditions", "{{ 1" + strings.Repeat(" if 1 else 1", 40000) + "}}"},
		{"blocks in blocks", strings.Repeat("{%if x%}", 9000) + strings.Repeat("{%endif%}", 9000)},
		{"too long", strings.Repeat(" ", 2<<20)},
	} {
		start := time.Now()
		got, err := render(c.source, json.RawMessage(context))
		if !errors.Is(err, jinja.ErrLimit) {
			t.Errorf("%s: got %.60q, %.300v, want %v", c.name, got, err, jinja.ErrLimit)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", c.name, d)
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{ missing.x }}":                   "line 2: UndefinedError: 'missing' is undefined",
		"\n\n{{ s + 1 }}":                      "line 3: TypeError",
		"{% if n %}\n{{ d.a.b.c }}{% endif %}": "line 2: UndefinedError: 'str object' has no attribute 'b'",
		"\n{% nope %}":                         "line 2: TemplateSyntaxError: Encountered unknown tag 'nope'.",
	} {
		if _, err := render(source, json.RawMessage(context)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", source, err, want)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, source := range []string{
		`{% set ns = namespace(x=1) %}{% for m in messages[::-1] %}{% set ns.x = m.content|trim %}{{ loop.index0 }}` +
			`{% endfor %}{{ ns.x|tojson(indent=4) }}`,
		`{% macro m(a, b=1) %}{{ a.split(',')[-1] }}{% endmacro %}{{ m("x,y") if x is defined else 'none' }}`,
		"{{" + strings.Repeat("([{1:", 40) + "a.b|e" + strings.Repeat("}])", 40) + "}}",
		`{{ '%5.2f' % f }}{{ '{:>5}'.format(n) }}{{ xs|sort|batch(2)|list }}{{ d|dictsort(by='value') }}`,
		"{%- raw -%} {{ x }} {%- endraw +%}\n{# c #}\n" +
			"{% for a, b in d.items() recursive %}{{ loop.nextitem }}{% else %}{% endfor %}",
	} {
		f.Add(source)
	}
	v, err := jinja.FromJSON([]byte(context), nil)
	if err != nil {
		f.Fatal(err)
	}
	vars := jinja.VarsOf(v.(*jinja.Dict))
	f.Fuzz(func(t *testing.T, source string) {
		if tmpl, err := jinja.Parse(source); err == nil {
			_, _ = tmpl.Render(vars, jinja.Options{Now: clock, Limits: jinja.Limits{Steps: 100_000, Bytes: 8 << 20}})
		}
	})
}
