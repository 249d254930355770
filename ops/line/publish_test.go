package line_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/template"
	"itool/storage"
	"itool/storage/checkpoint"
)

// TestPrepareBrokenBase: nothing of a request with a broken base is stored, even if one
// with a good base came before it in the same process.
func TestPrepareBrokenBase(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(city string) string { return writeRow(t, city) }
	keys := func() (keys []string) {
		for info, err := range c.Store.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, info.Key)
		}
		slices.Sort(keys)
		return keys
	}
	req := line.Request{
		Run: "r", Config: "{}", Digest: "d", ShardRows: 10, Base: policytest.Tiny(1), Created: time.Now(),
	}
	req.Files = []string{write("Bern")}
	if _, err := line.Prepare(t.Context(), c, engine, req); err != nil {
		t.Fatal(err)
	}
	before := keys()
	req.Files = []string{write("Oslo")}
	req.Base = fstest.MapFS{"config.json": {Data: []byte("{}")}}
	_, err = line.Prepare(t.Context(), c, engine, req)
	if err == nil || !strings.Contains(err.Error(), "base model: ") {
		t.Fatalf("got %v, want an error of the base model", err)
	}
	if after := keys(); !slices.Equal(after, before) {
		t.Errorf("stored %v, before it %v", after, before)
	}
}

// TestPrepareToolsInSystem: a base whose chat template leaves out tools is refused with the remedy; with
// it the run's base has a template that writes them.
func TestPrepareToolsInSystem(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	base := fstest.MapFS{}
	for name, file := range policytest.Tiny(1).(fstest.MapFS) {
		base[name] = file
	}
	base["chat_template.jinja"] = &fstest.MapFile{Data: []byte("{{ bos_token }}{% for m in messages %}" +
		"{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}" +
		"{% if add_generation_prompt %}<|assistant|>{% endif %}")}
	data := filepath.Join(t.TempDir(), "d.jsonl")
	row := `{"messages": [{"role": "user", "content": "Bern?"}, {"role": "assistant", "content": "Yes."}]}`
	if err := os.WriteFile(data, []byte(row+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	req := line.Request{
		Run: "r", Config: "{}", Digest: "d", ShardRows: 10, Base: base, Created: time.Now(), Files: []string{data},
	}
	if _, err := line.Prepare(t.Context(), c, engine, req); err == nil ||
		!strings.Contains(err.Error(), "leaves out tools: --set split.tools_in=system") {
		t.Fatalf("got %v, want an error that names the remedy", err)
	}
	req.Config = `{"split": {"tools_in": "system"}}`
	run, err := line.Prepare(t.Context(), c, engine, req)
	if err != nil {
		t.Fatal(err)
	}
	folder, _, err := checkpoint.Open(t.Context(), c.Store, courier.Checkpoints, run.Base)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(folder, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if probe := p.Probe(); !probe.Tools.Written || !strings.Contains(p.Template(), "<tools>") {
		t.Errorf("the run's base: %+v", probe)
	}
}

// writeRow writes a dataset of one row.
func writeRow(t *testing.T, city string) string {
	t.Helper()
	row := `{"messages": [{"role": "user", "content": "` + city + `?"}, ` +
		`{"role": "assistant", "tool_calls": [` +
		`{"type": "function", "function": {"name": "weather", "arguments": "{}"}}]}], ` +
		`"tools": [{"type": "function", "function": {"name": "weather"}}]}`
	name := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(name, []byte(row+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPrepareStoresOnlyTheBase: weights in other formats, pictures and whole folders beside the model are
// not stored; everything that the model consists of is, in one file or in shards.
func TestPrepareStoresOnlyTheBase(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tiny := policytest.Tiny(1)
	own := []string{
		"LICENSE", "additional_chat_templates/tool_use.jinja", "chat_template.jinja", "config.json",
		"generation_config.json", "model.safetensors",
		"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
	}
	other := []string{
		"pytorch_model.bin", "consolidated.00.pth", "original/params.json", "original/consolidated.00.pth", "plot.png",
		"README.md", "optimizer.pt", "model-00001-of-00002.safetensors", "model.fp32.safetensors", ".gitattributes",
		"onnx/model.onnx", "model.gguf",
	}
	folder := fstest.MapFS{}
	for _, name := range slices.Concat(own, other) {
		data, err := fs.ReadFile(tiny, name)
		if err != nil {
			data = []byte("{}")
		}
		if name == template.ToolFile {
			data = []byte(template.Default)
		}
		folder[name] = &fstest.MapFile{Data: data}
	}
	stored := func(base fs.FS) []string {
		run, err := line.Prepare(t.Context(), c, engine, line.Request{
			Run: "r", Config: "{}", Digest: "d", ShardRows: 10, Base: base, Created: time.Now(),
			Files: []string{writeRow(t, "Bern")},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, m, err := checkpoint.Open(t.Context(), c.Store, courier.Checkpoints, run.Base)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range m.Parts {
			names = append(names, p.Name)
		}
		return names
	}
	if got := stored(folder); !slices.Equal(got, own) {
		t.Errorf("stored %v, want %v", got, own)
	}
	// The same weights in a shard.
	folder["model-00001-of-00001.safetensors"] = folder["model.safetensors"]
	delete(folder, "model.safetensors")
	f, err := safetensors.Read(tiny, "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]string{}
	for _, name := range f.Names() {
		index[name] = "model-00001-of-00001.safetensors"
	}
	text, err := json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	folder["model.safetensors.index.json"] = &fstest.MapFile{Data: text}
	want := slices.Replace(slices.Clone(own), 5, 6, "model-00001-of-00001.safetensors", "model.safetensors.index.json")
	if got := stored(folder); !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

// TestStoreOfARun: a run names its store; a store without an identity takes no run; and a run that was
// started by the version before, which named none, is found by the same request.
func TestStoreOfARun(t *testing.T) {
	c := couriertest.Open(t)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	req := line.Request{
		Run: "r", Config: "{}", Digest: "d", ShardRows: 10, Base: policytest.Tiny(1), Created: time.Now(),
		Files: []string{writeRow(t, "Bern")},
	}
	run, err := line.Prepare(t.Context(), c, engine, req)
	if err != nil || run.Store != "couriertest" {
		t.Fatalf("store %q, %v", run.Store, err)
	}
	before := run
	before.Store = ""
	for _, r := range []schemas.Run{before, before, run} {
		if err := line.Start(t.Context(), c, r); err != nil {
			t.Errorf("start %+v: %v", r.Store, err)
		}
	}
	run.Seed++
	if err := line.Start(t.Context(), c, run); err == nil {
		t.Error("another run was taken for the one that was started")
	}

	if err := c.Store.Delete(t.Context(), storage.IdentityKey); err != nil {
		t.Fatal(err)
	}
	other := &courier.Courier{Broker: c.Broker, Store: c.Store}
	_, err = line.Prepare(t.Context(), other, engine, req)
	if err == nil || !strings.Contains(err.Error(), "doctor --create") {
		t.Errorf("a store without an identity: %v", err)
	}
}
