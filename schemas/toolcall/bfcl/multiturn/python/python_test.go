package python_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// TestRandom has the values of CPython 3.11.
func TestRandom(t *testing.T) {
	words := func(seed uint32, n int) (all []uint32) {
		r := python.NewRandom(seed)
		for range n {
			all = append(all, r.Word())
		}
		return all
	}
	between := func(seed uint32, bounds ...[2]int64) (all []int64) {
		r := python.NewRandom(seed)
		for _, b := range bounds {
			all = append(all, r.Between(b[0], b[1]).Int64())
		}
		return all
	}
	uniform := func(low, high float64, n int) (all []float64) {
		r := python.NewRandom(141053)
		for range n {
			all = append(all, r.Uniform(low, high))
		}
		return all
	}
	six, five := [2]int64{100000, 999999}, [2]int64{10000, 99999}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"words", words(141053, 4), []uint32{4005903735, 621264111, 3547616316, 1134450972}},
		{"words of another seed", words(200191, 2), []uint32{1881223403, 1041125569}},
		{"six digits", between(141053, six, six, six), []int64{251675, 966117, 376965}},
		{"two ranges", between(141053, [2]int64{1000000, 9999999}, [2]int64{10000000, 99999999}),
			[]int64{3426812, 45451592}},
		{"more than 32 bits", between(141053, [2]int64{100000000000, 999999999999}, five),
			[]int64{262919693687, 44620}},
		{"five digits", between(200191, five, five, five, five), []int64{67410, 41772, 24547, 24421}},
		{"uniform", uniform(-10, 40, 2), []float64{36.63485703790535, 31.29968928699752}},
		{"another range", uniform(0, 120, 1), []float64{111.92365689097284}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	r := python.NewRandom(1)
	for range 1000 { // more than one state of 624 words
		r.Word()
	}
	if got := r.Word(); got != 2160508093 {
		t.Errorf("word 1001 of seed 1 is %d", got)
	}
}

func TestText(t *testing.T) {
	loop := python.NewList(python.Int(1))
	loop.Items = append(loop.Items, loop)
	mixed := python.Record("a", python.Ellipsis, "b", "é\U0001F600\x7f\"\n")
	keys := python.NewDict()
	for i, key := range []python.Value{python.Int(1), 2.5, true, nil} {
		if err := keys.Set(key, python.Int(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name       string
		v          python.Value
		repr, json string // an error begins with "!"
	}{
		{"none", nil, "None", "null"},
		{"bool", true, "True", "true"},
		{"long int", new(big.Int).Lsh(big.NewInt(1), 70), "1180591620717411303424", "1180591620717411303424"},
		{"float", 1e16, "1e+16", "1e+16"},
		{"small float", 0.00001, "1e-05", "1e-05"},
		{"whole float", 3., "3.0", "3.0"},
		{"infinity", math.Inf(-1), "-inf", "-Infinity"},
		{"not a number", math.NaN(), "nan", "NaN"},
		{"quotes", `it's "x"`, `'it\'s "x"'`, `"it's \"x\""`},
		{"list", python.NewList("it's", nil), `["it's", None]`, `["it's", null]`},
		{"tuple of one", &python.Tuple{Items: []python.Value{python.Int(1)}}, "(1,)", "[1]"},
		{"empty set", python.NewSet(), "set()", "!Object of type set is not JSON serializable"},
		{"set", python.NewSet(python.Int(1)), "{1}", "!Object of type set is not JSON serializable"},
		{"dict", mixed, `{'a': Ellipsis, 'b': 'é😀\x7f"\n'}`, "!Object of type ellipsis is not JSON serializable"},
		{"ASCII", "é\U0001F600\x7f\"\n", `'é😀\x7f"\n'`, `"\u00e9\ud83d\ude00` + "\x7f" + `\"\n"`},
		{"keys", keys, "{1: 2, 2.5: 1, None: 3}", `{"1": 2, "2.5": 1, "null": 3}`},
		{"loop", loop, "!maximum recursion depth exceeded", "!Circular reference detected"},
		{"too many digits", new(big.Int).Lsh(big.NewInt(1), 15000),
			"!Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() " +
				"to increase the limit", "!Exceeds the limit (4300 digits) for integer string conversion; " +
				"use sys.set_int_max_str_digits() to increase the limit"},
		{"too long", strings.Repeat("x", 3<<20), "!the text is too long", "!the text is too long"},
	} {
		check(t, c.name+": repr", c.repr, python.Repr, c.v)
		check(t, c.name+": json", c.json, python.JSON, c.v)
	}
	if s, err := python.Str("it's"); s != "it's" || err != nil {
		t.Errorf("str of a text: %q, %v", s, err)
	}
}

func check(t *testing.T, name, want string, f func(python.Value) (string, error), v python.Value) {
	t.Helper()
	got, err := f(v)
	if err != nil {
		got = "!" + err.Error()
	}
	if got != want {
		t.Errorf("%s: %.200s, want %.200s", name, got, want)
	}
}

func TestEqual(t *testing.T) {
	list, tuple := python.NewList(python.Int(1)), &python.Tuple{Items: []python.Value{python.Int(1)}}
	swapped := python.Record("b", 2, "a", 1)
	loop := &python.List{}
	loop.Items = append(loop.Items, loop)
	other := &python.List{}
	other.Items = append(other.Items, other)
	for _, c := range []struct {
		name string
		a, b python.Value
		want bool
	}{
		{"int and float", python.Int(1), 1., true},
		{"bool and int", true, python.Int(1), true},
		{"large int and float", python.Int(1<<53 + 1), float64(1 << 53), false},
		{"text and int", "1", python.Int(1), false},
		{"none and zero", nil, python.Int(0), false},
		{"not a number", math.NaN(), math.NaN(), false},
		{"infinities", math.Inf(1), math.Inf(1), true},
		{"lists", list, python.NewList(1.), true},
		{"list and tuple", list, tuple, false},
		{"order of a dict", python.Record("a", 1, "b", 2), swapped, true},
		{"keys of a dict", python.Record("a", 1), swapped, false},
		{"sets", python.NewSet(python.Int(1), "x"), python.NewSet("x", 1.), true},
		{"opaque", python.Ellipsis, python.Ellipsis, true},
		{"loops", loop, other, false}, // Python raises RecursionError
	} {
		if got := python.Equal(c.a, c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestArithmetic has the results of CPython 3.11 with mpmath 1.3.0.
func TestArithmetic(t *testing.T) {
	type op = func(a, b python.Value) (python.Value, error)
	i := func(n int64) python.Value { return python.Int(n) }
	for _, c := range []struct {
		name string
		op   op
		a, b python.Value
		want string // repr, or "!" and the exception
	}{
		{"ints", python.Add, i(2), i(3), "5"},
		{"int and float", python.Add, i(2), .5, "2.5"},
		{"bools", python.Add, true, true, "2"},
		{"texts", python.Add, "a", "b", "'ab'"},
		{"lists", python.Add, python.NewList(i(1)), python.NewList("x"), "[1, 'x']"},
		{"text and int", python.Add, "a", i(1), `!can only concatenate str (not "int") to str`},
		{"int and text", python.Add, i(1), "a", "!unsupported operand type(s) for +: 'int' and 'str'"},
		{"minus", python.Sub, i(1), nil, "!unsupported operand type(s) for -: 'int' and 'NoneType'"},
		{"repeated text", python.Mul, "ab", i(2), "'abab'"},
		{"repeated too often", python.Mul, "ab", i(1 << 40), "!the text is too long"},
		{"text times float", python.Mul, "ab", .5, "!can't multiply sequence by non-int of type 'float'"},
		{"quotient of ints", python.Div, i(1), i(3), "0.3333333333333333"},
		{"by zero", python.Div, i(1), false, "!division by zero"},
		{"float by zero", python.Div, 1., i(0), "!float division by zero"},
		{"power", python.Pow, i(2), i(100), "1267650600228229401496703205376"},
		{"broken power", python.Pow, 1e-7, -1.5, "31622776601.683796"},
		{"negative power", python.Pow, i(2), i(-2), "0.25"},
		{"zero to a negative power", python.Pow, i(0), i(-1), "!0.0 cannot be raised to a negative power"},
		{"complex", python.Pow, i(-1), .5, "(6.123233995736766e-17+1j)"},
		{"complex below 0", python.Pow, -1.5, -1.5, "(-9.999199243478975e-17+0.5443310539518174j)"},
		{"complex overflow", python.Pow, -1e300, 3.5, "!complex exponentiation"},
		{"overflow", python.Pow, i(100), 1e3, "!(34, 'Numerical result out of range')"},
		{"round to even", python.Round, 2.5, i(0), "2.0"},
		{"round what is below half", python.Round, 2.675, i(2), "2.67"},
		{"round an int", python.Round, i(1250), i(-2), "1200"},
		{"round to hundreds", python.Round, 1250., i(-2), "1200.0"},
		{"round to nothing", python.Round, -.4, i(0), "-0.0"},
		{"round by a float", python.Round, 1.5, 1., "!'float' object cannot be interpreted as an integer"},
		{"root", python.Sqrt, i(2), i(5), "Decimal('1.4142')"},
		{"exact root", python.Sqrt, 2.25, i(10), "Decimal('1.5')"},
		{"root with an exponent", python.Sqrt, 1e10, i(3), "Decimal('1.00E+5')"},
		{"small root", python.Sqrt, 1e-20, i(5), "Decimal('1.0000E-10')"},
		{"root of much", python.Sqrt, i(1234567890123456789), i(3), "Decimal('1.11E+9')"},
		{"root without digits", python.Sqrt, i(4), i(0), "!valid range for prec is [1, MAX_PREC]"},
	} {
		v, err := c.op(c.a, c.b)
		got := ""
		if err == nil {
			got, err = python.Repr(v)
		}
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestLog has the results of mpmath 1.3.0.
func TestLog(t *testing.T) {
	for _, c := range []struct {
		value, base, precision python.Value
		want                   string
	}{
		{python.Int(5), python.Int(10), python.Int(5), "mpf('0.69896984')"},
		{python.Int(5), python.Int(10), python.Int(15), "mpf('0.69897000433601875')"},
		{python.Int(5), python.Int(10), python.Int(14), "mpf('0.69897000433601786')"},
		{python.Int(5), python.Int(10), python.Int(0), "mpf('0.625')"},
		{python.Int(5), python.Int(10), "7", "mpf('0.6989700049')"},
		{python.Int(5), python.Int(10), 2.9, "mpf('0.69922')"},
		{"1e3", python.Int(10), python.Int(5), "mpf('3.0')"},
		{python.Int(0), python.Int(10), python.Int(5), "mpf('-inf')"},
		{math.Inf(1), python.Int(10), python.Int(5), "mpf('+inf')"},
		{math.NaN(), python.Int(10), python.Int(5), "mpf('nan')"},
		{python.Int(5), python.Int(1), python.Int(5), "!"},
		{python.Int(0), math.Inf(1), python.Int(5), "mpf('nan')"},
		{-1.5, python.Int(2), python.Int(10), "mpc(real='0.5849625007249', imag='4.532360141806')"},
		{python.Int(2), -1.5, python.Int(5), "mpc(real='0.028009415', imag='-0.21702027')"},
		{python.Int(-5), python.Int(-10), python.Int(5), "mpc(real='0.89480114', imag='0.14353132')"},
		{-1.5, python.Int(0), python.Int(1), "mpc(real='0.0', imag='0.0')"},
		{-1.5, 1., python.Int(7), "!"},
		{math.Inf(-1), python.Int(-1), python.Int(5),
			"!the logarithm of an infinity or of zero by a negative number"},
		{nil, python.Int(10), python.Int(5), "!cannot create mpf from None"},
		{python.Int(5), python.Int(10), "x", "!invalid literal for int() with base 10: 'x'"},
		{python.Int(5), python.Int(10), python.Int(1 << 40), "!more than 20000 digits"},
	} {
		v, err := python.Log(c.value, c.base, c.precision)
		got := ""
		if err == nil {
			got, err = python.Repr(v)
		}
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("log of %v by %v with %v digits: %s, want %s", c.value, c.base, c.precision, got, c.want)
		}
	}
}

func TestTime(t *testing.T) {
	const day, minute = "%Y-%m-%d", "%I:%M %p"
	for _, c := range []struct {
		v      python.Value
		format string
		want   string
	}{
		{"2024-1-5", day, "2024-01-05 00:00:00"},
		{"2024-02-29", day, "2024-02-29 00:00:00"},
		{"2023-02-29", day, "!day is out of range for month"},
		{"0000-01-01", day, "!year 0 is out of range"},
		{"2024-13-01", day, "!time data '2024-13-01' does not match format '%Y-%m-%d'"},
		{"2024-01-01x", day, "!unconverted data remains: x"},
		{python.Int(2024), day, "!strptime() argument 1 must be str, not int"},
		{"12:05 am", minute, "1900-01-01 00:05:00"},
		{"3:07  PM", minute, "1900-01-01 15:07:00"},
		{"13:07 PM", minute, "!time data '13:07 PM' does not match format '%I:%M %p'"},
	} {
		got, err := python.Time(c.v, c.format)
		text := got.Format("2006-01-02 15:04:05")
		if err != nil {
			text = "!" + err.Error()
		}
		if text != c.want {
			t.Errorf("%v as %s: %s, want %s", c.v, c.format, text, c.want)
		}
	}
}

func TestDict(t *testing.T) {
	d := python.Record("a", 1, "b", 2)
	for range 100 { // deleted places are used again
		if err := d.Set("c", python.Int(3)); err != nil {
			t.Fatal(err)
		}
		d.Delete("c")
	}
	d.Delete("a")
	if err := d.Set("a", python.Int(4)); err != nil {
		t.Fatal(err)
	}
	check(t, "order", "{'b': 2, 'a': 4}", python.Repr, d)
	if err := d.Set(python.NewList(), nil); err == nil || err.Error() != "unhashable type: 'list'" {
		t.Errorf("a list as a key: %v", err)
	}
	if _, err := d.Index("x"); err == nil || err.Error() != "'x'" {
		t.Errorf("a missing key: %v", err)
	}
	if err := d.Set(1., "float"); err != nil {
		t.Fatal(err)
	}
	if v, _ := d.Get(true); v != "float" {
		t.Errorf("1.0 and True are one key; got %v", v)
	}
}

func TestParseJSON(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`{"b": 1, "a": [1.0, 1e2, -7, null, true], "b": "x"}`, "{'b': 'x', 'a': [1.0, 100.0, -7, None, True]}"},
		{`[1e999]`, "[inf]"},
		{`{"a": 1} x`, "!byte 9: want the end"},
		{`{"a": `, "!byte 5: EOF"},
		{strings.Repeat("[", 300) + strings.Repeat("]", 300), "!byte 201: want at most 200 levels of nesting"},
	} {
		v, err := python.ParseJSON([]byte(c.data))
		got, _ := python.Repr(v)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%.40s: %s, want %s", c.data, got, c.want)
		}
	}
}
