package dataset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/ops/dataset"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/split"
)

// talk is a row of one question and its answer.
func talk(question, answer string) string {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	const tools = `[{"name": "weather", "parameters": {"type": "object", "required": ["city"], "properties": {` +
		`"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string", "enum": ["C", "F"]}, ` +
		`"hours": {"type": "array", "items": {"type": "integer"}}}}}, {"name": "now"}]`
	line, _ := json.Marshal(map[string]any{
		"messages": []message{{"user", question}, {"assistant", answer}}, "tools": json.RawMessage(tools),
	})
	return string(line) + "\n"
}

func look(t *testing.T, change func(*dataset.Request), rows ...string) *dataset.Survey {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	write(t, file, strings.Join(rows, ""))
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	req := dataset.Request{
		Files: []string{file}, Config: split.Default(), ShardRows: 3, Stage: split.New(engine),
		Base: policytest.Tiny(1),
		Text: policytest.Open(t, 1).Text, Prompts: 2, Workers: 2,
	}
	if change != nil {
		change(&req)
	}
	s, err := dataset.Look(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestContradictions: each way in which an answer breaks its tool's schema is counted by kind,
// and the first ones are named.
func TestContradictions(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"none", "[weather(city='Bern', days=3, unit='C', hours=[1, 2])]", "map[]"},
		{"a whole float", "[weather(city='Bern', days=3.0)]", "map[]"},
		{"prose", "It rains.", "map[]"},
		{"missing", "[weather(days=3)]", `map[missing:1] weather: "city" is required and missing`},
		{"type", "[weather(city=3)]", `map[type:1] weather: "city" is of kind int, its type is string`},
		{"a float for an integer", "[weather(city='Bern', days=2.5)]", `map[type:1] weather: "days" is of kind float`},
		{"enum", "[weather(city='Bern', unit='K')]", `map[enum:1] weather: "unit" is 'K', which is not among`},
		{"within a list", "[weather(city='Bern', hours=[1, 'two'])]",
			`map[type:1] weather: "hours" [1] is of kind string`},
		{"unknown", "[weather(city='Bern', wind=1)]", `map[unknown:1] weather: it has no parameter "wind"`},
		{"two kinds", "[weather(days='x')]", "map[missing:1 type:1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := look(t, nil, talk("Bern, please?", c.answer)).Numbers.Wrong
			got := strings.TrimSpace(fmt.Sprint(w.Kinds, " ", strings.Join(w.Places, " ")))
			kinds, place, _ := strings.Cut(c.want, " weather")
			if !strings.HasPrefix(got, kinds) || !strings.Contains(got, place) ||
				(w.Examples > 0) != (c.want != "map[]") {
				t.Errorf("%d examples, %s; want %s", w.Examples, got, c.want)
			}
		})
	}
}

// TestThought: calls behind a thought are counted.
func TestThought(t *testing.T) {
	n := dataset.NewNumbers()
	n.Add(&schemas.Example{
		Part: schemas.PartTrain, Calls: 1, Reference: "<think>\nHm.\n</think>\n\n[weather(city=3)]",
		Tools: `[{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]`,
	})
	n.Finish()
	if want := (dataset.ToolUses{Name: "weather", Offered: 1, Called: 1}); n.Tools.Most[0] != want ||
		n.Wrong.Examples != 1 {
		t.Errorf("%+v, %+v", n.Tools, n.Wrong)
	}
}

// TestDuplicates: conversations are compared by their words, over the borders of shards; turns
// of one row and copies by weight are no duplicates.
func TestDuplicates(t *testing.T) {
	long := strings.Fields("please tell me what the weather in the old town of Bern will be like on the first " +
		"day of the next month, hour by hour, with wind and rain, because we want to walk from the station up to " +
		"the rose garden " +
		"and down again to the river and the bears")
	near, far := slices.Clone(long), slices.Clone(long)
	near[9] = "new"
	for i := 0; i < len(far); i += 4 {
		far[i] = "other"
	}
	text := func(words []string) string { return talk(strings.Join(words, " "), "It rains.") }
	s := look(t, func(r *dataset.Request) { r.Config.Weights = map[string]float64{"rows.jsonl": 3} },
		text(long), talk("Bern?", "[weather(city='Bern')]"), text(far), talk("Oslo?", "[weather(city='Oslo')]"),
		talk("BERN", "[weather(city=\"Bern\")]"), text(near), text(long),
		`{"messages": [{"role": "user", "content": "Hi there, you"}, `+
			`{"role": "assistant", "content": "Hello to you."}, `+
			`{"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Bye."}]}`)
	want := []string{
		"rows.jsonl row 4 is rows.jsonl row 1", "rows.jsonl row 5 is nearly rows.jsonl row 0",
		"rows.jsonl row 6 is rows.jsonl row 0",
	}
	d := s.Duplicates
	if diff := cmp.Diff(want, d.Places); diff != "" || d.Exact != 2 || d.Near != 1 {
		t.Errorf("%d exact, %d near, -want +got:\n%s", d.Exact, d.Near, diff)
	}
}

// TestOverlap: questions are found in files of any layout.
func TestOverlap(t *testing.T) {
	const question = "What will the weather be in Bern today?"
	for name, file := range map[string]string{
		"BFCL": `{"id": "irrelevance_1", "question": [[{"role": "user", "content": "` + question +
			`"}]], "function": []}`,
		"API-Bank": `[{"instruction": "Generate", "input": "User: ` + question +
			`\nAI: In which town?\n", "output": "x"}]`,
		"a dialogue": `{"role": "User", "text": "` + question + `"}` + "\n" +
			`{"role": "AI", "text": "What is the weather in Oslo now?"}`,
		"xLAM": `[{"query": "what will the weather be in BERN today", "answers": "[]"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "against.json")
			write(t, path, file)
			s := look(t, func(r *dataset.Request) { r.Against = []string{path} },
				talk("What is the weather in Oslo now?", "Fine."), talk(question, "[weather(city='Bern')]"),
				talk("Bern?", "Fine."))
			o := s.Overlap[0]
			if o.Questions != 1 || o.Exact != 1 || o.Near != 0 ||
				!slices.Equal(o.Places, []string{"rows.jsonl row 1 is in row 0"}) {
				t.Errorf("%+v", o)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "none.json")
	write(t, path, `{"a": 1}`)
	_, err := dataset.Look(t.Context(), dataset.Request{Against: []string{path}})
	if err == nil || !strings.Contains(err.Error(), "none.json: no question of a user was found") {
		t.Errorf("a file without questions: err = %v", err)
	}
}

// TestSurvey: the numbers, their JSON and their text.
func TestSurvey(t *testing.T) {
	odd := strings.Replace(talk("Bern?", "[weather(city='Bern'), now()]"), "{", `{"mood": "good", `, 1)
	s := look(t, nil, odd, "{]\n", talk("Oslo?", "It \x1b[31mrains."),
		talk("Hi", ""))
	n := s.Numbers
	if s.Rows != 4 || n.Examples != 4 || n.Kept != 2 || n.Calls["0"] != 1 || n.Calls["2"] != 1 ||
		n.Dropped["bad_row"].N != 1 || n.Dropped["no_answer"].N != 1 {
		t.Errorf("rows %d, %+v", s.Rows, n)
	}
	if want := (dataset.ToolUses{Name: "now", Offered: 2, Called: 1}); n.Tools.Names != 2 || n.Tools.Most[0] != want {
		t.Errorf("tools %+v", n.Tools)
	}
	if p := s.Prompts; len(p) != 2 || !strings.HasPrefix(p[0].Learnt, "[weather(") || !strings.Contains(p[1].Prompt,
		"Oslo?") {
		t.Errorf("prompts %+v", p)
	}
	if p := n.Prompt; n.Tokens == 0 || p.Min < 1 || p.Min > p.Median || p.Median > p.P99 || p.P99 > p.Max {
		t.Errorf("%d tokens, prompts %+v", n.Tokens, p)
	}
	var b bytes.Buffer
	if err := s.Text(&b, [2]string{"<<", ">>"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rows.jsonl: openai, JSON lines, 4 rows", "not known and not used: row.mood (1 rows)",
		"examples: 2 kept of 4 assistant turns",
		"rows.jsonl: row 1 (line 2): byte 2: invalid character", "tokens: ",
		"now: 1 calls, among the tools of 2 examples",
		"<<[weather(city='Bern'), now()]", "It ·[31mrains.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &b)
		}
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"dropped":{"bad_row":{"n":1,`) {
		t.Errorf("err %v, %s", err, text)
	}
}

// TestLookWrong: a broken file ends the survey with its name.
func TestLookWrong(t *testing.T) {
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	write(t, file, "["+talk("Bern?", "It rains.")+","+talk("Oslo?", "It rains."))
	_, err = dataset.Look(t.Context(), dataset.Request{
		Files: []string{file}, Config: split.Default(), ShardRows: 1, Stage: split.New(engine),
		Base: policytest.Tiny(1),
		Text: policytest.Open(t, 1).Text, Workers: 3,
	})
	if err == nil || !strings.Contains(err.Error(), "dataset "+file) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("err = %v", err)
	}
}
