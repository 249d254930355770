package format_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/split/format"
)

// open reads third-party data, without which the test is skipped.
func open(t *testing.T, name string) []byte {
	t.Helper()
	data, err := io.ReadAll(toolcalltest.Open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestToolACESample: every row of the real sample is read; the tools are gone from
// the system text, which keeps its other sentences.
func TestToolACESample(t *testing.T) {
	data := open(t, "toolace/toolace_97_reconstructed.json")
	rows := readAll(t, "sample.json", data)
	if len(rows) != 97 {
		t.Fatalf("%d rows, want 97", len(rows))
	}
	turns, calls, tools := 0, 0, 0
	for _, row := range rows {
		if row.Err != nil {
			t.Errorf("%v", row.Err)
			continue
		}
		list, err := toolcall.ParseTools(row.Tools)
		if err != nil || len(list) == 0 {
			t.Errorf("row %d: %d tools, err %v", row.Number, len(list), err)
		}
		tools += len(list)
		system := row.Messages[0]
		if system.Role != "system" || strings.Contains(system.Content, `"parameters"`) ||
			strings.Contains(system.Content, "Here is a list") {
			t.Errorf("row %d: system turn still holds the tools: %.200q", row.Number, system.Content)
		}
		if !strings.HasPrefix(system.Content, "You are an expert") ||
			!strings.Contains(system.Content, "\nShould you decide to return the function call(s).") {
			t.Errorf("row %d: system turn lost a sentence: %q", row.Number, system.Content)
		}
		for _, m := range row.Messages {
			if m.Role != "assistant" {
				continue
			}
			turns++
			if parsed, err := toolcall.Parse(m.Content); err == nil {
				calls += len(parsed)
			}
		}
	}
	t.Logf("97 rows: %d assistant turns, %d calls, %d tools", turns, calls, tools)
	if turns != 463 || calls == 0 {
		t.Errorf("%d assistant turns and %d calls, want 463 and some", turns, calls)
	}
}

// faulty are BFCL's rows whose answers contradict their own tools, or accept
// nothing, so that no answer passes the original's check.
var faulty = map[string]string{
	"live_simple 106":   "missing_required", // an argument with an empty list of acceptable values
	"live_simple 112":   "missing_required", // the same
	"live_multiple 862": "unexpected_param", // journey_start_time is no parameter of the tool
	"live_multiple 964": "missing_required", // statement is required and not in the answer
	"simple 363":        "wrong_func_name",  // find_closest, the tool is restaurant_search.find_closest
}

// TestBFCL joins each file of questions with its answers, reads it, and holds
// every reference against the original's check.
func TestBFCL(t *testing.T) {
	for category, want := range map[string]int{
		"simple": 400, "multiple": 200, "parallel": 200, "parallel_multiple": 200,
		"live_simple": 258, "live_multiple": 1053, "live_parallel": 16, "live_parallel_multiple": 24,
	} {
		t.Run(category, func(t *testing.T) {
			questions := open(t, "bfcl_v3/BFCL_v3_"+category+".json")
			answers := open(t, "bfcl_v3/possible_answer/BFCL_v3_"+category+".json")
			var joined bytes.Buffer
			for j, err := range format.JoinBFCL(bytes.NewReader(questions), bytes.NewReader(answers)) {
				if err != nil {
					t.Fatal(err)
				}
				if !j.Answered {
					t.Errorf("%s has no answer", j.ID)
				}
				joined.Write(append(j.Row, '\n'))
			}
			rows := readAll(t, "bfcl.json", joined.Bytes())
			if len(rows) != want {
				t.Errorf("%d rows, want %d", len(rows), want)
			}
			for _, row := range rows {
				if row.Err != nil {
					t.Errorf("%v", row.Err)
					continue
				}
				if row.Category != category {
					t.Errorf("row %d: category %q", row.Number, row.Category)
				}
				checkReference(t, row)
			}
		})
	}
}

func checkReference(t *testing.T, row format.Row) {
	t.Helper()
	tools, err := toolcall.ParseTools(row.Tools)
	if err != nil {
		t.Fatalf("row %d: %v", row.Number, err)
	}
	want, err := bfcl.ParseExpected(row.Acceptable)
	if err != nil {
		t.Fatalf("row %d: %v", row.Number, err)
	}
	answer := toolcall.Print(row.Messages[len(row.Messages)-1].Calls)
	if _, err := toolcall.Parse(answer); err != nil {
		t.Errorf("row %d: %v: %s", row.Number, err, answer)
	}
	m := bfcl.Judge(answer, tools, want, bfcl.RuleOf(row.Category))
	fault := faulty[fmt.Sprintf("%s %d", row.Category, row.Number)]
	if fault == "" && m != nil || fault != "" && (m == nil || !strings.HasSuffix(m.Name, fault)) {
		t.Errorf("row %d: the reference does not pass: %v\n%s\n%s", row.Number, m, answer, row.Acceptable)
	}
}

// TestBFCLOnlyAsked: the categories without answers to learn are rows that can be asked.
func TestBFCLOnlyAsked(t *testing.T) {
	for category, want := range map[string]int{
		"irrelevance": 240, "live_irrelevance": 882, "live_relevance": 18, "java": 100, "javascript": 50,
	} {
		t.Run(category, func(t *testing.T) {
			questions := open(t, "bfcl_v3/BFCL_v3_"+category+".json")
			var answers []byte
			if !bfcl.Unanswered(category) {
				answers = open(t, "bfcl_v3/possible_answer/BFCL_v3_"+category+".json")
			}
			var joined bytes.Buffer
			for j, err := range format.JoinBFCL(bytes.NewReader(questions), bytes.NewReader(answers)) {
				if err != nil {
					t.Fatal(err)
				}
				joined.Write(append(j.Row, '\n'))
			}
			rows := readAll(t, "bfcl.json", joined.Bytes())
			if len(rows) != want {
				t.Errorf("%d rows, want %d", len(rows), want)
			}
			for _, row := range rows {
				switch {
				case row.Err != nil:
					t.Errorf("%v", row.Err)
				case !row.OnlyAsked || row.Category != category || row.Messages[len(row.Messages)-1].Role != "user":
					t.Errorf("row %d: only asked: %v, category %q", row.Number, row.OnlyAsked, row.Category)
				case (len(row.Acceptable) == 0) != bfcl.Unanswered(category):
					t.Errorf("row %d: acceptable: %s", row.Number, row.Acceptable)
				}
				if _, err := toolcall.ParseTools(row.Tools); err != nil {
					t.Errorf("row %d: %v", row.Number, err)
				}
			}
		})
	}
}

// TestBFCLWithoutAnswers: questions alone, are rows to count, not a broken file.
func TestBFCLWithoutAnswers(t *testing.T) {
	for name, want := range map[string]string{
		"bfcl_v3/BFCL_v3_live_simple.json": "ground_truth: live_simple_0-0-0: missing",
		"bfcl_v3/BFCL_v3_java.json":        "ground_truth: java_0: missing",
	} {
		rows := readAll(t, name, open(t, name))
		if rows[0].Err == nil || rows[0].Err.Problem != format.NoAnswer ||
			!strings.Contains(rows[0].Err.Error(), want) {
			t.Errorf("%s: err = %v, want no_answer: %s", name, rows[0].Err, want)
		}
	}
}

// TestOtherFormats: what cannot be read yet is refused with a word on what to do.
func TestOtherFormats(t *testing.T) {
	for name, want := range map[string]string{
		"formats/toolrl_rlla_test.parquet":                                     "convert it to JSON lines",
		"bfcl_v3/possible_answer/BFCL_v3_live_multiple.json":                   "BFCL's answers alone",
		"api_bank/test-data/level-3.json":                                      "level 3: its tools are only found",
		"api_bank/lv1-lv2-samples/level-1-given-desc/AddAlarm-level-1-1.jsonl": "each line is one turn",
	} {
		data := open(t, name)
		_, err := format.Detect(name, data[:min(len(data), 64<<10)])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %q", name, err, want)
		}
	}
}

// readAll detects, counts and reads a file, as publisher and split do.
func readAll(t *testing.T, name string, data []byte) []format.Row {
	t.Helper()
	kind, err := format.Detect(name, data[:min(len(data), 64<<10)])
	if err != nil {
		t.Fatal(err)
	}
	n, err := format.Count(bytes.NewReader(data), kind)
	if err != nil {
		t.Fatal(err)
	}
	var rows []format.Row
	for row, err := range format.Read(t.Context(), bytes.NewReader(data), kind, 0, n) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Tools != nil && !json.Valid(row.Tools) {
			t.Errorf("row %d: tools are no JSON", row.Number)
		}
		rows = append(rows, row)
	}
	if len(rows) != n {
		t.Errorf("%d rows read, %d counted", len(rows), n)
	}
	return rows
}

// TestRealFiles: every row of the files that others publish is read, with its tools, and every
// call is one of them.
func TestRealFiles(t *testing.T) {
	for _, c := range []struct {
		file                                     string
		format                                   format.Format
		rows, bad, tools, turns, calls, thoughts int
		unknown                                  string
	}{
		{"formats/llamafactory_glaive_toolcall_en_demo.json", format.ShareGPT, 300, 0, 219, 957, 211, 0, ""},
		{"formats/llamafactory_reason_tool_use_demo_50.jsonl", format.OpenAI, 50, 0, 121, 112, 68, 112, ""},
		{"formats/toolrl_rlla_sft.json", format.ToolRL, 400, 0, 1215, 503, 628, 503, ""},
		{"api_bank/hammer_apibank_l1.json", format.XLAM, 399, 0, 872, 1546, 668, 0, ""},
		{"api_bank/hammer_apibank_l2.json", format.XLAM, 127, 0, 171, 323, 233, 0, ""},
		{"api_bank/test-data/level-1-api.json", format.APIBank, 399, 0, 872, 1546, 668, 0, ""},
		{"api_bank/test-data/level-1-response.json", format.APIBank, 375, 0, 813, 1831, 622, 0, ""},
		{"api_bank/test-data/level-2-api.json", format.APIBank, 135, 0, 135, 341, 245, 0, ""},
		{"api_bank/test-data/level-2-response.json", format.APIBank, 103, 0, 269, 382, 193, 0, ""},
		{"api_bank/training-data/lv3-api-train.json", format.APIBank, 907, 113, 794, 1528, 1530, 0, ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			data := open(t, c.file)
			kind, err := format.Detect(c.file, data[:min(len(data), 64<<10)])
			if err != nil || kind != c.format {
				t.Fatalf("detected as %q, %v", kind, err)
			}
			rows := readAll(t, c.file, data)
			got := c
			got.rows, got.bad, got.tools, got.turns, got.calls, got.thoughts, got.unknown = len(rows), 0, 0, 0, 0, 0, ""
			for _, row := range rows {
				if row.Err != nil {
					got.bad++
					continue
				}
				tools, err := toolcall.ParseTools(append([]byte(nil), orNone(row.Tools)...))
				if err != nil {
					t.Errorf("row %d: %v", row.Number, err)
				}
				got.tools += len(tools)
				for _, m := range row.Messages {
					if m.Role == "assistant" {
						got.turns++
						got.calls += len(m.Calls)
					}
					if m.Thought != "" {
						got.thoughts++
					}
				}
				if len(row.Unknown) > 0 {
					got.unknown = strings.Join(row.Unknown, " ")
				}
			}
			if got != c {
				t.Errorf("got  %+v\nwant %+v", got, c)
			}
		})
	}
}

func orNone(tools json.RawMessage) json.RawMessage {
	if tools == nil {
		return json.RawMessage("[]")
	}
	return tools
}
