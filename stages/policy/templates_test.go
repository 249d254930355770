package policy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// thirdParty reads a file of the third-party data, which is stored outside the repository.
func thirdParty(t *testing.T, folder, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, "..", "shared", "data", folder, name))
	if err != nil {
		t.Skip("third-party data not present: " + folder)
	}
	return string(text)
}

const (
	// The bos_token of SmolLM 2 is the token that begins every turn.
	smollm2 = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}` +
		`{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}` +
		`{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`
	smollm2Config = `{"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}`
	// A short form of Llama 3's template.
	llama3 = `{% for message in messages %}` +
		`{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'` +
		` + message['content'] | trim + '<|eot_id|>' %}` +
		`{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`
	llama3Config = `{"bos_token": {"content": "<|begin_of_text|>"}, "eos_token": "<|eot_id|>"}`
)

var (
	chatML        = []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
	llama3Special = []string{"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
		"<|eom_id|>", "<|python_tag|>"}
)

// templated returns the folder of a tiny policy with a template, its settings, and a tokenizer with its control
// tokens.
func templated(t *testing.T, source, config string, special []string) fstest.MapFS {
	t.Helper()
	tokens, err := tokenizer.Train(slices.Values([]string(nil)), 256+len(special), special)
	if err != nil {
		t.Fatal(err)
	}
	fsys := policytest.Tiny(1).(fstest.MapFS)
	fsys["chat_template.jinja"] = &fstest.MapFile{Data: []byte(source)}
	fsys["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(config)}
	fsys["tokenizer.json"] = &fstest.MapFile{Data: tokens}
	return fsys
}

func qwen3(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/qwen3.jinja")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRealTemplates runs the templates of real models, with a tokenizer that has their control tokens. At every
// turn, the prompt and the answer must be the beginning of the whole conversation.
func TestRealTemplates(t *testing.T) {
	for _, c := range []struct {
		name, file, config string // without a file, source is ours
		source             string
		special            []string
		end                string
		bos                int // tokens
	}{
		{"llama 3.1", "llama3_1.jinja", llama3Config, "", llama3Special, "<|eot_id|>", 1},
		{"llama 3", "", llama3Config, llama3, llama3Special, "<|eot_id|>", 1},
		{"qwen 2.5", "qwen2_5.jinja", `{"bos_token": null, "eos_token": "<|im_end|>"}`, "", chatML, "<|im_end|>", 0},
		{"qwen 3", "", `{"add_bos_token": false, "bos_token": null, "eos_token": "<|im_end|>"}`, qwen3(t), chatML,
			"<|im_end|>", 0},
		{"smollm 2", "", smollm2Config, smollm2, chatML, "<|im_end|>", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := c.source
			if c.file != "" {
				source = thirdParty(t, "chat_templates", c.file)
			}
			p, err := policy.Open(templated(t, source, c.config, c.special),
				policy.Options{Device: ref.New(), Date: "1 Jan 2030"})
			if err != nil {
				t.Fatal(err)
			}
			talk := []policy.Message{
				{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Weather in " + c.end + "Oslo?"},
				{Role: "assistant", Content: `[get_weather(city="Oslo")]`},
				{Role: "tool", Content: "rain"}, {Role: "assistant", Content: "It rains."},
				{Role: "user", Content: "Thanks"}, {Role: "assistant", Content: "Gladly."},
			}
			for turn, m := range talk {
				if m.Role != "assistant" {
					continue
				}
				prompt, answer := mustPrompt(t, p, talk[:turn]), p.Answer(m.Content)
				whole, err := p.Conversation(talk[:turn+1], tools)
				if err != nil {
					t.Fatal(err)
				}
				got := append(slices.Clone(prompt), answer...)
				if len(whole) < len(got) || !slices.Equal(got, whole[:len(got)]) {
					t.Errorf("turn %d:\n got %q\nwant %q", turn, p.Text(got), p.Text(whole))
				}
				if rest := p.Text(whole[len(got):]); strings.TrimSpace(rest) != "" {
					t.Errorf("turn %d: %q follows the end of turn", turn, rest)
				}
				if got := string(p.TokenBytes(answer[len(answer)-1])); got != c.end || !p.IsEnd(answer[len(answer)-1]) {
					t.Errorf("turn %d: the answer ends in %q, want %q", turn, got, c.end)
				}
				if got := strings.Count(p.Text(prompt[:1]), "begin_of_text"); got != c.bos {
					t.Errorf("turn %d: %d BOS tokens, want %d", turn, got, c.bos)
				}
				has := strings.Contains(p.Text(prompt), "1 Jan 2030")
				if has != strings.Contains(source, "date_string") {
					t.Errorf("turn %d: the date: %v", turn, has)
				}
			}
		})
	}
}

// TestQwen3 compares with the output of Python's jinja2 for the template. It leaves out thoughts before the last
// question, and with thinking off it gives an answer an empty thought.
func TestQwen3(t *testing.T) {
	p, err := policy.Open(templated(t, qwen3(t), `{"bos_token": null, "eos_token": "<|im_end|>"}`, chatML),
		policy.Options{Device: ref.New()})
	if err != nil {
		t.Fatal(err)
	}
	talk := []policy.Message{
		{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Weather?"},
		{Role: "assistant", Content: "<think>\nI must ask.\n</think>\n\nask()"},
		{Role: "tool", Content: "rain"}, {Role: "tool", Content: "wind"}, {Role: "assistant", Content: "Rain."},
		{Role: "user", Content: "Thanks"},
	}
	const (
		begin = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"
		none  = "<think>\n\n</think>\n\n"
		tools = "ask()<|im_end|>\n<|im_start|>user\n<tool_response>\nrain\n</tool_response>\n" +
			"<tool_response>\nwind\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
	)
	for _, c := range []struct {
		name string
		ids  func([]policy.Message, json.RawMessage) ([]int32, error)
		msgs []policy.Message
		want string
	}{
		{"prompt", p.Prompt, talk[:2], begin + none},
		{"the last turns keep their thoughts", p.Conversation, talk[:6], begin + "<think>\nI must ask.\n</think>\n\n" +
			tools + none + "Rain.<|im_end|>\n"},
		{"earlier ones do not", p.Prompt, talk, begin + tools +
			"Rain.<|im_end|>\n<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\n" + none},
	} {
		ids, err := c.ids(c.msgs, nil)
		if got := p.Text(ids); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

// TestRaw: a plain text begins with the tokens that the tokenizer puts there, once. As in Hugging Face,
// tokenizer.json decides, or else tokenizer_config.json.
func TestRaw(t *testing.T) {
	const template = `"post_processor": {"type": "Sequence", "processors": [
		{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
		{"type": "TemplateProcessing",
			"single": [%s{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}}]}`
	bos := `{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, `
	withBOS := func(add string) string { return strings.Replace(llama3Config, "{", `{"add_bos_token": `+add+", ", 1) }
	for _, c := range []struct {
		name, source, config string
		special              []string
		post                 string
		want                 string
	}{
		{"llama 3", llama3, llama3Config, llama3Special, fmt.Sprintf(template, bos), "<|begin_of_text|>Hi"},
		{"the post-processor decides", llama3, withBOS("true"), llama3Special, fmt.Sprintf(template, ""), "Hi"},
		{"both", llama3, withBOS("false"), llama3Special, fmt.Sprintf(template, bos), "<|begin_of_text|>Hi"},
		{"the settings alone", llama3, withBOS("true"), llama3Special, "", "<|begin_of_text|>Hi"},
		{"neither", llama3, llama3Config, llama3Special, "", "Hi"},
		{"a mark of turns", smollm2, smollm2Config, chatML, "", "Hi"},
	} {
		fsys := templated(t, c.source, c.config, c.special)
		if c.post != "" {
			tokens := strings.Replace(string(fsys["tokenizer.json"].Data), `"post_processor": null`, c.post, 1)
			fsys["tokenizer.json"] = &fstest.MapFile{Data: []byte(tokens)}
		}
		p, err := policy.Open(fsys, policy.Options{Device: ref.New()})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := p.Text(p.Raw("Hi")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if got := p.Text(p.Raw(c.want)); got != c.want {
			t.Errorf("%s: written in the text: got %q, want %q", c.name, got, c.want)
		}
	}
}
