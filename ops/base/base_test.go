package base_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/base"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// tiny writes a whole base into a folder.
func tiny(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, policytest.Tiny(1)); err != nil {
		t.Fatal(err)
	}
}

// TestFolder: a whole folder is a base; one that lacks something is refused with what, and with a remedy
// that fits how it came to lack it.
func TestFolder(t *testing.T) {
	drop := func(names ...string) func(dir string) {
		return func(dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					panic(err)
				}
			}
		}
	}
	write := func(dir, name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	weights, tokens, template := "model.safetensors", "tokenizer.json", "chat_template.jinja"
	for _, c := range []struct {
		name   string
		change func(dir string)
		want   string
	}{
		{"whole", func(string) {}, ""},
		{"template in the settings", func(dir string) {
			drop(template)(dir)
			write(dir, "tokenizer_config.json", `{"chat_template": "x"}`)
		}, ""},
		{"two parts", drop("config.json", tokens), "lacks config.json, tokenizer.json: fetch the whole model, hf "},
		{"no weights", drop(weights), "lacks model.safetensors: fetch"},
		{"weights of PyTorch", func(dir string) { drop(weights)(dir); write(dir, "pytorch_model.bin", "") },
			"its weights are pytorch_model.bin, which can run code"},
		{"a shard", func(dir string) {
			drop(weights)(dir)
			write(dir, "model-00001-of-00002.safetensors", "")
			write(dir, "model.safetensors.index.json", `{"weight_map": {"a": "model-00001-of-00002.safetensors", `+
				`"b": "model-00002-of-00002.safetensors"}}`)
		}, "lacks model-00002-of-00002.safetensors: fetch"},
		{"a shard elsewhere", func(dir string) {
			drop(weights)(dir)
			write(dir, "model.safetensors.index.json", `{"weight_map": {"a": "../x.safetensors"}}`)
		}, `"../x.safetensors" is not a file name`},
		{"a pointer of Git", func(dir string) { write(dir, weights, "version https://git-lfs.github.com/spec/v1\n") },
			"model.safetensors is a pointer of Git LFS, not the file itself: run git lfs pull"},
		{"SentencePiece", func(dir string) { drop(tokens)(dir); write(dir, "tokenizer.model", "") },
			"SentencePiece tokenizer, tokenizer.model, which is not supported"},
		{"no template", drop(template), "lacks a chat template (chat_template.jinja, or chat_template in " +
			"tokenizer_config.json): take the model's instruct version, or write"},
		{"an adapter", func(dir string) {
			drop("config.json", weights)(dir)
			write(dir, "adapter_config.json", "{}")
		}, "it is an adapter, and a base is a whole model"},
		{"GGUF inside", func(dir string) { drop("config.json", weights)(dir); write(dir, "a.gguf", "") },
			"name the GGUF file itself, "},
		{"a cache", func(dir string) {
			drop("config.json", weights, tokens, template)(dir)
			write(dir, "snapshots/4f1c/config.json", "{}")
		}, "name the folder of a snapshot, "},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		tiny(t, dir)
		c.change(dir)
		got, err := base.Finder{}.Find(t.Context(), dir)
		if c.want == "" {
			if err != nil || got != dir {
				t.Errorf("%s: %q, %v", c.name, got, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), dir+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error of the folder with %q", c.name, err, c.want)
		}
	}
}

// TestNotFound: a name that means nothing here is refused with what to do.
func TestNotFound(t *testing.T) {
	runs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(runs, "try1", "broker", "jetstream"), 0o755); err != nil {
		t.Fatal(err)
	}
	const fetch = "fetch it first, as with hf download Qwen/Qwen2.5-0.5B-Instruct " +
		"--local-dir Qwen2.5-0.5B-Instruct, and name"
	const nothing = "no such folder, GGUF file or run is here; the runs here are try1"
	for name, want := range map[string]string{
		"Qwen/Qwen2.5-0.5B-Instruct":                        fetch,
		"hf://Qwen/Qwen2.5-0.5B-Instruct":                   fetch,
		"https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct": fetch,
		"https://example.com/a/b/c.gguf":                    "itool downloads nothing",
		"models/a/b":                                        nothing,
		"nosuch":                                            nothing,
		"":                                                  "no such folder",
	} {
		_, err := base.Finder{Runs: runs}.Find(t.Context(), name)
		_, ok := errors.AsType[*base.NotFoundError](err)
		if !ok || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{"try1@x", "try1@-2", "try1@"} {
		if _, err := (base.Finder{Runs: runs}).Find(t.Context(), name); err == nil ||
			!strings.Contains(err.Error(), "is no round: a run's policy is RUN@0") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// TestFile: a GGUF file is imported once, and again when its content is another.
func TestFile(t *testing.T) {
	text, err := os.ReadFile("../../../shared/data/gguf/tiny_q4_0.gguf")
	if err != nil {
		t.Skipf("the test data is not here: %v", err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "model.gguf")
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	f := base.Finder{Cache: filepath.Join(dir, "cache"), Log: slog.New(slog.DiscardHandler), Say: say}
	find := func(content []byte) string {
		t.Helper()
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		found, err := f.Find(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := find(text)
	if _, err := policy.Open(os.DirFS(first), policy.Options{}); err != nil {
		t.Error(err)
	}
	if again := find(text); again != first || len(said) != 1 || !strings.Contains(said[0], "is imported: llama, ") {
		t.Errorf("%s, then %s; said %q", first, again, said)
	}
	if other := find(bytes.Replace(text, []byte("tiny Q4_0"), []byte("tiny Q4_1"), 1)); other == first {
		t.Error("another file is the same base")
	}

	for _, c := range []struct {
		content []byte
		want    string
	}{
		{[]byte("{}"), "it is a file, and no GGUF file: name the folder"},
		{text[:len(text)-64], "cut short"},
		{bytes.Replace(text, []byte("tokenizer.chat_template"), []byte("tokenizer.chat_templat3"), 1),
			"it has no chat template: itool import " + name + " --out DIR --template FILE adds one"},
	} {
		for range 2 { // the second time some of it may be there
			if err := os.WriteFile(name, c.content, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Find(t.Context(), name); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Find(ended, name); err == nil {
		t.Error("an ended context went unnoticed")
	}
	if _, err := fs.Stat(os.DirFS(dir), "cache/gguf-v1"); err != nil {
		t.Error(err)
	}
}
