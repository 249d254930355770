package eval_test

import (
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/eval"
)

// TestNamedErrors: what is wrong with files, and with answers before their arguments matter, is named and counted.
func TestNamedErrors(t *testing.T) {
	const results = "BFCL_v3_simple_result.json"
	answer := func(text string) map[string]string {
		return map[string]string{results: `{"id": "simple_0", "result": "[get.weather(city='Oslo')]"}` + "\n" +
			`{"id": "simple_1", "result": "` + text + `"}`}
	}
	// The columns are: right, no call, unreadable, not offered, cut.
	for _, c := range []struct {
		name           string
		bench, answers map[string]string
		want           string
	}{
		{"a right answer", nil, answer("[get.weather(city='Rome')]"), "of 2 | 0 | 0 | 0 | 0"},
		{"a wrong value", nil, answer("[get.weather(city='Bonn')]"), "of 2 | 0 | 0 | 0 | 0"},
		{"an answer without a call", nil, answer("I cannot know."), "of 2 | 1 | 0 | 0 | 0"},
		{"an empty answer", nil, answer(""), "of 2 | 1 | 0 | 0 | 0"},
		{"half a call", nil, answer("[get.weather(city='R"), "of 2 | 0 | 1 | 0 | 0"},
		{"a tool that is not offered", nil, answer("[get.time(city='Rome')]"), "of 2 | 0 | 0 | 1 | 0"},
		{"a result of another form", nil,
			map[string]string{results: `{"id": "simple_0", "result": 5}` + "\n" + `{"id": "simple_1", "result": ""}`},
			"of 2 | 1 | 1 | 0 | 0"},
		{"a reference that does not parse", map[string]string{
			"possible_answer/BFCL_v3_simple.json": `{"id": "simple_0", "ground_truth": ` +
				`[{"get.weather": {"city": ["Oslo"]}}]}` + "\n" + `{"id": "simple_1", "ground_truth": ["?"]}`,
		}, answer("[get.weather(city='Rome')]"),
			"1 of them count as wrong and are not asked, because their own answers fail the check (first: simple_1: "},
		{"a reference that does not parse, and no answers", map[string]string{
			"possible_answer/BFCL_v3_simple.json": `{"id": "simple_0", "ground_truth": ` +
				`[{"get.weather": {"city": ["Oslo"]}}]}` + "\n" + `{"id": "simple_1", "ground_truth": ["?"]}`,
		}, map[string]string{"BFCL_v3_other_result.json": ""}, "its files answer BFCL_v3_other, the questions are"},
		{"a benchmark of another version", map[string]string{
			"BFCL_v4_simple_python.json": "", "BFCL_v3_simple.json": "-",
		}, nil, "holds another version of the benchmark (BFCL_v4_simple_python.json and 0 more files): give the"},
		{"answers of another version", nil, map[string]string{
			"BFCL_v4_simple_python_result.json": `{"id": "simple_python_0", "result": ""}`,
		}, "its files answer BFCL_v4_simple_python, the questions are BFCL_v3_simple: are both of one version"},
		{"answers in folders", nil, map[string]string{"non_live/BFCL_v4_simple_python_result.json": ""},
			"but folders that do"},
		{"questions of another form", map[string]string{"BFCL_v3_simple.json": "[1]"}, nil, "rows are JSON objects"},
	} {
		dir, path := simpleBench(t, c.bench), t.TempDir()
		put(t, path, c.answers)
		if got := table(t, dir, path); !strings.Contains(got, c.want) {
			t.Errorf("%s: lacks %q:\n%s", c.name, c.want, got)
		}
	}
}

// simpleBench writes a category of two questions; files replace its own, "-" removes one.
func simpleBench(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{}
	for _, city := range []string{"Oslo", "Rome"} {
		id := map[string]string{"Oslo": "simple_0", "Rome": "simple_1"}[city]
		all["BFCL_v3_simple.json"] += `{"id": "` + id + `", "question": [[{"role": "user", "content": "` + city +
			`?"}]], "function": [` + weather + "]}\n"
		all["possible_answer/BFCL_v3_simple.json"] += `{"id": "` + id + `", "ground_truth": ` +
			`[{"get.weather": {"city": ["` + city + `"], "days": ["", 3], "default": ["", 1.0]}}]}` + "\n"
	}
	for name, text := range files {
		if all[name] = text; text == "-" {
			delete(all, name)
		}
	}
	put(t, dir, all)
	return dir
}

// table prints what is found, with | between columns, or the error.
func table(t *testing.T, dir, path string) string {
	t.Helper()
	paths, _, err := eval.Options{}.BFCL(dir, nil)
	if err != nil {
		return err.Error()
	}
	files, err := eval.Options{}.Load(t.Context(), paths)
	if err != nil {
		return err.Error()
	}
	folder, err := eval.ReadFolder(path)
	if err != nil {
		return err.Error()
	}
	all, _, err := eval.Judge(files, folder)
	if err != nil {
		return err.Error()
	}
	if len(all) == 0 {
		return folder.Unanswered(files).Error()
	}
	var text strings.Builder
	if err := eval.Summarise(filepath.Base(path), files, all, 1).Text(&text); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(text.String(), "\n") {
		var cells []string
		for _, cell := range strings.Split(line, "   ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		lines = append(lines, strings.Join(cells, " | "))
	}
	return strings.Join(lines, "\n")
}
