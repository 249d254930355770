package eval_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/ops/eval"
	"itool/schemas/toolcall/toolcalltest"
)

const (
	bankTools = `API descriptions:\n{\"name\": \"QueryStock\", \"description\": \"a\", \"input_parameters\": ` +
		`{\"stock_code\": {\"type\": \"str\", \"description\": \"b\"}}, \"output_parameters\": {}}\n` +
		`{\"name\": \"Dictionary\", \"description\": \"a\", \"input_parameters\": {}, \"output_parameters\": {}}`
	bankCalls = `{"role": "User", "text": "hi"}
{"role": "API", "api_name": "QueryStock", "param_dict": {"stock_code": "X", "date": "2023-01-02"}, "result": ` +
		`{"input": {"stock_code": "X", "date": "2023-01-02"}, "output": 5, "exception": null}}
{"role": "AI", "text": "5"}
{"role": "API", "api_name": "Dictionary", "param_dict": {"keyword": "x"}, "result": {"output": [], "exception": null}}`
)

// bankRow is a row of the benchmark's questions.
func bankRow(file string, id int, said string) string {
	return fmt.Sprintf(`{"file": %q, "id": %d, "instruction": "Be brief.\n%s", "input": "User: %s\n`+
		`Generate API Request:\n", "expected_output": "API-Request: [GetToday()]"}`, file, id, bankTools, said)
}

// bank writes a benchmark of two questions at level 1, one at level 2.
func bank(t testing.TB) string {
	t.Helper()
	stock := bankRow("a.jsonl", 0, "stock?")
	files := map[string]string{
		"test-data/level-1-api.json":                   "[" + stock + ", " + bankRow("a.jsonl", 2, "word?") + "]",
		"test-data/level-2-api.json":                   "[" + stock + "]",
		"lv1-lv2-samples/level-1-given-desc/a.jsonl":   bankCalls,
		"lv1-lv2-samples/level-2-toolsearcher/a.jsonl": bankCalls,
	}
	for _, name := range strings.Fields("Account Agenda Alarm Appointments Bank HealthData History Hotel " +
		"ImageCaptioning Meeting QuestionAnswering Reminder Scenes SpeechRecognition Stock Symptom TimeSwitch Wiki") {
		files["init_database/"+name+".json"] = "{}"
	}
	files["init_database/Stock.json"] = `{"X": {"2023-01-02": 5.0}}`
	dir := t.TempDir()
	put(t, dir, files)
	return dir
}

// TestAPIBank: questions have their tools in the order of the names, and answers are judged by what they return.
func TestAPIBank(t *testing.T) {
	dir := bank(t)
	files, err := eval.Options{}.APIBank(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := files[0].Cases[0].Example
	if first, second := strings.Index(asked.Tools, "Dictionary"), strings.Index(asked.Tools, "QueryStock"); first < 0 ||
		second < first {
		t.Errorf("tools: %s", asked.Tools)
	}
	if !strings.Contains(asked.Messages, "stock?") || asked.Reference != "" {
		t.Errorf("asked: %+v", asked)
	}
	path := t.TempDir()
	put(t, path, map[string]string{
		"apibank_level_1_result.json": `{"id": "a-0", "result": "[QueryStock(stock_code='x', date='2023-01-02')]"}` +
			"\n" + `{"id": "a-2", "result": [{"Dictionary": "{\"keyword\": \"X\"}"}]}`,
		"apibank_level_2_result.json": `{"id": "a-0", "result": "I do not know."}`,
	})
	want := []string{
		"apibank_level_1/a-0 true ", "apibank_level_1/a-2 true ", "apibank_level_2/a-0 false apibank:NO_API_CALL",
	}
	if diff := cmp.Diff(want, verdicts(t, files, path)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	answers, err := eval.ReadFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := eval.Judge(files, answers)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := eval.Summarise("m", files, all, 1).Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"apibank_level_1 ", "apibank_level_1_unexecuted", "code syntax", "in the order of their names",
	} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("the table lacks %q:\n%s", s, text.String())
		}
	}
	if strings.Contains(text.String(), "leaderboard") {
		t.Errorf("the table speaks of BFCL's leaderboard:\n%s", text.String())
	}
}

// TestBrokenAPIBank: errors name file, row and field.
func TestBrokenAPIBank(t *testing.T) {
	const rows = "test-data/level-1-api.json"
	for name, c := range map[string]struct{ file, text, want string }{
		"no databases":       {"init_database/Stock.json", "", "give the folder api-bank of"},
		"no rows":            {rows, "[]", "level-1-api.json: "},
		"another dialogue":   {rows, bankRow("../b", 0, "a"), `row 0: file: "../b" is no name`},
		"a missing dialogue": {rows, bankRow("b", 0, "a"), "row 0: file: the dialogue b is missing"},
		"no call":            {rows, bankRow("a.jsonl", 1, "a"), "row 0: id: a.jsonl has no question 1"},
		"a broken dialogue":  {"lv1-lv2-samples/level-1-given-desc/a.jsonl", "{", "a.jsonl: apibank: line 1"},
	} {
		dir := bank(t)
		put(t, dir, map[string]string{c.file: c.text})
		_, err := eval.Options{}.APIBank(t.Context(), dir, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	_, err := eval.Options{}.APIBank(t.Context(), bank(t), []string{"level_3"})
	if err == nil || !strings.Contains(err.Error(), "it has level_1, level_2") {
		t.Errorf("level 3: %v", err)
	}
}

// TestRealAPIBank: all questions of the benchmark can be asked.
func TestRealAPIBank(t *testing.T) {
	dir := filepath.Dir(filepath.Dir(toolcalltest.Open(t, "api_bank/init_database/Account.json").Name()))
	files, err := eval.Options{}.APIBank(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{399, 135} {
		if len(files[i].Cases) != want {
			t.Errorf("%s: %d cases, want %d", files[i].Name, len(files[i].Cases), want)
		}
		for _, c := range files[i].Cases {
			if c.Refused != "" || c.Example.Messages == "" || c.Example.Tools == "" {
				t.Errorf("%s cannot be asked: %s", c.Example.ID, c.Refused)
			}
		}
	}
}
