package split_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/template"
	"itool/stages/split"
	"itool/stages/split/format"
	"itool/stages/stagetest"
)

// qwenLike writes tools, calls and results as the template of Qwen 2.5 does, its default
// system text included, with the control tokens of the tiny policy.
const qwenLike = `{{ bos_token }}{%- if tools %}{{- '<|system|>' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content }}{%- else %}{{- 'You are the default.' }}{%- endif %}
{{- '\n\n# Tools\n<tools>' }}{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\n</tools>\n<tool_call>\n{"name": <function-name>, "arguments": <args>}\n</tool_call><|end|>' }}
{%- elif messages[0].role == 'system' %}{{- '<|system|>' + messages[0].content + '<|end|>' }}
{%- else %}{{- '<|system|>You are the default.<|end|>' }}{%- endif %}
{%- for m in messages %}
{%- if m.role == 'user' or m.role == 'assistant' and not m.tool_calls or m.role == 'system' and not loop.first %}
{{- '<|' + m.role + '|>' + m.content + '<|end|>' }}
{%- elif m.role == 'assistant' %}{{- '<|assistant|>' }}{%- if m.content %}{{- m.content + '\n' }}{%- endif %}
{%- for c in m.tool_calls %}{%- if not loop.first %}{{- '\n' }}{%- endif %}
{{- '<tool_call>\n{"name": "' + c.function.name + '", "arguments": ' }}
{{- (c.function.arguments | tojson) + '}\n</tool_call>' }}
{%- endfor %}{{- '<|end|>' }}
{%- elif m.role == 'tool' %}{{- '<|user|><tool_response>\n' + m.content + '\n</tool_response><|end|>' }}
{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}`

// learnt is an example as a trainer sees it.
type learnt struct{ reason, detail, prompt, answer string }

// learn runs split over a file with a base that has the template of Qwen.
func learn(t *testing.T, kind format.Format, data string, config map[string]any) ([]learnt, split.Notes) {
	t.Helper()
	all := map[string]any{"validation_share": 0, "replay_share": 0}
	for key, value := range config {
		all[key] = value
	}
	it := item(t, kind, data, all)
	files := it.Policy.(fstest.MapFS)
	files[template.File] = &fstest.MapFile{Data: []byte(qwenLike)}
	it.Digest = "qwen-like"
	p, err := policy.Open(it.Policy, policy.Options{Device: ref.New()})
	if err != nil {
		t.Fatal(err)
	}
	in := it.Input(t)
	rec := stagetest.NewRecorder(t, in)
	if err := newStage(t).Process(t.Context(), in, rec); err != nil {
		t.Fatal(err)
	}
	rows, err := schemas.Decode[schemas.Example](rec.Results[0])
	if err != nil {
		t.Fatal(err)
	}
	var out []learnt
	for _, e := range rows {
		out = append(out, learnt{e.Reason, e.Detail, p.Text(e.PromptIDs), p.Text(e.AnswerIDs)})
	}
	var notes split.Notes
	if text, ok := rec.Attached[split.NotesFile]; ok {
		if err := json.Unmarshal(text, &notes); err != nil {
			t.Fatal(err)
		}
	}
	return out, notes
}

// want is what an example must hold. A "!" before a text means that the prompt must not hold it.
type want struct {
	reason string // and a part of the detail behind a blank
	prompt []string
	answer string
}

func check(t *testing.T, got []learnt, wants []want) {
	t.Helper()
	if len(got) != len(wants) {
		t.Fatalf("%d examples, want %d: %q", len(got), len(wants), got)
	}
	for i, w := range wants {
		reason, detail, _ := strings.Cut(w.reason, " ")
		if got[i].reason != reason || !strings.Contains(got[i].detail, detail) {
			t.Errorf("%d: dropped as %q (%s), want %q", i, got[i].reason, got[i].detail, w.reason)
			continue
		}
		if reason == "" && got[i].answer != w.answer {
			t.Errorf("%d: learns %q, want %q", i, got[i].answer, w.answer)
		}
		for _, text := range w.prompt {
			without, not := strings.CutPrefix(text, "!")
			if strings.Contains(got[i].prompt, without) == not {
				t.Errorf("%d: the prompt is %q; want %q in it", i, got[i].prompt, text)
			}
		}
	}
}

const findOrder = "<tool_call>\n{\"name\": \"find_order\", \"arguments\": {\"order_id\": \"W0\"}}\n</tool_call>"

// TestCases: the files of testdata, which other trainers have read wrongly. Of each the first row
// is looked at; all are alike.
func TestCases(t *testing.T) {
	for file, c := range map[string]struct {
		kind  format.Format
		wants []want
		notes split.Notes
	}{
		"01-conversations-tools-key.jsonl": {format.ShareGPT,
			[]want{{"", []string{"Be kind.\n\n# Tools", `"name": "find_order"`, "<|user|>Hello 0<|end|>"},
				"How can I help with 0?"}}, split.Notes{}},
		"02-messages-with-system-column.jsonl": {format.OpenAI,
			[]want{{"", []string{"<|system|>Answer in French only.", "!You are the default", "find_order"}, "Salut 0"}},
			split.Notes{}},
		"03-legacy-function-call-history.jsonl": {format.OpenAI, []want{
			{"", []string{"<|user|>Where is order W0?<|end|><|assistant|>"}, findOrder},
			{"", []string{"<|assistant|>" + findOrder + "<|end|><|user|><tool_response>\nsent\n</tool_response>"},
				"Order 0 was sent."},
		}, split.Notes{}},
		"06-weight-zero.jsonl": {format.OpenAI, []want{
			{"not_learnt it is marked not to be learnt", nil, ""},
			{"", []string{"<|assistant|>WRONG DRAFT 0<|end|><|user|>no<|end|>"}, "Right 0"},
		}, split.Notes{}},
		"08-toolace-format-sentence.jsonl": {format.ToolACE, []want{{"", []string{
			"You are an expert in composing functions.\nShould you decide to return the function call(s). \n" +
				"Write calls in the form that you are given for them.\n\nNO other text MUST be included.",
			"!func1", "!Here is a list"}, findOrder}}, split.Notes{Passages: 4}},
		"12-key-case.jsonl": {format.OpenAI,
			[]want{{"", []string{"<|user|>FIRST 0<|end|>", "!OTHER"}, "ok 0"}},
			split.Notes{Unknown: map[string]int{"turn.Content": 4}}},
		"15-null-padded-args.jsonl": {format.OpenAI, []want{{"", nil, findOrder}}, split.Notes{NullArguments: 8}},
		"18-content-and-tool_calls.jsonl": {format.OpenAI, []want{
			{"", nil, "Let me look.\n" + findOrder},
			{"", []string{"<|assistant|>Let me look.\n" + findOrder + "<|end|>"}, "Sent 0."},
		}, split.Notes{}},
	} {
		t.Run(file, func(t *testing.T) {
			data := read(t, filepath.Join("testdata", file))
			if kind, err := format.Detect(file, []byte(data)); kind != c.kind || err != nil {
				t.Errorf("detected as %s, %v, want %s", kind, err, c.kind)
			}
			got, notes := learn(t, c.kind, data, nil)
			check(t, got[:len(c.wants)], c.wants)
			a, _ := json.Marshal(notes)
			b, _ := json.Marshal(c.notes)
			if string(a) != string(b) {
				t.Errorf("notes %s, want %s", a, b)
			}
		})
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
