package policy_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/policytest"
)

// A template for tools that leaves tools out must not win over the one that writes them into the system message.
func TestToolsInSystemReplacesEveryTemplate(t *testing.T) {
	const plain = "{{ bos_token }}" +
		"{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}" +
		"{% if add_generation_prompt %}<|assistant|>{% endif %}"
	files := fstest.MapFS{}
	for name, f := range policytest.Tiny(1).(fstest.MapFS) {
		files[name] = f
	}
	files["chat_template.jinja"] = &fstest.MapFile{Data: []byte(plain)}
	files["additional_chat_templates/tool_use.jinja"] = &fstest.MapFile{Data: []byte(plain)}
	folder, err := policy.ToolsInSystem(files)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(folder, policy.Options{Device: ref.New()})
	if err != nil {
		t.Fatal(err)
	}
	if probe := p.Probe(); !probe.Tools.Written {
		t.Errorf("tools: %+v", probe.Tools)
	}
	seen := map[string]int{}
	err = fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			seen[name]++
		}
		return err
	})
	if err != nil || seen["chat_template.jinja"] != 1 || seen["additional_chat_templates/tool_use.jinja"] != 0 {
		t.Errorf("the folder lists %v, %v", seen, err)
	}
}
