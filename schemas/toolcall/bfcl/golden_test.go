package bfcl_test

import (
	"encoding/json"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/toolcalltest"
)

type goldenRow struct {
	ID        string
	Category  string
	Raw       string
	Decoded   json.RawMessage
	Valid     bool
	ErrorType *string `json:"error_type"`
	Variant   string
}

type question struct {
	tools []toolcall.Tool
	want  bfcl.Expected
}

var categories = []string{
	"simple", "multiple", "parallel", "parallel_multiple", "java", "javascript",
	"live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
}

func questions(t testing.TB) map[string]question {
	t.Helper()
	byID := map[string]question{}
	for _, category := range categories {
		type doc struct {
			ID       string
			Function json.RawMessage
		}
		type answer struct {
			ID          string
			GroundTruth json.RawMessage `json:"ground_truth"`
		}
		for _, row := range toolcalltest.Rows[doc](t, "bfcl_v3/BFCL_v3_"+category+".json") {
			tools, err := toolcall.ParseTools(row.Function)
			if err != nil {
				t.Fatalf("%s: %v", row.ID, err)
			}
			byID[row.ID] = question{tools: tools}
		}
		for _, row := range toolcalltest.Rows[answer](t, "bfcl_v3/possible_answer/BFCL_v3_"+category+".json") {
			want, err := bfcl.ParseExpected(row.GroundTruth)
			if err != nil {
				t.Fatalf("%s: %v", row.ID, err)
			}
			byID[row.ID] = question{byID[row.ID].tools, want}
		}
	}
	return byID
}

// Decoding, verdict and error name agree with the original checker on every row, without
// exceptions.
func TestGolden(t *testing.T) {
	byID := questions(t)
	disagreements := map[string]int{}
	report := func(row goldenRow, format string, args ...any) {
		disagreements[row.Category]++
		if disagreements[row.Category] <= 5 {
			t.Logf("%s %s (%s): "+format, append([]any{row.Category, row.ID, row.Variant}, args...)...)
		}
	}
	all := toolcalltest.Rows[goldenRow](t, "bfcl_checker/golden.jsonl")
	for _, row := range all {
		calls, err := toolcall.DecodeEdition(row.Raw, toolcall.V3)
		if err != nil {
			report(row, "decode %q: %v", row.Raw, err)
			continue
		}
		if v4, err := toolcall.DecodeEdition(row.Raw, toolcall.V4); err != nil || !toolcall.Equal(v4, calls) {
			report(row, "decode %q: v4 differs: %s, %v", row.Raw, toolcall.Print(v4), err)
		}
		if want := goldenCalls(t, row.Decoded); !toolcall.Equal(calls, want) {
			report(row, "decode %q: got %s, want %s", row.Raw, toolcall.Print(calls), toolcall.Print(want))
			continue
		}
		q := byID[row.ID]
		m := bfcl.Check(calls, q.tools, q.want, bfcl.RuleOf(row.Category))
		switch {
		case m == nil && !row.Valid:
			report(row, "check %q: passes, want %s", row.Raw, *row.ErrorType)
		case m != nil && row.Valid:
			report(row, "check %q: got %s, want a pass", row.Raw, m)
		case m != nil && m.Name != *row.ErrorType:
			report(row, "check %q: got %s, want %s", row.Raw, m, *row.ErrorType)
		}
	}
	for category, n := range disagreements {
		t.Errorf("%s: %d disagreements", category, n)
	}
	t.Logf("%d rows compared", len(all))
}

// Verdict and error name agree with the original on every answer in Java and JavaScript, and of both editions on every
// answer to a question without possible answers.
func TestGoldenExtras(t *testing.T) {
	type verdict struct {
		Valid     bool
		ErrorType string `json:"error_type"`
	}
	type row struct {
		ID, Category, Raw string
		verdict
		V4 *verdict
	}
	byID := questions(t)
	counts := map[string]int{}
	for _, r := range toolcalltest.Rows[row](t, "bfcl_extras/single_extras.a.jsonl") {
		if r.V4 == nil {
			r.V4 = &r.verdict
		}
		counts[r.Category]++
		for edition, want := range map[toolcall.Edition]verdict{toolcall.V3: r.verdict, toolcall.V4: *r.V4} {
			q := byID[r.ID]
			m := bfcl.JudgeEdition(r.Raw, q.tools, q.want, bfcl.RuleOf(r.Category), edition)
			if (m == nil) != want.Valid || m != nil && m.Name != want.ErrorType {
				t.Errorf("%s: %q: edition %d: got %v, want %+v", r.ID, r.Raw, edition, m, want)
			}
		}
	}
	t.Logf("rows compared: %v", counts)
}

// goldenCalls reads the decoding of the original: [{name: {argument: value}}]. A tuple is
// written as {"__tuple__": [...]}.
func goldenCalls(t *testing.T, raw json.RawMessage) []toolcall.Call {
	t.Helper()
	list, err := toolcall.FromJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	var calls []toolcall.Call
	for _, item := range list.Items {
		function := item.Pairs[0]
		call := toolcall.Call{Name: function.Key.Text}
		for _, p := range function.Value.Pairs {
			call.Args = append(call.Args, toolcall.Arg{Name: p.Key.Text, Value: retuple(p.Value)})
		}
		calls = append(calls, call)
	}
	return calls
}

func retuple(v toolcall.Value) toolcall.Value {
	if len(v.Pairs) == 1 && v.Pairs[0].Key.Text == "__tuple__" {
		v = v.Pairs[0].Value
		v.Kind = toolcall.Tuple
	}
	for i := range v.Items {
		v.Items[i] = retuple(v.Items[i])
	}
	for i := range v.Pairs {
		v.Pairs[i].Value = retuple(v.Pairs[i].Value)
	}
	return v
}

func BenchmarkCheck(b *testing.B) {
	tools, err := toolcall.ParseTools([]byte(`[{"name": "get_weather", "parameters": {"type": "dict",
		"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}]`))
	if err != nil {
		b.Fatal(err)
	}
	calls, err := toolcall.Parse(`[get_weather(days=3, city='paris'), get_weather(city='Rome')]`)
	if err != nil {
		b.Fatal(err)
	}
	want, err := toolcall.Parse(`[get_weather(city='Rome'), get_weather(city='Paris', days=3)]`)
	if err != nil {
		b.Fatal(err)
	}
	expected := bfcl.Reference(want)
	for b.Loop() {
		if m := bfcl.Check(calls, tools, expected, bfcl.Parallel); m != nil {
			b.Fatal(m)
		}
	}
}
