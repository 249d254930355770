package format_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

const (
	toolaceRow = `{"system": "You call tools. \nHere is a list of functions in JSON format that you can invoke:\n` +
		`[{\"name\": \"Get Weather\", \"note\": \"a ] and a }\"}]. \nShould you call, do.", "conversations": [` +
		`{"from": "user", "value": "Bern?"}, {"from": "assistant", "value": "[Get Weather(city='Bern')]"}, ` +
		`{"from": "tool", "value": "[]"}, {"from": "gpt", "value": "Rain."}]}`

	bfclRow = `{"id": "live_simple_3-2-1", "question": [[{"role": "user", "content": "A ride"}]], ` +
		`"function": ` + bfclTools + `, "ground_truth": ` + bfclTruth + `}`
	bfclTools = `[{"name": "uber.ride", "parameters": {"type": "dict", "required": ["loc", "when"], "properties": ` +
		`{"loc": {"type": "string"}, "when": {"type": "string"}, "type": {"type": "string"}, ` +
		`"where": {"type": "tuple"}}}}]`
	bfclTruth = `[{"uber.ride": {"loc": ["Bern", "Berne"], "when": ["", "now"], "type": ["plus", ""], ` +
		`"where": [[1, 2.0]]}}]`

	toolaceTurn = `"conversations": [{"from": "user", "value": "x"}]}`

	openaiRow = `{"messages": [` +
		`{"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]}, ` +
		`{"role": "user", "content": "Bern?"}, {"role": "assistant", "content": null, "tool_calls": [` +
		`{"type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bern\", \"days\": 2}"}}, ` +
		`{"function": {"name": "now", "arguments": {}}}]}, ` +
		`{"role": "tool", "content": {"rain": true}}, {"role": "assistant", "content": "Rain."}], ` +
		`"tools": [{"type": "function", "function": {"name": "weather"}}], "category": "small"}`
)

// said is a turn without calls.
func said(role, words string) format.Message { return format.Message{Role: role, Content: words} }

// called is a turn of the assistant with calls.
func called(t *testing.T, words, calls string) format.Message {
	t.Helper()
	list, err := toolcall.Parse(calls)
	if err != nil {
		t.Fatal(err)
	}
	return format.Message{Role: "assistant", Content: words, Calls: list}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, data string
		kind       format.Format
		want       format.Row
	}{
		{"toolace", toolaceRow, format.ToolACE, format.Row{
			Tools: []byte(`[{"name": "Get Weather", "note": "a ] and a }"}]`),
			Messages: []format.Message{
				said("system", "You call tools.\nShould you call, do."), said("user", "Bern?"),
				said("assistant", "[Get Weather(city='Bern')]"), said("tool", "[]"), said("assistant", "Rain."),
			},
		}},
		{"toolace without tools", `{"system": "Talk.", "conversations": [{"from": "user", "value": "Hi"}]}`,
			format.ToolACE, format.Row{
				Messages: []format.Message{said("system", "Talk."), said("user", "Hi")},
			}},
		// The answer may leave out type, and does. It may leave out when, but the tool requires it.
		{"bfcl", bfclRow, format.BFCL, format.Row{
			ID: "live_simple_3-2-1", Category: "live_simple",
			Acceptable: []byte(bfclTruth), Tools: []byte(bfclTools),
			Messages: []format.Message{
				said("user", "A ride"), called(t, "", "[uber.ride(loc='Bern', when='now', where=(1, 2.0))]"),
			},
		}},
		{"openai", openaiRow, format.OpenAI, format.Row{
			Category: "small",
			Tools:    []byte(`[{"type": "function", "function": {"name": "weather"}}]`),
			Messages: []format.Message{
				said("system", "Be brief."), said("user", "Bern?"), called(t, "",
					"[weather(city='Bern', days=2), now()]"),
				said("tool", `{"rain":true}`), said("assistant", "Rain."),
			},
		}},
		{"openai, tools as text", `{"messages": [{"role": "user", "content": "x"}], "tools": "[{\"name\": \"f\"}]"}`,
			format.OpenAI, format.Row{
				Tools: []byte(`[{"name": "f"}]`), Messages: []format.Message{said("user", "x")},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for layout, data := range map[string]string{
				"lines": c.data, "array": "[" + c.data + "]",
				"array on lines": "\xef\xbb\xbf [\n\n" + c.data + "\n]\n", "blank lines": "\n\n" + c.data + "\n\n",
			} {
				rows := readAll(t, "x.json", []byte(data))
				if len(rows) != 1 || rows[0].Err != nil {
					t.Fatalf("%s: %d rows, err %v", layout, len(rows), rows[0].Err)
				}
				rows[0].Line = 0
				if diff := cmp.Diff(c.want, rows[0]); diff != "" {
					t.Errorf("%s: -want +got:\n%s", layout, diff)
				}
			}
		})
	}
}

// TestRowErrors: a bad row names its place and does not stop the file.
func TestRowErrors(t *testing.T) {
	message := func(m string) string { return `{"messages": [{"role": "user", "content": "x"}, ` + m + `]}` }
	for _, c := range []struct {
		name, row string
		kind      format.Format
		problem   format.Problem
		want      string
	}{
		{"not JSON", `{"messages": [}`, format.OpenAI, format.BadRow, "byte 15: invalid character '}'"},
		{"a byte order mark within", "\xef\xbb\xbf{}", format.OpenAI, format.BadRow, "it begins with a byte order " +
			"mark"},
		{"not an object", `"hello"`, format.OpenAI, format.BadRow, `it begins with '"': rows are JSON objects`},
		{"deep", `{"messages": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, format.OpenAI,
			format.BadRow, "nested deeper than 100"},
		{"long", `{"messages": "` + strings.Repeat("x", 1<<20) + `"}`, format.OpenAI, format.BadRow,
			"longer than 1048576 bytes"},
		{"not UTF-8", "{\"messages\": \"\xff\"}", format.OpenAI, format.BadRow, "invalid UTF-8"},
		{"no messages", `{"tools": []}`, format.OpenAI, format.BadRow, "messages: no turn"},
		{"messages no list", `{"messages": 3}`, format.OpenAI, format.BadRow, "messages: want a list, got a number"},
		{"message no object", message(`"hi"`), format.OpenAI, format.BadRow, "messages[1]: want an object, got a text"},
		{"no role", message(`{"content": "x"}`), format.OpenAI, format.BadRow, "messages[1].role: missing"},
		{"unknown role", message(`{"role": "bot", "content": "x"}`), format.OpenAI, format.BadRow,
			`messages[1].role: "bot" is none of`},
		{"content a number", message(`{"role": "assistant", "content": 3}`), format.OpenAI, format.BadRow,
			"messages[1].content: want a text or a list of text parts, got a number"},
		{"a picture", message(`{"role": "user", "content": [{"type": "image_url"}]}`), format.OpenAI, format.BadRow,
			`messages[1].content[0].type: "image_url": only text parts`},
		{"a call without a function", message(`{"role": "assistant", "content": "Sure", "tool_calls": [{}]}`),
			format.OpenAI, format.BadRow, "messages[1].tool_calls[0].function: want an object, got nothing"},
		{"arguments no JSON",
			message(`{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{a"}}]}`),
			format.OpenAI, format.BadRow, "messages[1].tool_calls[0].function.arguments: "},
		{"arguments a list",
			message(`{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}`),
			format.OpenAI, format.BadRow, "want an object, got a list"},
		{"tools an object", `{"messages": [{"role": "user", "content": "x"}], "tools": {"name": "f"}}`, format.OpenAI,
			format.BadTools, "tools: want a JSON array of tools, got an object"},
		{"a tool that is no object",
			`{"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "f"}, "g"]}`,
			format.OpenAI, format.BadTools, "tools[1]: a tool must be an object, got a text"},
		{"toolace cut list",
			`{"system": "Here is a list of functions in JSON format that you can invoke:\n[{\"name\": ` +
				`", ` + toolaceTurn,
			format.ToolACE, format.BadTools, "system: behind "},
		{"toolace tool",
			`{"system": "Here is a list of functions in JSON format that you can invoke:\n[7]", ` + toolaceTurn,
			format.ToolACE, format.BadTools, "system[0]: a tool must be an object, got a number"},
		{"toolace without turns", `{"system": "", "conversations": []}`, format.ToolACE, format.BadRow,
			"conversations: no turn"},
		{"toolace speaker", `{"system": "", "conversations": [{"from": "cat", "value": "x"}]}`, format.ToolACE,
			format.BadRow, `conversations[0].from: "cat" is none of`},
		{"toolace value", `{"system": "", "conversations": [{"from": "user", "value": ["x"]}]}`, format.ToolACE,
			format.BadRow, "conversations[0].value[0]: want an object, got a text"},
		{"bfcl id", `{"id": 7, "question": []}`, format.BFCL, format.BadRow, "id: want a text, got a number"},
		{"bfcl category", `{"id": "rest_7", "question": []}`, format.BFCL, format.NoAnswer,
			`category "rest" has no answers that a row can hold`},
		{"bfcl answer of no call", `{"id": "irrelevance_7", "question": [[{"role": "user", "content": "x"}]], ` +
			`"function": [], "ground_truth": [{"f": {}}]}`, format.BFCL, format.BadRow,
			"ground_truth: irrelevance_7: the category has no possible answers"},
		{"bfcl turns", `{"id": "simple_7", "question": []}`, format.BFCL, format.BadRow,
			"0 turns of the user, want one"},
		{"bfcl tools", `{"id": "simple_7", "question": [[{"role": "user", "content": "x"}]], "function": "f"}`,
			format.BFCL, format.BadTools, "function: want a JSON array of tools, got a text"},
		{"bfcl no answer", `{"id": "simple_7", "question": [[{"role": "user", "content": "x"}]], "function": []}`,
			format.BFCL, format.NoAnswer, "ground_truth: simple_7: missing"},
		{"bfcl bad answer",
			`{"id": "simple_7", "question": [[{"role": "user", "content": "x"}]], "function": [], ` +
				`"ground_truth": [{"f": 1}]}`,
			format.BFCL, format.BadRow, "ground_truth: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := map[format.Format]string{
				format.ToolACE: toolaceRow, format.BFCL: bfclRow, format.OpenAI: openaiRow,
			}[c.kind]
			data := good + "\n" + c.row + "\n" + good + "\n"
			var rows []format.Row
			for row, err := range format.Read(t.Context(), strings.NewReader(data), c.kind, 0, 3) {
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, row)
			}
			if len(rows) != 3 || rows[0].Err != nil || rows[2].Err != nil {
				t.Fatalf("%d rows, the neighbours' errors are %v and %v", len(rows), rows[0].Err, rows[2].Err)
			}
			err := rows[1].Err
			if err == nil || err.Problem != c.problem || !strings.HasPrefix(err.Error(), "row 1 (line 2): ") ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v (%v), want %s with row 1 (line 2): %s", err, problem(err), c.problem, c.want)
			}
		})
	}
}

func problem(err *format.RowError) format.Problem {
	if err == nil {
		return "none"
	}
	return err.Problem
}

// TestBrokenFiles: what breaks the file as a whole is told when it is counted.
func TestBrokenFiles(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "the file is empty"},
		{"blank", " \n\n\t ", "the file is empty"},
		{"empty array", " [ ] ", "the file is empty"},
		{"array cut within a row", `[` + openaiRow + `, {"messages": [`,
			"row 1 (line 1): the file ends within the array"},
		{"array cut between rows", `[` + openaiRow, "the file ends within the array"},
		{"array cut within a string", `[{"a": "b`, "the file ends within the array"},
		{"array with more behind", `[` + openaiRow + `] {}`, "behind the array stands '{'"},
		{"last line cut", openaiRow + "\n" + openaiRow[:90], "row 1 (line 2): the last row is no valid JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := format.Count(strings.NewReader(c.data), format.OpenAI)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
	_, err := format.Count(iotest.ErrReader(io.ErrUnexpectedEOF), format.OpenAI)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a failing reader: err = %v, want its own", err)
	}
	if _, err := format.Count(strings.NewReader("{}"), "xml"); err == nil {
		t.Error("an unknown format was counted")
	}
}

// TestShards: any cut into shards gives each row once, with its own number.
func TestShards(t *testing.T) {
	const total = 23
	var lines, array []string
	for i := range total {
		row := fmt.Sprintf(`{"messages": [{"role": "user", "content": "%d, [\"{\\"}]}`, i)
		if i%7 == 3 {
			row = `{"broken": ]}`
		}
		lines, array = append(lines, row), append(array, row)
	}
	layouts := map[string]string{"lines": strings.Join(lines, "\n"), "array": "[" + strings.Join(array, ",\n") + "]"}
	for name, data := range layouts {
		for size := 1; size <= total; size += 5 {
			next := 0
			for first := 0; first < total; first += size {
				r, rows := strings.NewReader(data), min(size, total-first)
				for row, err := range format.Read(t.Context(), r, format.OpenAI, first, rows) {
					if err != nil {
						t.Fatalf("%s: shard %d+%d: %v", name, first, size, err)
					}
					want := fmt.Sprintf(`%d, ["{\`, next)
					if next%7 == 3 {
						if row.Err == nil {
							t.Errorf("%s: row %d passed", name, next)
						}
					} else if row.Err != nil || row.Messages[0].Content != want {
						t.Errorf("%s: row %d: %+v, err %v, want %s", name, next, row.Messages, row.Err, want)
					}
					if row.Number != next || row.Line != next+1 {
						t.Errorf("%s: row %d is called %d, line %d", name, next, row.Number, row.Line)
					}
					next++
				}
			}
			if next != total {
				t.Errorf("%s in shards of %d: %d rows, want %d", name, size, next, total)
			}
		}
	}
	for _, err := range format.Read(t.Context(), strings.NewReader("{}\n{}\n"), format.OpenAI, 1, 2) {
		var broken *format.BrokenError
		const want = "the file ends after 2 rows, 3 were expected"
		if err != nil && (!errors.As(err, &broken) || !strings.Contains(err.Error(), want)) {
			t.Errorf("a shard beyond the end: err = %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range format.Read(ctx, strings.NewReader("{}\n"), format.OpenAI, 0, 1) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: err = %v", err)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       format.Format
		err        string
	}{
		{"toolace", toolaceRow, format.ToolACE, ""},
		{"toolace in an array", " [\n" + toolaceRow, format.ToolACE, ""},
		{"bfcl", bfclRow, format.BFCL, ""},
		{"openai", openaiRow, format.OpenAI, ""},
		{"a first row longer than the head", `{"system": "` + strings.Repeat("x", 1000), format.ToolACE, ""},
		{"tools before messages", `{"tools": [], "messages": []}`, format.OpenAI, ""},
		{"empty", "", "", "the file is empty"},
		{"empty array", "[]", "", "the file is empty"},
		{"empty array with a newline", "[ ]\n", "", "the file is empty"},
		{"prose", "Hello", "", "it begins with 'H': datasets are JSON"},
		{"numbers", "[1, 2]", "", "the first row begins with '1'"},
		{"csv", `"id","text"`, "", "it begins with '\"': datasets are JSON"},
		{"other rows", `{"prompt": "x", "completion": "y"}`, "", "unknown rows with the fields prompt, completion"},
		{"an empty row", "{}\n{}", "", "the first row has no field"},
		{"gzip", "\x1f\x8b\x08\x00", "", "unpack it first"},
		{"utf-16", "\xff\xfe{\x00", "", "save it as UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := format.Detect(c.name, []byte(c.head))
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("format %q, err %v, want %q, %s", got, err, c.want, c.err)
			}
		})
	}
}

func TestJoinBFCL(t *testing.T) {
	questions := `{"id": "simple_0", "question": []}
{ "id": "simple_1", "question": [] }
{"id": "simple_2", "question": [], "ground_truth": [1]}`
	answers := `{"id": "simple_1", "ground_truth": [ {"f": {}} ]}`
	var got []string
	for j, err := range format.JoinBFCL(strings.NewReader(questions), strings.NewReader(answers)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %v %s", j.ID, j.Answered, j.Row))
	}
	want := []string{
		`simple_0 false {"id":"simple_0","question":[]}`,
		`simple_1 true {"id":"simple_1","question":[],"ground_truth":[{"f":{}}]}`,
		`simple_2 true {"id":"simple_2","question":[],"ground_truth":[1]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, c := range []struct{ name, questions, answers, want string }{
		{"answer twice", questions, answers + "\n" + answers, "answers: id simple_1 stands there twice"},
		{"answers broken", questions, `{"id": 7}`, "answers: "},
		{"answers without truth", questions, `{"id": "simple_1"}`, "want id and ground_truth"},
		{"questions no object", "[3]", answers, "questions: row 0 (line 1): it begins with '3'"},
		{"questions without id", `{"a": 1}`, answers, "want an id"},
	} {
		var err error
		for _, e := range format.JoinBFCL(strings.NewReader(c.questions), strings.NewReader(c.answers)) {
			err = errors.Join(err, e)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzRead: for any bytes, counting and reading agree and do not panic.
func FuzzRead(f *testing.F) {
	for _, row := range []string{toolaceRow, bfclRow, openaiRow, "[]", "[1,", `{"a"`, "\n"} {
		f.Add([]byte(row))
		f.Add([]byte("[" + row + "," + row + "]"))
		f.Add([]byte(row + "\n" + row[:len(row)/2]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = format.Detect("x", data)
		for _, kind := range format.Formats {
			n, err := format.Count(strings.NewReader(string(data)), kind)
			if err != nil {
				continue
			}
			read := 0
			for row, err := range format.Read(t.Context(), strings.NewReader(string(data)), kind, 0, n) {
				if err != nil {
					t.Fatalf("counted %d rows, but row %d: %v", n, read, err)
				}
				if (row.Err == nil) != (len(row.Messages) > 0) || row.Number != read {
					t.Fatalf("row %d: %+v", read, row)
				}
				read++
			}
			if read != n {
				t.Fatalf("counted %d rows, read %d", n, read)
			}
		}
	})
}
