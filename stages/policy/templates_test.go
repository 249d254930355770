package policy_test

import (
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

// thirdParty reads a file of the data beside the repository.
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

// The templates of real models, with a tokenizer that has their control tokens:
// prompt and answer are the beginning of the whole conversation, at every turn.
func TestRealTemplates(t *testing.T) {
	for _, c := range []struct {
		name, file, config string
		special            []string
		end                string
		bos                int // tokens
	}{
		{"llama 3.1", "llama3_1.jinja", `{"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}`,
			[]string{"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"}, "<|eot_id|>", 1},
		{"qwen 2.5", "qwen2_5.jinja", `{"bos_token": null, "eos_token": "<|im_end|>"}`, []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, "<|im_end|>", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens, err := tokenizer.Train(slices.Values([]string(nil)), 256+len(c.special), c.special)
			if err != nil {
				t.Fatal(err)
			}
			fsys := policytest.Tiny(1).(fstest.MapFS)
			fsys["chat_template.jinja"] = &fstest.MapFile{Data: []byte(thirdParty(t, "chat_templates", c.file))}
			fsys["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(c.config)}
			fsys["tokenizer.json"] = &fstest.MapFile{Data: tokens}
			p, err := policy.Open(fsys, policy.Options{Device: ref.New(), Date: "1 Jan 2030"})
			if err != nil {
				t.Fatal(err)
			}
			talk := []policy.Message{
				{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Weather in " + c.end + "Oslo?"}, {Role: "assistant", Content: `[get_weather(city="Oslo")]`},
				{Role: "tool", Content: "rain"}, {Role: "assistant", Content: "It rains."}, {Role: "user", Content: "Thanks"}, {Role: "assistant", Content: "Gladly."},
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
					t.Errorf("turn %d: %q stands behind the end of turn", turn, rest)
				}
				if got := string(p.TokenBytes(answer[len(answer)-1])); got != c.end || !p.IsEnd(answer[len(answer)-1]) {
					t.Errorf("turn %d: the answer ends in %q, want %q", turn, got, c.end)
				}
				if got := strings.Count(p.Text(prompt[:1]), "begin_of_text"); got != c.bos {
					t.Errorf("turn %d: %d BOS tokens, want %d", turn, got, c.bos)
				}
				if has := strings.Contains(p.Text(prompt), "1 Jan 2030"); has != (c.bos == 1) {
					t.Errorf("turn %d: the date: %v", turn, has)
				}
			}
		})
	}
}
