package split_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"itool/schemas"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
	"itool/stages/policy/template"
	"itool/stages/split"
	"itool/stages/split/format"
	"itool/stages/stagetest"
)

func newStage(t *testing.T) *split.Stage {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return split.New(engine)
}

// item is a shard of a file with all its rows.
func item(t *testing.T, kind format.Format, data string, config any) stagetest.Item {
	t.Helper()
	rows, err := format.Count(strings.NewReader(data), kind)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(data))
	shard := schemas.Shard{
		Key: "s0000000", File: "datasets/x", SHA256: hex.EncodeToString(sum[:]), Name: "x.jsonl",
		Format: string(kind), Rows: int32(rows),
	}
	return stagetest.Item{
		Policy: policytest.Tiny(1), Digest: "tiny", Config: config,
		Files:   map[string][]byte{"datasets/x": []byte(data)},
		Batches: []schemas.Batch{stagetest.Batch(t, shard.Key, shard)},
	}
}

// row writes an OpenAI row: the words of a conversation by user and assistant in turns.
func row(tools string, words ...string) string {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var messages []message
	for i, w := range words {
		messages = append(messages, message{[]string{"user", "assistant"}[i%2], w})
	}
	line, _ := json.Marshal(map[string]any{"messages": messages, "tools": json.RawMessage(tools)})
	return string(line) + "\n"
}

const weather = `[{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, ` +
	`"required": ["city"]}}]`

func TestContract(t *testing.T) {
	data := row(weather, "Bern?", "[weather(city='Bern')]", "Thanks", "You are welcome.") +
		row(weather, "Oslo?", "[weather(city='Oslo')]")
	stagetest.Run(t, newStage(t), stagetest.Case{Item: item(t, format.OpenAI, data, nil)})
}

// TestStoredShard: a shard that was stored on its own gives the examples that its rows of the
// whole file give, and one of other rows is refused for good.
func TestStoredShard(t *testing.T) {
	data := row(weather, "Bern?", "[weather(city='Bern')]") + "\n{]\n" + row(weather, "Oslo?", "It rains.")
	whole := item(t, format.OpenAI, data, nil)
	want := stagetest.Rows[schemas.Example](t, newStage(t), whole)
	shard, err := format.NewShard(0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Open(strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for raw, err := range f.Rows(t.Context()) {
		if err == nil {
			err = shard.Add(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte(data))
	var b bytes.Buffer
	if err := shard.End(&b, hex.EncodeToString(sum[:])); err != nil {
		t.Fatal(err)
	}
	whole.Files["datasets/x"] = b.Bytes()
	if diff := cmp.Diff(want, stagetest.Rows[schemas.Example](t, newStage(t), whole)); diff != "" || len(want) != 3 {
		t.Errorf("%d rows, -whole +shard:\n%s", len(want), diff)
	}
	b.Reset()
	if err := shard.End(&b, hex.EncodeToString(sum[:])); err != nil {
		t.Fatal(err)
	}
	whole.Files["datasets/x"] = b.Bytes()
	_, err = stagetest.Process(t.Context(), t, newStage(t), whole)
	if !stages.IsReject(err) || !strings.Contains(err.Error(), "the stored shard: it begins with") {
		t.Errorf("the shard of other rows: err = %v, want a reject", err)
	}
}

// TestWeights: a file's training examples are repeated or sampled, those of its other parts are
// not; the same weight takes the same ones, and a larger one takes them, too.
func TestWeights(t *testing.T) {
	var data strings.Builder
	const total = 400
	for i := range total {
		tools := fmt.Sprintf(`[{"name": "tool_%d"}]`, i)
		data.WriteString(row(tools, "Go", fmt.Sprintf("[tool_%d()]", i)))
	}
	counts := func(weight float64) (train map[int32]int, others int) {
		cfg := map[string]any{"validation_share": 0.25, "replay_share": 0.25}
		if weight > 0 {
			cfg["weights"] = map[string]float64{"x.jsonl": weight, "other": 3}
		}
		train = map[int32]int{}
		for _, e := range stagetest.Rows[schemas.Example](t, newStage(t), item(t, format.OpenAI, data.String(), cfg)) {
			switch e.Part {
			case schemas.PartTrain:
				train[e.Row]++
			case schemas.PartValidation:
				others++
			default:
				if e.Reason != "not_drawn" || !strings.Contains(e.Detail, "split.weights") {
					t.Errorf("row %d: %s, %s", e.Row, e.Reason, e.Detail)
				}
			}
		}
		return train, others
	}
	all, validation := counts(0)
	for _, weight := range []float64{0.5, 1, 2, 2.5} {
		train, others := counts(weight)
		sum, low := 0, int(weight)
		for r, n := range train {
			if sum += n; n != low && n != low+1 || all[r] != 1 {
				t.Errorf("weight %g: row %d stands there %d times", weight, r, n)
			}
		}
		if want := weight * float64(len(all)); others != validation || math.Abs(float64(sum)-want) > 0.1*want {
			t.Errorf("weight %g: %d training examples, want about %g; %d of validation, want %d",
				weight, sum, want, others, validation)
		}
	}
	small, _ := counts(0.3)
	large, _ := counts(0.6)
	for r := range small {
		if large[r] == 0 {
			t.Errorf("row %d is taken at weight 0.3 and not at 0.6", r)
		}
	}
}

// TestReasons: every assistant turn and every broken row is one row of the result.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       []string // reason of each row, and a part of its detail
	}{
		{"calls and prose", row(weather, "Bern?", "[weather(city='Bern')]", "And?", "It rains."), []string{"", ""}},
		{"prose without tools", row("[]", "Hi", "Hello."), []string{""}},
		{"a markdown link is prose", row(weather, "Where?", "See [here](http://x.y)."), []string{""}},
		{"broken row", `{"messages": 7}` + "\n" + row(weather, "Hi", "Hello."),
			[]string{"bad_row x.jsonl: row 0 (line 1): messages: want a list", ""}},
		{"a tool that is no object", row(`["weather"]`, "Hi", "Hello."),
			[]string{"bad_tools x.jsonl: row 0 (line 1): tools[0]: a tool must be an object"}},
		{"a tool without a name", row(`[{"parameters": {}}]`, "Hi", "Hello.", "Bye", "Bye."),
			[]string{"bad_tools x.jsonl: row 0 (line 1): turn 0: toolcall: tool 0: name", "bad_tools turn 1"}},
		{"no answer", row(weather, "Hi"), []string{"no_answer row 0 (line 1): turn 0: no assistant turn"}},
		{"an empty answer", row(weather, "Hi", " \n"), []string{"no_answer the answer is empty"}},
		{"no question", row(weather, "", "Hello."), []string{"empty_prompt"}},
		{"a call that does not parse", row(weather, "Hi", "[weather(city=)]"),
			[]string{"bad_answer neither calls nor prose"}},
		{"a call within prose", row(weather, "Hi", "Sure: [weather(city='Bern')]"),
			[]string{"bad_answer neither calls nor prose"}},
		{"a list of no calls", row(weather, "Hi", "[]"), []string{"bad_answer a list of no calls"}},
		{"a call of another tool", row(weather, "Hi", "[wether(city='Bern')]"),
			[]string{`bad_answer it calls "wether", which is none of the 1 tools`}},
		{"an argument against the schema", row(weather, "Hi", "[weather(city=3, day=1)]"), []string{""}},
		{"the same row twice", row(weather, "Hi", "Hello.") + row(weather, "Hi", "Hello."),
			[]string{"", "duplicate row 1 (line 2)"}},
		{"too long for the context", row(weather, strings.Repeat("word ", 1000), "Hello.", "Hi", "Hello."),
			[]string{"overlong tokens of prompt and answer, 4096 are the most", "overlong an earlier turn"}},
		{"too many turns", row("[]", slices.Repeat([]string{"Hi", "Hello."}, 300)...),
			[]string{"bad_row 300 assistant turns"}},
		{"a system turn in the middle",
			`{"messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}, ` +
				`{"role": "assistant", "content": "Hello."}]}` + "\n",
			[]string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := stagetest.Rows[schemas.Example](t, newStage(t), item(t, format.OpenAI, c.data, nil))
			if len(rows) != len(c.want) {
				t.Fatalf("%d rows, want %d: %+v", len(rows), len(c.want), rows)
			}
			for i, e := range rows {
				reason, detail, _ := strings.Cut(c.want[i], " ")
				if e.Reason != reason || !strings.Contains(e.Detail, detail) {
					t.Errorf("row %d: %q, %s; want %q, %s", i, e.Reason, e.Detail, reason, detail)
				}
				if dropped := e.Part == schemas.PartDropped; dropped != (reason != "") || dropped && e.Replay {
					t.Errorf("row %d: part %s, replay %v, reason %q", i, e.Part, e.Replay, e.Reason)
				}
				if want := fmt.Sprintf("s0000000-%05d", i); e.ID != want {
					t.Errorf("row %d: id %s, want %s", i, e.ID, want)
				}
			}
		})
	}
}

// TestExample: what a kept example holds.
func TestExample(t *testing.T) {
	data := row(`[{"name":"now"},   {"name":"weather"}]`, "Bern?", "[weather(), now()]", "And?", "It rains.")
	it := item(t, format.OpenAI, data, map[string]any{"validation_share": 0, "replay_share": 1})
	rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
	if len(rows) != 2 {
		t.Fatalf("%d rows, want 2", len(rows))
	}
	p := policytest.Open(t, 1)
	for i, want := range []schemas.Example{
		{
			Messages:  `[{"role":"user","content":"Bern?"}]`,
			Reference: "[weather(), now()]", Calls: 2, Difficulty: "medium",
		}, {
			Messages: `[{"role":"user","content":"Bern?"},` +
				`{"role":"assistant","content":"[weather(), now()]"},{"role":"user","content":"And?"}]`,
			Reference: "It rains.", Difficulty: "medium", Turn: 1,
		},
	} {
		want.ID, want.Source, want.Part, want.Replay = fmt.Sprintf("s0000000-%05d", i), "x.jsonl", "train", true
		want.Tools, want.Candidates, want.ToolChars = `[{"name": "now"}, {"name": "weather"}]`, 2, 38
		want.Template = p.TemplateHash()
		var messages []policy.Message
		if err := json.Unmarshal([]byte(want.Messages), &messages); err != nil {
			t.Fatal(err)
		}
		ids, err := p.Prompt(messages, json.RawMessage(want.Tools))
		if err != nil {
			t.Fatal(err)
		}
		want.PromptIDs, want.AnswerIDs = ids, p.Answer(want.Reference)
		if got, want := fmt.Sprintf("%+v", rows[i]), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("example %d:\n%s\nwant\n%s", i, got, want)
		}
	}
}

// TestCallFormat: examples have calls in the format of the model, not of the data.
func TestCallFormat(t *testing.T) {
	const hermes = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call>"
	const llama = `{"name": "weather", "parameters": {"city": "Bern"}}`
	const pythonic = "[weather(city='Bern')]"
	for _, c := range []struct{ format, template, data, want string }{
		{"pythonic", "", pythonic, pythonic},
		{"hermes", "", pythonic, hermes},
		{"llama_json", "", pythonic, llama},
		{"llama_json", "", hermes, llama},
		{"pythonic", "", llama, pythonic},
		{"auto", "", hermes, pythonic},
		{"auto", `{#- Respond in the format {"name": function name, "parameters": ` +
			`dictionary of argument name and its value}. -#}`, pythonic, llama},
		{"auto", "{#- <tool_call> -#}", pythonic, hermes},
	} {
		data := row(weather, "Bern?", c.data, "And?", "It rains.")
		it := item(t, format.OpenAI, data, map[string]any{"validation_share": 0, "call_format": c.format})
		files := it.Policy.(fstest.MapFS)
		text := string(files[template.File].Data) + c.template
		files[template.File] = &fstest.MapFile{Data: []byte(text)}
		rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
		if len(rows) != 2 || rows[0].Reference != c.want || rows[0].Calls != 1 || rows[0].Reason != "" {
			t.Errorf("%s of %s: %+v, want %s", c.format, c.data, rows[0], c.want)
			continue
		}
		var before []policy.Message
		err := json.Unmarshal([]byte(rows[1].Messages), &before)
		if err != nil || before[1].Content != c.want || rows[1].Reference != "It rains." {
			t.Errorf("%s of %s: the second turn follows %v, %v", c.format, c.data, before, err)
		}
	}
}

// TestBaseWithoutTools: a run that another program than publish has started with a base that leaves tools out learns
// nothing without them.
func TestBaseWithoutTools(t *testing.T) {
	for toolsIn, want := range map[string]string{
		split.ToolsInTemplate: "--set split.tools_in=system", split.ToolsInSystem: "although split.tools_in is system",
	} {
		rows := row(weather, "Bern?", "[weather(city='Bern')]")
		it := item(t, format.OpenAI, rows, map[string]any{"tools_in": toolsIn})
		it.Policy.(fstest.MapFS)[template.File] = &fstest.MapFile{Data: []byte(noTools)}
		_, err := stagetest.Process(t.Context(), t, newStage(t), it)
		if !stages.IsReject(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a rejection with %q", toolsIn, err, want)
		}
	}
}

// TestCallFormatHolds: what JSON cannot hold is dropped, not changed.
func TestCallFormatHolds(t *testing.T) {
	for answer, want := range map[string]string{
		"[weather(city={1: 'a', '1': 'b'})]": "bad_answer",
		"[weather(city=1e400)]":              "bad_answer",
		"[weather(city=('a', 'b'))]":         "", // a list there
	} {
		it := item(t, format.OpenAI, row(weather, "Bern?", answer),
			map[string]any{"validation_share": 0, "call_format": "hermes"})
		rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
		if len(rows) != 1 || rows[0].Reason != want ||
			want != "" && !strings.Contains(rows[0].Detail, "cannot be written as hermes") {
			t.Errorf("%s: %+v, want the reason %q", answer, rows[0], want)
		}
	}
}

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		a, b, c int
		want    string
	}{
		{1, 999, 1, schemas.DifficultyEasy}, {0, 0, 0, schemas.DifficultyEasy},
		{2, 500, 1, schemas.DifficultyMedium}, {1, 1000, 1, schemas.DifficultyMedium},
		{1, 500, 2, schemas.DifficultyMedium}, {3, 2000, 3, schemas.DifficultyMedium},
		{4, 500, 1, schemas.DifficultyHard}, {1, 2001, 1, schemas.DifficultyHard}, {1, 500, 4, schemas.DifficultyHard},
	} {
		if got := split.Grade(c.a, c.b, c.c); got != c.want {
			t.Errorf("Grade(%d, %d, %d) = %s, want %s", c.a, c.b, c.c, got, c.want)
		}
	}
}

// many writes five questions over each of a number of tool sets, which come in pairs
// of the same set.
func many(sets int) string {
	var data strings.Builder
	for i := range sets {
		tools := fmt.Sprintf(`[{"name": "tool_%d"}, {"name": "other"}]`, i)
		if i%2 == 1 { // another order and layout of the same set is the same set
			tools = fmt.Sprintf(`[{"name":"other"},{"name":"tool_%d"}]`, i-1)
		}
		for q := range 5 {
			data.WriteString(row(tools, fmt.Sprintf("question %d of %d", q, i), "No idea."))
		}
	}
	return data.String()
}

// TestShares: the shares come out right on average, no tool set stands on two
// sides, and neither the cut into shards nor the item's seed moves an example.
func TestShares(t *testing.T) {
	data := many(200)
	it := item(t, format.OpenAI, data, map[string]any{"test_share": 0.2})
	rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
	parts, sides, replay := map[string]int{}, map[string]string{}, 0
	where := map[string]string{}
	for _, e := range rows {
		parts[e.Part]++
		if e.Replay {
			replay++
		}
		where[e.Messages] = fmt.Sprint(e.Part, e.Replay)
		set := regexp.MustCompile(`tool_\d+`).FindString(e.Tools)
		if before, seen := sides[set]; seen && before != e.Part {
			t.Errorf("tool set %s is in %s and in %s", set, before, e.Part)
		}
		sides[set] = e.Part
	}
	total := len(rows)
	for _, c := range []struct {
		name     string
		n        int
		low, top float64
	}{
		{"test", parts["test"], 0.1, 0.3}, {"validation", parts["validation"], 0.04, 0.18},
		{"train", parts["train"], 0.58, 0.82}, {"replay", replay, 0.44, 0.56},
	} {
		if share := float64(c.n) / float64(total); share < c.low || share > c.top {
			t.Errorf("%s has %.3f of all, want %.2f..%.2f", c.name, share, c.low, c.top)
		}
	}
	smaller, again := it, 0
	sum := sha256.Sum256([]byte(data)) // of more than a reader's buffer: it is checked to the end
	for first := 0; first < total; first += 300 {
		shard := schemas.Shard{
			Key: fmt.Sprintf("t%d", first), File: "datasets/x", Name: "x", Format: "openai",
			SHA256: hex.EncodeToString(sum[:]), First: int32(first), Rows: int32(min(300, total-first)),
		}
		smaller.Batches = []schemas.Batch{stagetest.Batch(t, shard.Key, shard)}
		smaller.Header.Seed = uint64(99 + first)
		for _, e := range stagetest.Rows[schemas.Example](t, newStage(t), smaller) {
			again++
			if got := fmt.Sprint(e.Part, e.Replay); got != where[e.Messages] {
				t.Errorf("%s: %s in a smaller shard, %s before", e.Messages, got, where[e.Messages])
			}
		}
	}
	if again != total {
		t.Errorf("%d examples in smaller shards, want %d", again, total)
	}
	it.Config = map[string]any{"test_share": 0.2, "share_seed": 2}
	moved := 0
	for i, e := range stagetest.Rows[schemas.Example](t, newStage(t), it) {
		if e.Part != rows[i].Part {
			moved++
		}
	}
	if moved == 0 {
		t.Error("another share_seed moved nothing")
	}
}

// TestFiles: a named file is in one part as a whole, with all of its tool sets; the shares
// are of the other files.
func TestFiles(t *testing.T) {
	data := many(40)
	settings := map[string]string{schemas.PartTest: "test_files", schemas.PartValidation: "validation_files"}
	for part, setting := range settings {
		it := item(t, format.OpenAI, data, map[string]any{setting: []string{"other.jsonl", "x.jsonl"}})
		for _, e := range stagetest.Rows[schemas.Example](t, newStage(t), it) {
			if e.Part != string(part) || e.Replay {
				t.Fatalf("%s: an example is %s, replay %t", setting, e.Part, e.Replay)
			}
		}
		it.Config = map[string]any{setting: []string{"other.jsonl"}}
		train := 0
		for _, e := range stagetest.Rows[schemas.Example](t, newStage(t), it) {
			if e.Part == schemas.PartTrain {
				train++
			}
		}
		if train == 0 {
			t.Errorf("%s: another file's name holds this one out", setting)
		}
	}
}

// TestDataShare: less data is a part of more data, and what is held out stays.
func TestDataShare(t *testing.T) {
	var data strings.Builder
	for i := range 600 {
		data.WriteString(row(fmt.Sprintf(`[{"name": "tool%d", "parameters": {}}]`, i), fmt.Sprint("Q", i), "Hello."))
	}
	used := map[string]bool{}
	var before []schemas.Example
	for _, share := range []float64{1, 0.5, 0.1} {
		it := item(t, format.OpenAI, data.String(), map[string]any{"data_share": share})
		rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
		train, all := 0, 0
		for i, e := range rows {
			if before != nil && before[i].Part != schemas.PartTrain && e.Part != before[i].Part {
				t.Fatalf("share %g: row %d is %s, with more data %s", share, i, e.Part, before[i].Part)
			}
			switch {
			case e.Part == schemas.PartTrain:
				train++
				if before != nil && !used[e.ID] {
					t.Fatalf("share %g: %s is not part of the larger share", share, e.ID)
				}
				used[e.ID] = true
			case e.Reason == "not_drawn":
				used[e.ID] = false
			default:
				continue
			}
			all++
		}
		if got := float64(train) / float64(all); math.Abs(got-share) > 0.06 {
			t.Errorf("share %g: %g of %d training examples are used", share, got, all)
		}
		before = rows
	}
}

// TestBFCL: the acceptable answers travel, and a reference that fails its own
// check is dropped.
func TestBFCL(t *testing.T) {
	question := func(n int, city, truth string) string {
		const row = `{"id": "live_simple_%d-0-0", "question": [[{"role": "user", "content": "Rain in %s?"}]], ` +
			`"function": [{"name": "weather", "parameters": {"type": "dict", ` +
			`"properties": {"city": {"type": "string"}}, "required": ["city"]}}], "ground_truth": [%s]}` + "\n"
		return fmt.Sprintf(row, n, city, truth)
	}
	data := question(0, "Bern", `{"weather": {"city": ["Bern", "Berne"]}}`) +
		question(1, "Oslo", `{"climate": {"city": ["Oslo"]}}`) +
		strings.Replace(question(2, "Rome", `{"weather": {"city": ["Rome"]}}`), `[[`,
			`[[{"role": "user", "content": "Help"}, {"role": "assistant", "content": "Gladly."}, `, 1)
	rows := stagetest.Rows[schemas.Example](t, newStage(t), item(t, format.BFCL, data, nil))
	if e := rows[0]; e.Reason != "" || e.Category != "live_simple" || e.Reference != "[weather(city='Bern')]" ||
		e.Acceptable != `[{"weather": {"city": ["Bern", "Berne"]}}]` {
		t.Errorf("row 0: %+v", e)
	}
	if e := rows[2]; e.Reason != "" || e.Acceptable != "" || e.Reference != "Gladly." {
		t.Errorf("row 2, a turn within the question: %+v", e)
	}
	if e := rows[1]; e.Reason != "bad_answer" || !strings.Contains(e.Detail, "wrong_func_name") || e.Acceptable != "" {
		t.Errorf("row 1: %s: %s", e.Reason, e.Detail)
	}
}

// TestOnlyAsked: rows without an answer to learn are test examples, every one of them, in any file.
func TestOnlyAsked(t *testing.T) {
	question := func(id, words, rest string) string {
		return fmt.Sprintf(`{"id": %q, "question": [[{"role": "user", "content": %q}]], "function": `+weather+`%s}`,
			id, words, rest) + "\n"
	}
	data := question("irrelevance_0", "Rain in Bern?", "") + question("irrelevance_1", "Rain in Bern?", "") +
		question("live_relevance_0-0-0", "Hello", "") + question("irrelevance_2", " ", "") +
		question("java_0", "Rain in Oslo?", `, "ground_truth": [{"weather": {"city": ["Oslo"]}}]`) +
		question("javascript_0", "Rain in Rome?", `, "ground_truth": []`)
	config := map[string]any{"validation_files": []string{"x.jsonl"}, "data_share": 0.5}
	got := stagetest.Rows[schemas.Example](t, newStage(t), item(t, format.BFCL, data, config))
	type part struct {
		Part, Category, Reason, Acceptable string
		Calls                              int32
	}
	want := []part{
		{schemas.PartTest, "irrelevance", "", "", 0},
		{schemas.PartTest, "irrelevance", "", "", 0},
		{schemas.PartTest, "live_relevance", "", "", 0},
		{schemas.PartDropped, "irrelevance", "empty_prompt", "", 0},
		{schemas.PartTest, "java", "", `[{"weather": {"city": ["Oslo"]}}]`, 1},
		{schemas.PartDropped, "javascript", "no_answer", "", 0},
	}
	for i, e := range got {
		p := part{e.Part, e.Category, e.Reason, e.Acceptable, e.Calls}
		if i >= len(want) || p != want[i] {
			t.Errorf("row %d: %+v", i, p)
		}
		if e.Reference != "" || len(e.AnswerIDs) > 0 || e.Replay || (len(e.PromptIDs) > 0) != (e.Reason == "") {
			t.Errorf("row %d: %+v", i, e)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

// TestBadPrompt: a conversation that the model's own template refuses is dropped.
func TestBadPrompt(t *testing.T) {
	const refusal = "{%- for m in messages if m['role'] == 'tool' -%}" +
		"{{- raise_exception('no tools, please') -}}{%- endfor -%}\n"
	data := row("[]", "Hi", "Hello.") + `{"messages": [{"role": "user", "content": "Hi"}, ` +
		`{"role": "tool", "content": "7"}, {"role": "assistant", "content": "Seven."}]}`
	it := item(t, format.OpenAI, data, nil)
	files, ok := it.Policy.(fstest.MapFS)
	if !ok {
		t.Fatal("a tiny policy is no MapFS")
	}
	files[template.File] = &fstest.MapFile{Data: []byte(refusal + template.Default)}
	it.Digest = "refusing"
	rows := stagetest.Rows[schemas.Example](t, newStage(t), it)
	if rows[0].Reason != "" || rows[1].Reason != "bad_prompt" || !strings.Contains(rows[1].Detail, "no tools, please") {
		t.Errorf("rows %+v, want the second dropped as bad_prompt", rows)
	}
}

// TestBadShards: a task or a file that no retry mends is rejected; trouble with
// reading is tried again.
func TestBadShards(t *testing.T) {
	good := row(weather, "Hi", "Hello.")
	for _, c := range []struct {
		name  string
		spoil func(*schemas.Shard)
		want  string
	}{
		{"beyond the end", func(s *schemas.Shard) { s.Rows = 2 },
			"x.jsonl: row 1 (line 2): the file ends after 1 rows, 2 were expected"},
		{"no rows", func(s *schemas.Shard) { s.Rows = 0 }, "rows 0 and 0 more"},
		{"overflow", func(s *schemas.Shard) { s.First, s.Rows = 1<<31-1, 1<<31-1 }, "not within"},
		{"unknown format", func(s *schemas.Shard) { s.Format = "xml" }, `unknown format "xml"`},
		{"bad key", func(s *schemas.Shard) { s.Key = "a.b" }, "key: "},
		{"long key", func(s *schemas.Shard) { s.Key = strings.Repeat("k", 120) }, "key: 120 bytes"},
		{"other file", func(s *schemas.Shard) { s.SHA256 = strings.Repeat("0", 64) }, "publish it again"},
		{"no file", func(s *schemas.Shard) { s.File = "datasets/y" }, "datasets/y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			it := item(t, format.OpenAI, good, nil)
			shards, err := schemas.Decode[schemas.Shard](it.Batches[0])
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(&shards[0])
			it.Batches = []schemas.Batch{stagetest.Batch(t, "k", shards...)}
			_, err = stagetest.Process(t.Context(), t, newStage(t), it)
			if !stages.IsReject(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want a Reject that says %q", err, c.want)
			}
		})
	}
	in := item(t, format.OpenAI, good, nil).Input(t)
	in.Dataset = func(string) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(good[:20]), iotest.ErrReader(fs.ErrClosed))), nil
	}
	err := newStage(t).Process(t.Context(), in, stagetest.NewRecorder(t, in))
	if !errors.Is(err, fs.ErrClosed) || stages.IsReject(err) {
		t.Errorf("a failing store: err = %v, want its own and no Reject", err)
	}
}

func TestConfig(t *testing.T) {
	for want, config := range map[string]split.Config{
		"split.test_share: 1.5":       {TestShare: 1.5},
		"split.validation_share: -1":  {ValidationShare: -1},
		"split.validation_share: 0.6": {ValidationShare: 0.6, TestShare: 0.6},
		"split.replay_share: 0.95":    {ValidationShare: 0.1, ReplayShare: 0.95},
		"split.data_share: 0":         {},
		"split.data_share: 1.1":       {DataShare: 1.1},
		"split.call_format: \"json\"": {DataShare: 1, CallFormat: "json"},
		"split.tools_in: \"user\"":    {DataShare: 1, CallFormat: split.Auto, ToolsIn: "user"},
		"split.max_tokens: -1": {DataShare: 1, CallFormat: split.Auto, ToolsIn: split.ToolsInSystem,
			Turns: "last", Reasoning: "drop", MaxTokens: -1},
		"split.turns: \"first\"": {DataShare: 1, CallFormat: split.Auto, ToolsIn: "system", Turns: "first"},
		"split.reasoning: \"\"":  {DataShare: 1, CallFormat: split.Auto, ToolsIn: "system", Turns: "all"},
		"split.columns: \"role\" is none of assistant_tag": {DataShare: 1, CallFormat: split.Auto, ToolsIn: "system",
			Turns: "all", Reasoning: "refuse", Columns: map[string]string{"role": "x"}},
		"split.columns: role_tag: the name in the file is empty": {DataShare: 1, CallFormat: split.Auto,
			ToolsIn: "system", Turns: "all", Reasoning: "refuse", Columns: map[string]string{"role_tag": ""}},
		"split.columns: assistant_tag and user_tag are both": {DataShare: 1, CallFormat: "auto", ToolsIn: "system",
			Turns: "all", Reasoning: "refuse", Columns: map[string]string{"user_tag": "x", "assistant_tag": "x"}},
		"split.test_files: \"a\"": {DataShare: 1, TestFiles: []string{"a"}, ValidationFiles: []string{"b", "a"}},
	} {
		if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: err = %v, want %s", config, err, want)
		}
	}
	for _, config := range []split.Config{
		split.Default(),
		{ReplayShare: 0.9, ValidationShare: 0.1, DataShare: 1, CallFormat: "hermes", ToolsIn: "system",
			Turns: "all", Reasoning: "keep"},
		{TestShare: 1, DataShare: 0.1, CallFormat: "auto", ToolsIn: "template", Turns: "last", Reasoning: "drop"},
	} {
		if err := config.Validate(); err != nil {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

// TestToolACESample: the real sample survives, and all of it is medium or hard.
func TestToolACESample(t *testing.T) {
	data, err := io.ReadAll(toolcalltest.Open(t, "toolace/toolace_97_reconstructed.json"))
	if err != nil {
		t.Fatal(err)
	}
	it := item(t, format.ToolACE, string(data), nil)
	it.Policy, it.Digest = policytest.Shaped(1, model.Config{
		Family: model.Llama, HiddenSize: 8, IntermediateSize: 8, NumLayers: 1, NumHeads: 1, NumKVHeads: 1, HeadDim: 8,
		MaxPositions: 1 << 16, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	}), "wide"
	reasons, grades, parts := map[string]int{}, map[string]int{}, map[string]int{}
	replay := 0
	for _, e := range stagetest.Rows[schemas.Example](t, newStage(t), it) {
		parts[e.Part]++
		if e.Part == schemas.PartDropped {
			reasons[e.Reason]++
			t.Logf("%s: %s", e.Reason, e.Detail)
			continue
		}
		grades[e.Difficulty]++
		if e.Replay {
			replay++
		}
	}
	t.Logf("dropped by reason: %v; kept by difficulty: %v; parts: %v; replay %d", reasons, grades, parts, replay)
	if kept := grades["medium"] + grades["hard"]; grades["easy"] != 0 || kept < 440 {
		t.Errorf("kept by difficulty %v, want no easy one and at least 440 of 463", grades)
	}
}
